/* SPDX-License-Identifier: GPL-2.0 */
/* A request that was served becomes its reply, in place. */
#ifndef EBPFNN_PACKET_REPLY_H
#define EBPFNN_PACKET_REPLY_H

#include <ebpfnn/packet_state.h>

static __always_inline void ebpfnn_write_reply(struct ebpfnn_packets *own, const struct ebpfnn_result *result)
{
	struct ebpfnn_reply *reply = &own->reply;

	reply->header = own->request.header;
	reply->header.kind = EBPFNN_REPLY;
	reply->header.scores = ebpfnn_net16(ebpfnn_classes);
	reply->header.network = ebpfnn_net32(ebpfnn_network_id);
	reply->label = ebpfnn_net32(result->label);
	reply->elapsed_ns = ebpfnn_net32(result->elapsed_ns);
	for (__u32 i = 0; i < ebpfnn_classes && i < EBPFNN_MAX_SCORES; i++)
		reply->scores[i] = ebpfnn_net32(result->scores[i]);
}

/* The checksum of the reply, whose other words are the request's. A partial one does not change: it covers the pseudo header. */
static __always_inline void ebpfnn_check_reply(struct ebpfnn_packets *own)
{
	const __u32 *words = (const __u32 *)&own->reply;
	__u64 sum = own->sum;
	__u16 check;

	if (own->partial && ebpfnn_keeps_partial)
		return;
	for (__u32 i = 0; i < ebpfnn_reply_bytes() / 4 && i < sizeof(own->reply) / 4; i++)
		sum += (__u64)words[i] + (__u32)~own->replaced[i];
	check = ~ebpfnn_fold(sum);
	own->request.udp.check = check ? check : 0xffff;
}

/* Resets the hop limit (TTL) of the reply, and updates the IPv4 checksum (RFC 1624). */
static __always_inline int ebpfnn_renew_hops(EBPFNN_CONTEXT *packet, __u32 found)
{
	__u32 wide = found >> 16, at = (found & 0xffff) - (wide ? 36 : 12), word;
	__u16 hops;

	if (ebpfnn_load(packet, at, &word, sizeof(word)))
		return -1;
	if (wide) {
		word = (word & 0xffffff) | EBPFNN_HOPS << 24;
	} else {
		hops = (word & 0xff00) | EBPFNN_HOPS;
		word = (__u32)(__u16)~ebpfnn_fold((__u64)(__u16)~(word >> 16) + (__u16)~word + hops) << 16 | hops;
	}
	return ebpfnn_store(packet, at, &word, sizeof(word));
}

/* Swaps both addresses of each layer, which does not change the IPv4 checksum. Returns 0 on success. */
static __noinline int ebpfnn_turn(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own)
{
	__u32 at = found & 0xffff, *from = own->addresses, swapped[3], link[3];
	struct ebpfnn_udp *udp = &own->request.udp;
	__u16 source = udp->source;

	if (ebpfnn_load(packet, 0, link, sizeof(link)))
		return -1;
	swapped[0] = link[1] >> 16 | link[2] << 16;
	swapped[1] = link[2] >> 16 | link[0] << 16;
	swapped[2] = link[0] >> 16 | link[1] << 16;
	udp->source = udp->destination;
	udp->destination = source;
	if (ebpfnn_store(packet, 0, swapped, sizeof(swapped)) || ebpfnn_store(packet, at, udp, sizeof(*udp)) ||
	    ebpfnn_renew_hops(packet, found))
		return -1;
	if (found >> 16)
		return ebpfnn_store(packet, at - 32, from + 4, 16) || ebpfnn_store(packet, at - 16, from, 16);
	return ebpfnn_store(packet, at - 8, from + 1, 4) || ebpfnn_store(packet, at - 4, from, 4);
}

static __noinline int ebpfnn_answer_packet(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own)
{
	__u32 only = 0, at = (found & 0xffff) + sizeof(struct ebpfnn_udp);
	struct ebpfnn_result *result = bpf_map_lookup_elem(&ebpfnn_results, &only);

	if (!result || ebpfnn_load(packet, at, own->replaced, ebpfnn_reply_bytes()))
		return -1;
	ebpfnn_write_reply(own, result);
	ebpfnn_check_reply(own);
	if (ebpfnn_store(packet, at, &own->reply, ebpfnn_reply_bytes()))
		return -1;
	return ebpfnn_turn(packet, found, own);
}

#endif
