/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What trigger shells share: memory for samples and results, one run of the network, and word of it for whoever watches.
 *
 * ebpfnn_infer is a network's: the linker puts one in its place when the shell is loaded.
 *
 * A shell whose samples lie in slots (task.h, run.bpf.c) calls ebpfnn_answer(). One that takes the sample from the event itself
 * defines EBPFNN_SAMPLES_FROM_EVENTS first: both maps then have one element a CPU, and it calls ebpfnn_compute() on them.
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

/* The loader sets both value sizes: a sample has the network's input size, and a result carries its workspace behind it. */
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

/* Which of two networks this is, where one is swapped for the other. */
const volatile __u32 ebpfnn_network;

extern int ebpfnn_infer(const void *sample, struct ebpfnn_result *result);

/* Out of line: hardly anybody watches. */
static __noinline void ebpfnn_tell(struct ebpfnn_result *result, __u64 source, __u64 time_ns, struct ebpfnn_watch *watched)
{
	struct ebpfnn_event event = {
		.time_ns = time_ns,
		.elapsed_ns = result->elapsed_ns,
		.source = source,
		.status = result->status,
		.network = ebpfnn_network,
	};

	if (!event.status && result->label < EBPFNN_MAX_SCORES) { /* else they are an earlier sample's */
		event.label = result->label;
		event.score = result->scores[event.label];
	}
	if (bpf_ringbuf_output(&ebpfnn_events, &event, sizeof(event), 0))
		ebpfnn_add(&watched->lost, 1);
}

/* What follows a run that began at ``start``. The sequence moves last, so whoever sees it move reads a whole result. */
static __always_inline void ebpfnn_finish(struct ebpfnn_result *result, __u64 source, __u64 start)
{
	struct ebpfnn_watch *watched;
	__u32 only = 0;

	result->elapsed_ns = bpf_ktime_get_ns() - start;
	asm volatile("" ::: "memory"); /* a slot has one writer: order is all that is needed, no atomic */
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
