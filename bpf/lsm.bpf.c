// SPDX-License-Identifier: GPL-2.0
/* Runs the network at a security hook, for threads that registered; returns at once for all others. Nothing is denied. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/task.h>

SEC("?lsm")
int ebpfnn_lsm(void *context)
{
	ebpfnn_answer_caller();
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
