// SPDX-License-Identifier: GPL-2.0
/* Runs the network at a tracepoint, for threads that registered; returns at once for all others. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

SEC("tracepoint")
int ebpfnn_tracepoint(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
