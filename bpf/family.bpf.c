// SPDX-License-Identifier: GPL-2.0
/*
 * Enters the process that runs it, and its ancestors up to the first process, in the map of those that are never hit. The kernel itself
 * follows them, since a process in a PID namespace of its own does not see them.
 */
#include <ebpfnn/built_for.h>
#include <ebpfnn/thread.h>

#define MOST 128

EBPFNN_FAMILY_MAP;

/* Returns how many processes it went through, 0 if it did not come to the first one. */
SEC("raw_tracepoint")
int ebpfnn_enter_family(void *context)
{
	struct task_struct___ebpfnn *thread = (void *)bpf_get_current_task(), *leader;
	struct ebpfnn_process process = {};

	for (int number = 0; number < MOST; number++) {
		if (ebpfnn_process_of(thread, &process))
			return 0;
		if (process.tgid <= 1)
			return number + 1;
		if (bpf_map_update_elem(&ebpfnn_family, &process.tgid, &process.start_ns, 0))
			return 0;
		if (EBPFNN_READ(leader, thread->group_leader) || EBPFNN_READ(thread, leader->real_parent))
			return 0;
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
