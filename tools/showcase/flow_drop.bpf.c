// SPDX-License-Identifier: GPL-2.0
/* What a guard in user space has in the kernel: packets of connections in `blocked` are dropped, all others may be told of. */
#include "bench_flow.bpf.c"

#define XDP_DROP 1 /* enum xdp_action */

struct {
	__uint(type, LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct flow_key);
	__type(value, __u64);
} blocked SEC(".maps");

static __always_inline int is_blocked(const struct flow_packet *packet)
{
	struct flow_key key;
	__u64 *until;

	if (packet->flags & (FLOW_FIN | FLOW_RST))
		return 0; /* as the action `drop` */
	flow_key_of(&key, packet);
	until = bpf_map_lookup_elem(&blocked, &key);
	return until && packet->time < *until;
}

SEC("xdp")
int drop_alone(struct xdp_md *frame)
{
	struct flow_memory *memory = memory_here();

	return memory && !parse(frame, &memory->packet) && is_blocked(&memory->packet) ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int drop_or_tell(struct xdp_md *frame)
{
	struct flow_memory *memory = memory_here();
	struct flow_packet *record;

	if (!memory || parse(frame, &memory->packet))
		return XDP_PASS;
	if (is_blocked(&memory->packet))
		return XDP_DROP;
	record = reserve(&flow_ring, sizeof(*record), 0);
	if (record) {
		*record = memory->packet;
		submit(record, 0);
	}
	return XDP_PASS;
}
