/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The spec `flow-24` (ebpfnn/bench/native/flow-24.toml) by hand, for `ebpfnn bench --spec flow-24`: what a connection keeps, what a packet changes
 * in it, and the sample of its columns. For BPF (after vmlinux.h) and for a host compiler (after <linux/types.h>).
 */
#ifndef EBPFNN_BENCH_FLOW_H
#define EBPFNN_BENCH_FLOW_H

#define FLOW_LENGTHS 8
#define FLOW_COLUMNS 24
#define FLOW_BOUNDS 15 /* a column, a power of two less 1: the search below has no other steps */
#define FLOW_STEP 17   /* of the byte that a bound adds */
#define FLOW_HASH 0x9e3779b97f4a7c15ULL
#define FLOW_SECOND 1000000000ULL
#define FLOW_MAPPED 0xffff00000000ULL

enum { FLOW_FIN = 1, FLOW_RST = 4, FLOW_PSH = 8 };

/* Adds what several CPUs may add to at the same time. */
#ifdef __bpf__
#include <ebpfnn/atomic.h>
#define FLOW_ADD(to, number) ebpfnn_add(to, number)
#else
#define FLOW_ADD(to, number) (*(to) += (number))
#endif

/* One packet. Also what is sent through a ring buffer. */
struct flow_packet {
	__u64 time;
	__u32 source, destination, length, payload;
	__u16 source_port, destination_port, window;
	__u8 flags, hops;
};

struct flow_key {
	__u64 low[2], high[2]; /* the two ends, the last 64 bits of each address first */
	__u16 ports[2];
	__u32 protocol;
};

struct flow_state {
	__u64 first, last;
	__u32 number, side, label, taken;
	__u64 lengths[FLOW_LENGTHS];
	__u64 packets, bytes, least_length, distance, seen_lengths, longest_payload, replies, pushes, window, port, hops;
	__u64 longest_gap, gaps, smooth_gap, age, second, second_bytes, peak;
};

/* Returns 1 if the packet comes from the higher end. */
static inline __attribute__((always_inline)) __u32 flow_key_of(struct flow_key *key, const struct flow_packet *packet)
{
	__u32 side = packet->source > packet->destination ||
		     (packet->source == packet->destination && packet->source_port > packet->destination_port);

	key->low[0] = FLOW_MAPPED | (side ? packet->destination : packet->source);
	key->low[1] = 0;
	key->high[0] = FLOW_MAPPED | (side ? packet->source : packet->destination);
	key->high[1] = 0;
	key->ports[0] = side ? packet->destination_port : packet->source_port;
	key->ports[1] = side ? packet->source_port : packet->destination_port;
	key->protocol = 6;
	return side;
}

/* What the packet is to the columns. */
static inline __attribute__((always_inline)) void flow_step(struct flow_state *state, const struct flow_packet *packet, __u32 side)
{
	__u64 gap = packet->time > state->last ? (packet->time - state->last) >> 10 : 0;
	__u64 length = packet->length, mean, second = packet->time / FLOW_SECOND;
	__u32 taken = state->taken;

	state->age = packet->time > state->first ? (packet->time - state->first) >> 10 : 0;
	state->last = packet->time;
	state->number++;
	if (taken < FLOW_LENGTHS) {
		state->lengths[taken] = length;
		state->taken = taken + 1;
	}
	if (state->number == 1) {
		state->least_length = length;
		state->hops = packet->hops;
		state->port = packet->destination_port;
		state->smooth_gap = gap << 3;
	} else {
		if (length < state->least_length)
			state->least_length = length;
		if (packet->hops < state->hops)
			state->hops = packet->hops;
		state->smooth_gap += gap - (state->smooth_gap >> 3);
	}
	FLOW_ADD(&state->packets, 1);
	FLOW_ADD(&state->bytes, length);
	mean = state->bytes / state->packets;
	state->distance += length > mean ? length - mean : mean - length;
	state->seen_lengths |= 1ULL << (length * FLOW_HASH >> 58);
	if (packet->payload > state->longest_payload)
		state->longest_payload = packet->payload;
	if (side != state->side)
		FLOW_ADD(&state->replies, 1);
	if (packet->flags & FLOW_PSH)
		FLOW_ADD(&state->pushes, 1);
	state->window = packet->window;
	if (gap > state->longest_gap)
		state->longest_gap = gap;
	state->gaps += gap < 0xffffffff ? gap : 0xffffffff;
	state->second_bytes = second == state->second ? state->second_bytes + length : length;
	state->second = second;
	if (state->second_bytes > state->peak)
		state->peak = state->second_bytes;
}

static inline __attribute__((always_inline)) __u64 flow_ones(__u64 word)
{
	word -= word >> 1 & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + (word >> 2 & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return word * 0x0101010101010101ULL >> 56;
}

/* How many of the bounds the result reaches, times the step. */
static inline __attribute__((always_inline)) __u8 flow_byte(const __u64 *bounds, __u64 result)
{
	__u32 reached = 0;

#pragma clang loop unroll(full)
	for (__u32 half = (FLOW_BOUNDS + 1) / 2; half; half /= 2)
		if (result >= bounds[reached + half - 1])
			reached += half;
	return reached * FLOW_STEP;
}

/* The sample of the columns, in their order. */
static inline __attribute__((always_inline)) void flow_sample(const struct flow_state *state, const __u64 (*bounds)[FLOW_BOUNDS],
							       __u8 *sample)
{
	__u64 packets = state->packets;

#pragma clang loop unroll(full)
	for (__u32 i = 0; i < FLOW_LENGTHS; i++)
		sample[i] = flow_byte(bounds[i], state->lengths[i]);
	sample[8] = flow_byte(bounds[8], packets);
	sample[9] = flow_byte(bounds[9], state->bytes);
	sample[10] = flow_byte(bounds[10], state->least_length);
	sample[11] = flow_byte(bounds[11], state->distance / packets);
	sample[12] = flow_byte(bounds[12], flow_ones(state->seen_lengths));
	sample[13] = flow_byte(bounds[13], state->longest_payload);
	sample[14] = flow_byte(bounds[14], state->replies);
	sample[15] = flow_byte(bounds[15], state->pushes);
	sample[16] = flow_byte(bounds[16], state->window);
	sample[17] = flow_byte(bounds[17], state->port);
	sample[18] = flow_byte(bounds[18], state->hops);
	sample[19] = flow_byte(bounds[19], state->longest_gap);
	sample[20] = flow_byte(bounds[20], state->gaps / packets);
	sample[21] = flow_byte(bounds[21], state->smooth_gap >> 3);
	sample[22] = flow_byte(bounds[22], state->age);
	sample[23] = flow_byte(bounds[23], state->peak);
}

#endif
