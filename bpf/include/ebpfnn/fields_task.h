/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The fields of events that happen in a thread. EBPFNN_OWN_FIELDS, if defined before, adds a shell's own.
 * fields_current.h fills them.
 */
#ifndef EBPFNN_FIELDS_TASK_H
#define EBPFNN_FIELDS_TASK_H

#include <ebpfnn/fields.h>

#ifndef EBPFNN_OWN_FIELDS
#define EBPFNN_OWN_FIELDS
#endif

struct ebpfnn_fields {
	EBPFNN_FIELD(__u64, time, "ns", "time of the event (CLOCK_MONOTONIC)");
	EBPFNN_FIELD(__u64, cgroup, "id", "cgroup of the thread (cgroup2)");
	EBPFNN_FIELD(__u64, comm, "text", "thread name, bytes 0 to 7, least significant first");
	EBPFNN_FIELD(__u64, comm_rest, "text", "thread name, bytes 8 to 15, least significant first");
	EBPFNN_FIELD(__u32, pid, "id", "thread id in the initial PID namespace");
	EBPFNN_FIELD(__u32, tgid, "id", "process id in the initial PID namespace");
	EBPFNN_FIELD(__u32, uid, "id", "real user id in the initial user namespace");
	EBPFNN_FIELD(__u32, gid, "id", "real group id in the initial user namespace");
	EBPFNN_FIELD(__u32, cpu, "number", "CPU that the event happened on");
	EBPFNN_OWN_FIELDS
};

#endif
