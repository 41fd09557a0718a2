// SPDX-License-Identifier: GPL-2.0
/* Runs the network at a raw tracepoint, for threads that registered; returns at once for all others. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

/* For sys_enter, the number of the system call to run at; -1 for all system calls, and for every other event. */
const volatile __s64 only_call = -1;

SEC("raw_tracepoint")
int ebpfnn_raw_tracepoint(struct bpf_raw_tracepoint_args *context)
{
	if (only_call < 0 || context->args[1] == (__u64)only_call)
		ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
