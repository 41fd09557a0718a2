// SPDX-License-Identifier: GPL-2.0
/* Runs the network at a kprobe, kretprobe or uprobe, for threads that registered; returns at once for all others. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

SEC("kprobe")
int ebpfnn_kprobe(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
