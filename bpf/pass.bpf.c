// SPDX-License-Identifier: GPL-2.0
/* The action "pass": does nothing to the event, whatever it is. */
#include <ebpfnn/built_for.h>

struct ebpfnn_fields;

int ebpfnn_act(struct ebpfnn_fields *fields, void *context, __u32 verdict)
{
	return EBPFNN_GO_ON;
}

char LICENSE[] SEC("license") = "GPL";
