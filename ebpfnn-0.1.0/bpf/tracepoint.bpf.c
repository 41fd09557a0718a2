// SPDX-License-Identifier: GPL-2.0
/* A tracepoint runs the network for the threads that registered, and returns at once for all others. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

SEC("tracepoint")
int ebpfnn_tracepoint(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
