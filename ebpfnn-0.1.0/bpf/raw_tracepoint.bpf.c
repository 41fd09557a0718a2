// SPDX-License-Identifier: GPL-2.0
/* A raw tracepoint runs the network for the threads that registered, and returns at once for all others. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

/* Of sys_enter, the number of the one system call that is meant; -1 for all of them, and for every other event. */
const volatile __s64 only_call = -1;

SEC("raw_tracepoint")
int ebpfnn_raw_tracepoint(struct bpf_raw_tracepoint_args *context)
{
	if (only_call < 0 || context->args[1] == (__u64)only_call)
		ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
