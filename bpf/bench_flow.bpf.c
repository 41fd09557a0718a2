// SPDX-License-Identifier: GPL-2.0
/*
 * What `ebpfnn bench --spec flow-24` compares the compiler of specs with: the same spec by hand, behind the event shell (ebpfnn_observe) and
 * alone, with a parser of what it needs; and packets that are sent to user space through a ring buffer.
 */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/abi.h>
#include "flow.h"
#include <ebpfnn/built_for.h>
#include <ebpfnn/fields_packet.h>

#define LRU_HASH 9 /* enum bpf_map_type */
#define NO_EXIST 1
#define LINK_HEADER 14

static long (*const update)(void *map, const void *key, const void *value, __u64 flags) = (void *)2;
static long (*const delete)(void *map, const void *key) = (void *)3;
static void *(*const reserve)(void *ring, __u64 size, __u64 flags) = (void *)131;
static void (*const submit)(void *record, __u64 flags) = (void *)132;

/* When the network runs: as the spec says, at the first packet of a connection alone, at each packet, or never. */
enum { AS_SPECIFIED, AT_FIRST, AT_EACH, AT_NONE };
const volatile __u32 flow_at;
/* Not 0: the source of a packet is made of these bits of its time. */
const volatile __u32 flow_varied;
/* Not 0: the clock is what was written to flow_clock. */
const volatile __u32 flow_replaying;
const volatile __u64 flow_bounds[FLOW_COLUMNS][FLOW_BOUNDS];

/* The memory of one CPU for a packet. The loader makes room for the network's workspace behind the result. */
struct flow_memory {
	struct flow_packet packet;
	struct flow_key key;
	struct flow_state blank;
	struct ebpfnn_verdict verdict;
	__u8 sample[32];
	struct ebpfnn_result result;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_memory);
} flow_memory SEC(".maps");

struct {
	__uint(type, LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow_key);
	__type(value, struct flow_state);
} flow_states SEC(".maps");

struct {
	__uint(type, LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow_key);
	__type(value, struct ebpfnn_verdict);
} flow_verdicts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} flow_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} flow_clock SEC(".maps");

extern int ebpfnn_infer(const void *sample, struct ebpfnn_result *result);
int ebpfnn_observe(struct ebpfnn_fields *fields, void *context);

static __always_inline __u64 now(void)
{
	__u64 *clock;
	__u32 only = 0;

	if (!flow_replaying)
		return bpf_ktime_get_ns();
	clock = bpf_map_lookup_elem(&flow_clock, &only);
	return clock ? *clock : 0;
}

static __always_inline struct flow_memory *memory_here(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&flow_memory, &only);
}

static __always_inline struct flow_state *state_of(struct flow_memory *memory, __u32 side)
{
	struct flow_state *state = bpf_map_lookup_elem(&flow_states, &memory->key);
	struct ebpfnn_verdict *verdict;

	if (state)
		return state;
	verdict = bpf_map_lookup_elem(&flow_verdicts, &memory->key);
	memory->blank.label = verdict ? verdict->label : 0;
	memory->blank.first = memory->blank.last = memory->packet.time;
	memory->blank.side = side;
	update(&flow_states, &memory->key, &memory->blank, NO_EXIST);
	return bpf_map_lookup_elem(&flow_states, &memory->key);
}

static __always_inline void keep(struct flow_memory *memory, struct flow_state *state)
{
	struct ebpfnn_result *result = &memory->result;
	struct ebpfnn_verdict *known;

	if (result->label > 1)
		return;
	memory->verdict.time_ns = memory->packet.time;
	memory->verdict.label = state->label = result->label + 1;
	memory->verdict.margin = result->scores[result->label] - result->scores[1 - result->label];
	memory->verdict.number = state->number;
	known = bpf_map_lookup_elem(&flow_verdicts, &memory->key);
	if (known)
		*known = memory->verdict;
	else
		update(&flow_verdicts, &memory->key, &memory->verdict, 0);
}

static __always_inline int wanted(const struct flow_state *state, __u8 flags)
{
	__u32 number = state->number;

	if (flow_at)
		return flow_at == AT_EACH || (flow_at == AT_FIRST && number == 1);
	return number == 4 || number == 8 || number == 16 || number == 32 || flags & (FLOW_FIN | FLOW_RST);
}

