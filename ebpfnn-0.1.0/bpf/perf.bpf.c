// SPDX-License-Identifier: GPL-2.0
/* A timer or counter of a CPU runs the network if the thread that it interrupts registered, and returns at once if not. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

SEC("perf_event")
int ebpfnn_perf(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
