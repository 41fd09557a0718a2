// SPDX-License-Identifier: GPL-2.0
/* A network interface runs the network on requests that come in, and sends each back with its answer. */
#include <ebpfnn/vmlinux.h>

#define EBPFNN_CONTEXT struct xdp_md

/* One address, in one register: the verifier knows a pointer to be checked by what it was made of, which newer clangs make twice. */
static __always_inline void *ebpfnn_opaque(void *address)
{
	asm volatile("" : "+r"(address));
	return address;
}

static __always_inline int ebpfnn_load(struct xdp_md *packet, __u32 offset, void *to, __u32 bytes)
{
	const __u32 *from = ebpfnn_opaque((void *)(long)packet->data + offset);

	if ((void *)from + bytes > (void *)(long)packet->data_end)
		return -1;
	for (__u32 i = 0; i < bytes / 4; i++)
		((__u32 *)to)[i] = from[i];
	return 0;
}

static __always_inline int ebpfnn_store(struct xdp_md *packet, __u32 offset, const void *from, __u32 bytes)
{
	__u32 *to = ebpfnn_opaque((void *)(long)packet->data + offset);

	if ((void *)to + bytes > (void *)(long)packet->data_end)
		return -1;
	for (__u32 i = 0; i < bytes / 4; i++)
		to[i] = ((const __u32 *)from)[i];
	return 0;
}

#include <ebpfnn/packet.h>

SEC("xdp")
int ebpfnn_xdp(struct xdp_md *packet)
{
	const __u16 *link = (void *)(long)packet->data;
	__u32 found;

	if ((void *)link + EBPFNN_LINK_HEADER > (void *)(long)packet->data_end || ebpfnn_is_of_group(link))
		return XDP_PASS; /* too short, or a group's */
	found = ebpfnn_find(packet, EBPFNN_LINK_HEADER, link[6]);
	return found && !ebpfnn_serve(packet, found) && ebpfnn_answering ? XDP_TX : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