/* The packet lies in the memory. Returns the verdict. */
static __always_inline int observe(struct flow_memory *memory)
{
	struct flow_packet *packet = &memory->packet;
	const __u64(*bounds)[FLOW_BOUNDS];
	struct flow_state *state;
	__u32 side, label;
	__u64 start;

	if (flow_varied)
		packet->source = packet->time & flow_varied;
	side = flow_key_of(&memory->key, packet);
	state = state_of(memory, side);
	if (!state)
		return 0;
	flow_step(state, packet, side);
	if (wanted(state, packet->flags)) {
		bounds = (const __u64(*)[FLOW_BOUNDS])flow_bounds;
		asm volatile("" : "+r"(bounds)); /* or the compiler takes them for zeros */
		flow_sample(state, bounds, memory->sample);
		start = bpf_ktime_get_ns();
		if (!ebpfnn_infer(memory->sample, &memory->result)) {
			memory->verdict.elapsed_ns = bpf_ktime_get_ns() - start;
			keep(memory, state);
		}
	}
	label = state->label;
	if (packet->flags & (FLOW_FIN | FLOW_RST))
		delete (&flow_states, &memory->key);
	return label;
}

/* Behind the event shell. */
int ebpfnn_observe(struct ebpfnn_fields *fields, void *context)
{
	struct flow_memory *memory;
	struct flow_packet *packet;

	if (fields->version != 4 || fields->protocol != 6)
		return 0;
	memory = memory_here();
	if (!memory)
		return 0;
	packet = &memory->packet;
	packet->time = fields->time;
	packet->source = fields->source;
	packet->destination = fields->destination;
	packet->length = fields->length;
	packet->payload = fields->payload;
	packet->source_port = fields->source_port;
	packet->destination_port = fields->destination_port;
	packet->window = fields->tcp_window;
	packet->flags = fields->tcp_flags;
	packet->hops = fields->hops;
	return observe(memory);
}

struct headers {
	__u8 link[LINK_HEADER - 2];
	__u16 ethertype;
	__u8 version, service;
	__u16 network_length;
	__u32 fragment;
	__u8 hops, protocol;
	__u16 check;
	__u32 source, destination;
	__u16 source_port, destination_port;
	__u32 sequence, acknowledged;
	__u8 words, flags;
	__u16 window;
} __attribute__((packed));

/* TCP over IPv4 without tags and options, as a program for just these would read it. Returns 0 where there is a packet. */
static __always_inline int parse(struct xdp_md *frame, struct flow_packet *packet)
{
	const struct headers *headers = (void *)(long)frame->data;
	__u32 payload;

	if ((void *)(headers + 1) > (void *)(long)frame->data_end)
		return -1;
	if (headers->ethertype != __builtin_bswap16(0x0800) || headers->version != 0x45 || headers->protocol != 6)
		return -1;
	if (headers->fragment & __builtin_bswap32(0x3fff))
		return -1;
	packet->time = now();
	packet->source = __builtin_bswap32(headers->source);
	packet->destination = __builtin_bswap32(headers->destination);
	packet->length = frame->data_end - frame->data;
	payload = __builtin_bswap16(headers->network_length);
	payload -= 20 + (headers->words >> 4) * 4;
	packet->payload = payload < 0xffff ? payload : 0;
	packet->source_port = __builtin_bswap16(headers->source_port);
	packet->destination_port = __builtin_bswap16(headers->destination_port);
	packet->window = __builtin_bswap16(headers->window);
	packet->flags = headers->flags;
	packet->hops = headers->hops;
	return 0;
}

SEC("xdp")
int flow_alone(struct xdp_md *frame)
{
	struct flow_memory *memory = memory_here();

	if (memory && !parse(frame, &memory->packet))
		observe(memory);
	return XDP_PASS;
}

SEC("xdp")
int flow_to_ring(struct xdp_md *frame)
{
	struct flow_packet *record = reserve(&flow_ring, sizeof(*record), 0);

	if (record) {
		if (parse(frame, record))
			record->length = 0;
		submit(record, 0);
	}
	return XDP_PASS;
}

SEC("xdp")
int flow_nothing(struct xdp_md *frame)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
