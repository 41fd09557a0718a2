/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The packet protocol, for shells whose events are packets: finds and checks requests, runs the network, creates replies.
 * docs/triggers.md describes the layout, ebpfnn/remote/protocol.py is its twin.
 *
 * Before including it, include vmlinux.h, and define the macro EBPFNN_CONTEXT (the type of the context) and two functions that
 * copy between packet and memory:
 *
 *	static __always_inline int ebpfnn_load(EBPFNN_CONTEXT *packet, __u32 offset, void *to, __u32 bytes);
 *	static __always_inline int ebpfnn_store(EBPFNN_CONTEXT *packet, __u32 offset, const void *from, __u32 bytes);
 *
 * Both copy a constant number of 32-bit words. They return 0, or another value if the packet is too short.
 * skb.h has them for socket buffers. Then call ebpfnn_find(), and ebpfnn_serve() with its result.
 *
 * On Linux 5.10 all frames of a call chain share 512 bytes, of which a network takes 448. So the state of a packet is in a map,
 * and the function that needs a frame (ebpfnn_find) is not in the call chain of the network. Words are not byte-swapped: ones'
 * complement sums do not depend on the byte order (RFC 1071).
 */
#ifndef EBPFNN_PACKET_H
#define EBPFNN_PACKET_H

#include <ebpfnn/packet_find.h>
#include <ebpfnn/packet_reply.h>

/* Whether a source may send requests. There is no branch on it, or the verifier would walk the rest once for each prefix. */
static __always_inline int ebpfnn_is_allowed(const __u32 *source, int wide)
{
	__u32 found = !ebpfnn_prefixes;

	for (__u32 i = 0; i < ebpfnn_prefixes && i < EBPFNN_MAX_PREFIXES; i++) {
		__u64 differs = 0;

		for (int word = 0; word < 4; word++) {
			__u32 mapped = word == 3 ? source[0] : word == 2 ? 0xffff0000 : 0;
			__u32 own = wide ? source[word] : mapped;

			differs |= (own ^ ebpfnn_allowed[i].address[word]) & ebpfnn_allowed[i].mask[word];
		}
		found |= (differs - 1) >> 63; /* 1 if nothing differs */
	}
	return found;
}

/* Whether the checksum is correct, and whether it is partial. ``pseudo`` is the sum of the pseudo header (RFC 768, RFC 8200 8.1). */
static __always_inline int ebpfnn_is_intact(struct ebpfnn_packets *own, __u64 pseudo, int wide)
{
	__u16 check = own->request.udp.check;

	own->partial = 0;
	if (!check)
		return !wide;
	if (ebpfnn_fold(own->sum + check) == 0xffff)
		return 1;
	own->partial = ebpfnn_takes_partial && check == ebpfnn_fold(pseudo);
	return own->partial;
}

/* Copies a request to memory. Returns 0 if it may be served. */
static __noinline int ebpfnn_receive(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own, __u32 *sample)
{
	__u32 at = found & 0xffff, wide = found >> 16, filled = ebpfnn_filled_bytes();
	__u32 padding = ebpfnn_payload_bytes() - sizeof(struct ebpfnn_header) - filled;
	__u32 *from = own->addresses;
	__u64 pseudo, sum;

	if (wide ? ebpfnn_load(packet, at - 32, from, 32) : ebpfnn_load(packet, at - 8, from, 8))
		return -1;
	if (ebpfnn_load(packet, at, &own->request, sizeof(own->request)) ||
	    ebpfnn_load(packet, at + sizeof(own->request), sample, filled))
		return -1;
	if (padding && ebpfnn_load(packet, at + sizeof(own->request) + filled, own->padding, padding))
		return -1;
	if (!ebpfnn_is_allowed(from, wide)) {
		own->denied++;
		return -1;
	}
	own->source = wide ? (__u64)ebpfnn_net32(from[2]) << 32 | ebpfnn_net32(from[3]) : ebpfnn_net32(from[0]);
	pseudo = wide ? ebpfnn_sum(from, 32, 0) : ebpfnn_sum(from, 8, 0);
	pseudo += ebpfnn_net16(17) + own->request.udp.length;
	sum = ebpfnn_sum((const __u32 *)&own->request, sizeof(own->request), pseudo) - ((__u64)own->request.udp.check << 16);
	sum = ebpfnn_sum(sample, filled, sum);
	own->sum = ebpfnn_sum(own->padding, padding, sum);
	if (!ebpfnn_is_intact(own, pseudo, wide)) {
		own->damaged++;
		return -1;
	}
	return 0;
}

/* Whether the current request is a check. */
static __always_inline int ebpfnn_is_check(const struct ebpfnn_packets *own)
{
	__u32 only = 0;
	const __u32 *check = bpf_map_lookup_elem(&ebpfnn_check, &only);

	return check && *check && own->request.header.sequence == *check;
}

/*
 * Global, so that the verifier walks the network once, not once per form of packet. Returns 0 if it ran. A check leaves the sequence
 * unchanged: its only effect is the reply.
 */
__noinline int ebpfnn_run_packet(__u64 source, __u64 check)
{
	__u32 only = 0;
	const void *sample = bpf_map_lookup_elem(&ebpfnn_samples, &only);
	struct ebpfnn_result *result = bpf_map_lookup_elem(&ebpfnn_results, &only);
	__u64 start;

	if (!sample || !result)
		return -ENOENT;
	start = bpf_ktime_get_ns();
	result->status = ebpfnn_infer(sample, result);
	if (check)
		result->elapsed_ns = bpf_ktime_get_ns() - start;
	else
		ebpfnn_finish(result, source, start);
	return result->status;
}

static __always_inline int ebpfnn_serve_alone(EBPFNN_CONTEXT *packet, __u32 found, struct ebpfnn_packets *own)
{
	__u32 only = 0, check;
	__u32 *sample = bpf_map_lookup_elem(&ebpfnn_samples, &only);

	if (!sample || ebpfnn_receive(packet, found, own, sample))
		return -1;
	check = ebpfnn_is_check(own);
	if (ebpfnn_run_packet(own->source, check))
		return -1;
	own->answered += !check;
	return 0;
}

/*
 * Runs the network for the request that ebpfnn_find() found. If the shell answers, the packet is then the reply. Returns 0 on success.
 *
 * A CPU serves one request at a time. A request that interrupts another one (possible in process context, by an interrupt or another
 * thread) is passed on. The counter is incremented before it is tested, so that of two requests that meet, none is served rather than
 * both; Linux 5.10 has no atomic exchange.
 */
static __always_inline int ebpfnn_serve(EBPFNN_CONTEXT *packet, __u32 found)
{
	__u32 only = 0;
	struct ebpfnn_packets *own = bpf_map_lookup_elem(&ebpfnn_packets, &only);
	int refused = -1;

	if (!own)
		return -1;
	ebpfnn_add(&own->busy, 1);
	if (*(volatile __u64 *)&own->busy == 1) {
		refused = ebpfnn_serve_alone(packet, found, own);
		if (!refused && ebpfnn_answering)
			refused = ebpfnn_answer_packet(packet, found, own);
	} else {
		own->nested++;
	}
	ebpfnn_add(&own->busy, -1);
	return refused;
}

#endif
