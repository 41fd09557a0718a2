/* SPDX-License-Identifier: GPL-2.0 */
/* Tells of an event that was acted on: a record in a ring buffer, which `ebpfnn alerts` prints. For actions of any trigger. */
#ifndef EBPFNN_ALERT_H
#define EBPFNN_ALERT_H

#include <ebpfnn/atomic.h>
#include <ebpfnn/built_for.h>
#include <ebpfnn/rate.h>

struct ebpfnn_fields;

/* What a CPU has told, and not told: within the rate, beyond it, and where the ring buffer was full. */
struct ebpfnn_alerted {
	struct ebpfnn_rate rate;
	__u64 told;
	__u64 suppressed;
	__u64 lost;
};

/* Set by the loader: the bytes of the fields of this event, in whole words, its place in the spec, and the swaps before. */
const volatile __u32 ebpfnn_field_bytes, ebpfnn_event_index, ebpfnn_network;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} ebpfnn_alerts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_alerted);
} ebpfnn_alerted SEC(".maps");

/* The fields as they lie, whatever the shell's. The compiler must not make a call of it, as of a copy of unknown size. */
static __always_inline void ebpfnn_copy_fields(__u64 *to, const volatile __u64 *from)
{
	for (__u32 i = 0; i < ebpfnn_field_bytes / sizeof(*to); i++)
		to[i] = from[i];
}

/* Tells at most ``rate`` times a second on each CPU. What is not told is counted. */
static __always_inline void ebpfnn_alert(const struct ebpfnn_fields *fields, __u32 verdict, __u64 rate)
{
	__u64 time = bpf_ktime_get_ns();
	struct ebpfnn_alert *alert;
	struct ebpfnn_alerted *own;
	__u32 only = 0;

	own = bpf_map_lookup_elem(&ebpfnn_alerted, &only);
	if (!own)
		return;
	if (!ebpfnn_within(&own->rate, time, rate)) {
		ebpfnn_add(&own->suppressed, 1);
		return;
	}
	alert = bpf_ringbuf_reserve(&ebpfnn_alerts, sizeof(*alert) + ebpfnn_field_bytes, 0);
	if (!alert) {
		ebpfnn_add(&own->lost, 1);
		return;
	}
	alert->time_ns = time;
	alert->event = ebpfnn_event_index;
	alert->label = verdict;
	alert->network = ebpfnn_network;
	alert->bytes = ebpfnn_field_bytes;
	ebpfnn_copy_fields((__u64 *)(alert + 1), (const volatile __u64 *)fields);
	bpf_ringbuf_submit(alert, 0);
	ebpfnn_add(&own->told, 1);
}

#endif
