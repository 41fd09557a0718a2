/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The shell of a guard whose events happen in threads, and what keeps an action from hitting a thread that it must not. It includes
 * fields_current.h and guard.h. An action that harms the current thread asks ebpfnn_may_hit() first, and tells the outcome by ebpfnn_hit().
 */
#ifndef EBPFNN_GUARD_TASK_H
#define EBPFNN_GUARD_TASK_H

#include <ebpfnn/fields_current.h>
#include <ebpfnn/guard.h>
#include <ebpfnn/thread.h>

/* Not 0: only threads in the cgroup below are observed. */
const volatile __u32 ebpfnn_confined;

/* The cgroup that threads are in, or in one below it. The map holds the cgroup itself: one made later under its name is another. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ebpfnn_cgroup SEC(".maps");

EBPFNN_FAMILY_MAP;

/* What became of the events that were acted on. On each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ebpfnn_outcomes);
} ebpfnn_outcomes SEC(".maps");

/* Whether the current thread is in the cgroup. Where the kernel cannot tell, it is not. */
static __always_inline int ebpfnn_is_within(void)
{
	return bpf_current_task_under_cgroup(&ebpfnn_cgroup, 0) == 1;
}

/* Whether the current thread is never hit: of the first process, of the kernel, or of a process that looks after the guard. */
static __always_inline int ebpfnn_is_exempt(void)
{
	struct ebpfnn_process process = {};
	__u64 *start;

	if (ebpfnn_process_of((void *)bpf_get_current_task(), &process))
		return 1;
	if (process.tgid <= 1 || process.flags & EBPFNN_KERNEL_THREAD)
		return 1;
	start = bpf_map_lookup_elem(&ebpfnn_family, &process.tgid);
	return start && *start == process.start_ns;
}

static __always_inline struct ebpfnn_outcomes *ebpfnn_outcomes_here(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&ebpfnn_outcomes, &only);
}

/* For actions: 1 if the current thread may be hit, 0 if it must be left alone, which is counted. */
int ebpfnn_may_hit(void)
{
	struct ebpfnn_outcomes *outcomes = ebpfnn_outcomes_here();

	if (!outcomes)
		return 0;
	if (!ebpfnn_is_within()) {
		ebpfnn_add_here(&outcomes->outside, 1);
		return 0;
	}
	if (ebpfnn_is_exempt()) {
		ebpfnn_add_here(&outcomes->exempt, 1);
		return 0;
	}
	return 1;
}

/* For actions: counts a thread that was hit, or was not if ``error`` is not 0. */
int ebpfnn_hit(int error)
{
	struct ebpfnn_outcomes *outcomes = ebpfnn_outcomes_here();

	if (outcomes)
		ebpfnn_add_here(error ? &outcomes->failed : &outcomes->hit, 1);
	return 0;
}

/* Has the current thread's event observed, and acted on. Returns what the action does, 0 if the event is not acted on. */
static __always_inline int ebpfnn_guard_task(void *context)
{
	struct ebpfnn_observed *own;
	int code = 0;

	if (ebpfnn_confined && !ebpfnn_replaying && !ebpfnn_is_within())
		return 0;
	own = ebpfnn_enter();
	if (!own)
		return 0;
	ebpfnn_extract_task(&own->fields);
	code = ebpfnn_guard(&own->fields, context, 0);
	ebpfnn_leave(own);
	return code;
}

#endif
