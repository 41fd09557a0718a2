/* SPDX-License-Identifier: GPL-2.0 */
/*
 * For shells whose events happen in a thread: the network runs for threads that registered, and the program returns at once
 * for all others. It includes shell.h.
 */
#ifndef EBPFNN_TASK_H
#define EBPFNN_TASK_H

#include <ebpfnn/shell.h>

/* The PID namespace whose thread ids are the keys of callers: st_dev and st_ino of /proc/self/ns/pid. */
const volatile __u64 ebpfnn_pidns_dev;
const volatile __u64 ebpfnn_pidns_ino;

/* The initial PID namespace, whose ids need no lookup (PROC_PID_INIT_INO of include/linux/proc_ns.h, Linux 3.8). */
#define EBPFNN_FIRST_PIDNS 0xEFFFFFFC

/* Thread id -> slot. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, EBPFNN_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} ebpfnn_callers SEC(".maps");

/* The calling thread's slot, NULL if it did not register. The namespace is a constant for the verifier, which drops the other branch. */
static __always_inline __u32 *ebpfnn_slot(void)
{
	struct bpf_pidns_info thread;

	if (ebpfnn_pidns_ino == EBPFNN_FIRST_PIDNS)
		thread.pid = bpf_get_current_pid_tgid();
	else if (bpf_get_ns_current_pid_tgid(ebpfnn_pidns_dev, ebpfnn_pidns_ino, &thread, sizeof(thread)))
		return 0;
	return bpf_map_lookup_elem(&ebpfnn_callers, &thread.pid);
}

/* Runs the network for the calling thread, if it registered. */
static __always_inline void ebpfnn_answer_caller(void)
{
	__u32 *slot = ebpfnn_slot();

	if (slot)
		ebpfnn_answer(*slot);
}

#endif
