// SPDX-License-Identifier: GPL-2.0
/* Runs the network at the entry or exit of a kernel function, for threads that registered; returns at once for all others. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

SEC("?fentry")
int ebpfnn_fentry(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

SEC("?fexit")
int ebpfnn_fexit(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
