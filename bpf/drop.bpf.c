// SPDX-License-Identifier: GPL-2.0
/*
 * The action "drop". FIN and RST pass, so that no connection stays half open, but only some a second on each CPU, so that they are no way
 * around.
 */
#include <ebpfnn/fields_packet.h>
#include <ebpfnn/built_for.h>
#include <ebpfnn/rate.h>

#define TCP 6
#define FIN 1
#define RST 4

/* What the program returns, which depends on its hook. */
const volatile __s32 ebpfnn_dropped;
/* FIN and RST that pass in a second, on each CPU. */
const volatile __u32 ebpfnn_ends = 100;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_rate);
} ebpfnn_ended SEC(".maps");

static __always_inline int may_end(__u64 time)
{
	__u32 only = 0;
	struct ebpfnn_rate *ended = bpf_map_lookup_elem(&ebpfnn_ended, &only);

	return !ended || ebpfnn_within(ended, time, ebpfnn_ends);
}

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	if (fields->protocol == TCP && fields->tcp_flags & (FIN | RST) && may_end(fields->time))
		return EBPFNN_GO_ON;
	return ebpfnn_dropped;
}

char LICENSE[] SEC("license") = "GPL";
