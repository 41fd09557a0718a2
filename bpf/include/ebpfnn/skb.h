/* SPDX-License-Identifier: GPL-2.0 */
/*
 * packet.h for programs on socket buffers, whose data may be non-linear. Programs that may not write to packets, and only watch
 * requests, define EBPFNN_READ_ONLY first.
 */
#ifndef EBPFNN_SKB_H
#define EBPFNN_SKB_H

#include <ebpfnn/vmlinux.h>

#define EBPFNN_CONTEXT struct __sk_buff

static __always_inline int ebpfnn_load(struct __sk_buff *packet, __u32 offset, void *to, __u32 bytes)
{
	return bpf_skb_load_bytes(packet, offset, to, bytes);
}

static __always_inline int ebpfnn_store(struct __sk_buff *packet, __u32 offset, const void *from, __u32 bytes)
{
#ifdef EBPFNN_READ_ONLY
	return -1;
#else
	return bpf_skb_store_bytes(packet, offset, from, bytes, 0);
#endif
}

#include <ebpfnn/packet.h>

#ifdef EBPFNN_READ_ONLY
#define EBPFNN_RAN (1U << 31)

static __always_inline __s32 ebpfnn_score(const struct ebpfnn_result *result, __u32 index)
{
	__s32 score = result->scores[index];

	asm volatile("" : "+r"(score)); /* always read: newer clangs would skip it by a branch, with a pointer that verifiers lose track of */
	return index < ebpfnn_classes ? score : 0; /* the scores behind the last are never written */
}

/*
 * Runs the network for a packet that begins with its network header. It writes the result to the context, for BPF_PROG_RUN: a mark,
 * the number of scores and the label, and four scores, beginning at the index in cb[0]. No other program sees these words: the
 * kernel restores or clears them.
 */
static __always_inline void ebpfnn_watch_packet(struct __sk_buff *packet)
{
	__u32 only = 0, first = packet->cb[0], found = ebpfnn_find(packet, 0, packet->protocol);
	struct ebpfnn_result *result;

	if (!found || ebpfnn_serve(packet, found))
		return;
	result = bpf_map_lookup_elem(&ebpfnn_results, &only);
	if (!result || first > EBPFNN_MAX_SCORES - 4)
		return;
	packet->cb[0] = EBPFNN_RAN | ebpfnn_classes << 16 | (result->label & 0xffff);
	packet->cb[1] = ebpfnn_score(result, first);
	packet->cb[2] = ebpfnn_score(result, first + 1);
	packet->cb[3] = ebpfnn_score(result, first + 2);
	packet->cb[4] = ebpfnn_score(result, first + 3);
}
#endif

#endif
