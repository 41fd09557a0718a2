/* SPDX-License-Identifier: GPL-2.0 */
/* packet.h for programs on socket buffers, whose bytes may lie anywhere. Include it after vmlinux.h. */
#ifndef EBPFNN_SKB_H
#define EBPFNN_SKB_H

#define EBPFNN_CONTEXT struct __sk_buff
#include <ebpfnn/packet.h>

static __always_inline int ebpfnn_load(struct __sk_buff *packet, __u32 offset, void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(packet, offset, to, bytes);
}

#ifdef EBPFNN_READ_ONLY
static __always_inline int ebpfnn_store(struct __sk_buff *packet, __u32 offset, const void *from, __u32 bytes)
{
	return -1;
}

#define EBPFNN_RAN (1U << 31)

/*
 * Runs the network for a packet that begins with its network header, and leaves what came of it in the context, for BPF_PROG_RUN: a mark,
 * the number of scores and the label, and four scores from the one that cb[0] asked for. Nobody else sees these words: the kernel
 * restores or clears them.
 */
static __always_inline void ebpfnn_watch_packet(struct __sk_buff *packet)
{
	__u32 only = 0, first = packet->cb[0], found = ebpfnn_find(packet, 0, packet->protocol);
	struct ebpfnn_result *result;

	if (!found || ebpfnn_serve(packet, found))
		return;
	result = bpf_map_lookup_elem(&results, &only);
	if (!result || first > EBPFNN_MAX_SCORES - 4)
		return;
	packet->cb[0] = EBPFNN_RAN | classes << 16 | (result->label & 0xffff);
	packet->cb[1] = result->scores[first];
	packet->cb[2] = result->scores[first + 1];
	packet->cb[3] = result->scores[first + 2];
	packet->cb[4] = result->scores[first + 3];
}
#else
static __always_inline int ebpfnn_store(struct __sk_buff *packet, __u32 offset, const void *from, __u32 bytes)
{
	return bpf_skb_store_bytes(packet, offset, from, bytes, 0);
}
#endif

#endif
