// SPDX-License-Identifier: GPL-2.0
/* Runs the network on requests that arrive at an interface, and sends each back as its reply. */
#include <ebpfnn/vmlinux.h>

#define EBPFNN_CONTEXT struct xdp_md

#define EBPFNN_FARTHEST 0x3fff /* above every possible offset of a header */

/*
 * An address in the packet. Older verifiers (5.10, 6.1) accept a bounds check only for an offset that they know to be below 64 KiB,
 * and only in the register that was checked. So both must be hidden from the compiler.
 */
static __always_inline void *ebpfnn_at(struct xdp_md *packet, __u32 offset)
{
	void *address;

	asm volatile("" : "+r"(offset));
	address = (void *)(long)packet->data + (offset & EBPFNN_FARTHEST);
	asm volatile("" : "+r"(address));
	return address;
}

static __always_inline int ebpfnn_load(struct xdp_md *packet, __u32 offset, void *to, __u32 bytes)
{
	const __u32 *from = ebpfnn_at(packet, offset);

	if ((void *)from + bytes > (void *)(long)packet->data_end)
		return -1;
	for (__u32 i = 0; i < bytes / 4; i++)
		((__u32 *)to)[i] = from[i];
	return 0;
}

static __always_inline int ebpfnn_store(struct xdp_md *packet, __u32 offset, const void *from, __u32 bytes)
{
	__u32 *to = ebpfnn_at(packet, offset);

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
		return XDP_PASS; /* too short, or to or from a group */
	found = ebpfnn_find(packet, EBPFNN_LINK_HEADER, link[6]);
	return found && !ebpfnn_serve(packet, found) && ebpfnn_answering ? XDP_TX : XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
