// SPDX-License-Identifier: GPL-2.0
/* The action "deny": what the current thread is about to do fails, unless the thread must be left alone. */
#include <ebpfnn/fields_task.h>
#include <ebpfnn/built_for.h>
#include <ebpfnn/hit.h>

/* A negative errno. */
const volatile __s32 ebpfnn_denied;

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	if (!ebpfnn_may_hit())
		return EBPFNN_GO_ON;
	ebpfnn_hit(0);
	return ebpfnn_denied;
}

char LICENSE[] SEC("license") = "GPL";
