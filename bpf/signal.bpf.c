// SPDX-License-Identifier: GPL-2.0
/* The action "signal": the process of the current thread gets a signal, unless it must be left alone. */
#include <ebpfnn/fields_task.h>
#include <ebpfnn/built_for.h>
#include <ebpfnn/hit.h>

const volatile __u32 ebpfnn_signal;

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	if (ebpfnn_may_hit())
		ebpfnn_hit(bpf_send_signal(ebpfnn_signal));
	return EBPFNN_GO_ON;
}

char LICENSE[] SEC("license") = "GPL";
