/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel keeps of a thread, and programs read: only where this kernel has each member is known, when they are loaded (CO-RE). */
#ifndef EBPFNN_THREAD_H
#define EBPFNN_THREAD_H

#include <ebpfnn/vmlinux.h>

#define EBPFNN_KERNEL_THREAD 0x00200000 /* PF_KTHREAD (include/linux/sched.h, the same since Linux 2.6.17) */

struct task_struct___ebpfnn {
	unsigned int flags;
	int tgid;
	__u64 start_time;
	struct task_struct___ebpfnn *group_leader;
	struct task_struct___ebpfnn *real_parent;
} __attribute__((preserve_access_index));

/* A process: when it began tells it from another one that had its id. */
struct ebpfnn_process {
	__u64 start_ns; /* CLOCK_MONOTONIC */
	__s32 tgid;     /* in the initial PID namespace */
	__u32 flags;    /* PF_ of the thread that was asked for */
};

/* 0, or an error of the read. */
#define EBPFNN_READ(to, from) bpf_probe_read_kernel(&(to), sizeof(to), &(from))

/* The process of ``thread``. Returns 0, or not if it cannot be read. */
static __always_inline long ebpfnn_process_of(struct task_struct___ebpfnn *thread, struct ebpfnn_process *process)
{
	struct task_struct___ebpfnn *leader = 0;
	long error = EBPFNN_READ(leader, thread->group_leader);

	error |= EBPFNN_READ(process->flags, thread->flags);
	error |= EBPFNN_READ(process->tgid, thread->tgid);
	error |= EBPFNN_READ(process->start_ns, leader->start_time);
	return error;
}

/*
 * The processes that are never hit, by the id: whoever loaded or swapped the guard, and their ancestors. One that has ended makes room where
 * it was not used for longest; another process with its id began later.
 */
#define EBPFNN_FAMILY_MAP                              \
	struct {                                       \
		__uint(type, BPF_MAP_TYPE_LRU_HASH);   \
		__uint(max_entries, 1024);             \
		__type(key, __s32);                    \
		__type(value, __u64);                  \
	} ebpfnn_family SEC(".maps")

#endif
