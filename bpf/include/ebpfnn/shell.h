/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Code that trigger shells share: memory for samples and results, one run of the network, and events for a watcher.
 *
 * The network defines ebpfnn_infer: the linker links one when the shell is loaded.
 *
 * A shell whose samples are in slots (task.h, run.bpf.c) calls ebpfnn_answer(). A shell that takes the sample from the event
 * itself defines EBPFNN_SAMPLES_FROM_EVENTS first: then both maps are per-CPU, and it calls ebpfnn_compute() on them.
 */
#ifndef EBPFNN_SHELL_H
#define EBPFNN_SHELL_H

#include <ebpfnn/atomic.h>
#include <ebpfnn/built_for.h>

#ifdef EBPFNN_SAMPLES_FROM_EVENTS
#define EBPFNN_MEMORY                                                                                                          \
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);                                                                               \
	__uint(max_entries, 1)
#else
#define EBPFNN_MEMORY                                                                                                          \
	__uint(type, BPF_MAP_TYPE_ARRAY);                                                                                      \
	__uint(map_flags, BPF_F_MMAPABLE);                                                                                     \
	__uint(max_entries, EBPFNN_MAX_SLOTS)
#endif

/* The loader sets both value sizes: that of a sample is the network's input size; that of a result includes the workspace. */
struct {
	EBPFNN_MEMORY;
	__type(key, __u32);
	__type(value, __u64);
} ebpfnn_samples SEC(".maps");

struct {
	EBPFNN_MEMORY;
	__type(key, __u32);
	__type(value, struct ebpfnn_result);
} ebpfnn_results SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_watch);
} ebpfnn_watch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} ebpfnn_events SEC(".maps");

/* Which network this is: the number of swaps before it. */
const volatile __u32 ebpfnn_network;

extern int ebpfnn_infer(const void *sample, struct ebpfnn_result *result);

/* Out of line, because watching is rare. */
static __noinline void ebpfnn_tell(struct ebpfnn_result *result, __u64 source, __u64 time_ns, struct ebpfnn_watch *watched)
{
	struct ebpfnn_event event = {
		.time_ns = time_ns,
		.elapsed_ns = result->elapsed_ns,
		.source = source,
		.status = result->status,
		.network = ebpfnn_network,
	};

	if (!event.status && result->label < EBPFNN_MAX_SCORES) { /* otherwise they belong to an earlier sample */
		event.label = result->label;
		event.score = result->scores[event.label];
	}
	if (bpf_ringbuf_output(&ebpfnn_events, &event, sizeof(event), 0))
		ebpfnn_add(&watched->lost, 1);
}

/* Ends a run that began at ``start``. The sequence is written last, so a reader that sees a new sequence reads a whole result. */
static __always_inline void ebpfnn_finish(struct ebpfnn_result *result, __u64 source, __u64 start)
{
	struct ebpfnn_watch *watched;
	__u32 only = 0;

	result->elapsed_ns = bpf_ktime_get_ns() - start;
	asm volatile("" ::: "memory"); /* a slot has one writer: only the order matters, no atomic is needed */
	if (result->sequence & EBPFNN_CHECKING) {
		result->sequence ^= EBPFNN_CHECKED;
		return;
	}
	result->sequence++;
	watched = bpf_map_lookup_elem(&ebpfnn_watch, &only);
	if (watched && start < watched->until_ns)
		ebpfnn_tell(result, source, start, watched);
}

/* Runs the network. */
static __always_inline void ebpfnn_compute(const void *sample, struct ebpfnn_result *result, __u64 source)
{
	__u64 start = bpf_ktime_get_ns();

	result->status = ebpfnn_infer(sample, result);
	ebpfnn_finish(result, source, start);
}

#ifndef EBPFNN_SAMPLES_FROM_EVENTS
/* Runs the network on a slot. */
static __always_inline void ebpfnn_answer(__u32 slot)
{
	const void *sample = bpf_map_lookup_elem(&ebpfnn_samples, &slot);
	struct ebpfnn_result *result = bpf_map_lookup_elem(&ebpfnn_results, &slot);

	if (sample && result)
		ebpfnn_compute(sample, result, slot);
}
#endif

#endif
