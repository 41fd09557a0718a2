// SPDX-License-Identifier: GPL-2.0
/* Runs the network at a timer or counter of a CPU if the interrupted thread registered; otherwise returns at once. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

SEC("perf_event")
int ebpfnn_perf(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
