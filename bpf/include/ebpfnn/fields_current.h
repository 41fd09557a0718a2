/* SPDX-License-Identifier: GPL-2.0 */
/* The fields of the thread that an event happens in. Call ebpfnn_observe_task(). */
#ifndef EBPFNN_FIELDS_CURRENT_H
#define EBPFNN_FIELDS_CURRENT_H

#include <ebpfnn/fields_task.h>
#include <ebpfnn/fields_observe.h>

static __always_inline void ebpfnn_extract_task(struct ebpfnn_fields *fields)
{
	__u64 thread = bpf_get_current_pid_tgid(), owner = bpf_get_current_uid_gid();

	fields->time = ebpfnn_now();
	fields->cgroup = bpf_get_current_cgroup_id();
	fields->cpu = bpf_get_smp_processor_id();
	fields->pid = thread;
	fields->tgid = thread >> 32;
	fields->uid = owner;
	fields->gid = owner >> 32;
	bpf_get_current_comm(&fields->comm, sizeof(fields->comm) + sizeof(fields->comm_rest));
}

/* Has the calling thread's event observed. Returns the verdict, 0 where the event was passed over. */
static __always_inline int ebpfnn_observe_task(void *context)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	int verdict;

	if (!own)
		return 0;
	ebpfnn_extract_task(&own->fields);
	verdict = ebpfnn_observe(&own->fields, context);
	ebpfnn_leave(own);
	return verdict;
}

#endif
