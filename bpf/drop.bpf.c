// SPDX-License-Identifier: GPL-2.0
/*
 * The action "drop". FIN and RST pass, so that no connection stays half open, but only some a second on each CPU, so that they are no way
 * around.
 */
#include <ebpfnn/fields_packet.h>
#include <ebpfnn/built_for.h>

#define TCP 6
#define FIN 1
#define RST 4
#define SECOND 1000000000ULL

/* What the program returns, which depends on its hook. */
const volatile __s32 ebpfnn_dropped, ebpfnn_passed;
/* FIN and RST that pass in a second, on each CPU. */
const volatile __u32 ebpfnn_ends = 100;

struct ends {
	__u64 second;
	__u64 passed;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ends);
} ebpfnn_ended SEC(".maps");

static __always_inline int may_end(__u64 time)
{
	__u32 only = 0;
	struct ends *ends = bpf_map_lookup_elem(&ebpfnn_ended, &only);
	__u64 second = time / SECOND;

	if (!ends)
		return 1;
	if (ends->second != second) {
		ends->second = second;
		ends->passed = 0;
	}
	return ends->passed++ < ebpfnn_ends;
}

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	if (fields->protocol == TCP && fields->tcp_flags & (FIN | RST) && may_end(fields->time))
		return ebpfnn_passed;
	return ebpfnn_dropped;
}

char LICENSE[] SEC("license") = "GPL";
