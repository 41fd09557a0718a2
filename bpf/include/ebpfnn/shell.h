/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What trigger shells share: the sample and result slots, and one run of the network on a slot. Include it after vmlinux.h.
 *
 * ebpfnn_infer is a network's: the linker puts one in its place when the shell is loaded.
 */
#ifndef EBPFNN_SHELL_H
#define EBPFNN_SHELL_H

#include <ebpfnn/abi.h>

/* The loader sets both value sizes: a sample has the network's input size, and a result carries its workspace behind it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EBPFNN_MAX_SLOTS);
	__type(key, __u32);
	__type(value, __u64);
} samples SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EBPFNN_MAX_SLOTS);
	__type(key, __u32);
	__type(value, struct ebpfnn_result);
} results SEC(".maps");

extern int ebpfnn_infer(const void *sample, struct ebpfnn_result *result);

/* Runs the network on a slot. The sequence moves last, so whoever sees it move reads a whole result. */
static __always_inline void ebpfnn_answer(__u32 slot)
{
	const void *sample = bpf_map_lookup_elem(&samples, &slot);
	struct ebpfnn_result *result = bpf_map_lookup_elem(&results, &slot);
	__u64 start;

	if (!sample || !result)
		return;
	start = bpf_ktime_get_ns();
	result->status = ebpfnn_infer(sample, result);
	result->elapsed_ns = bpf_ktime_get_ns() - start;
	asm volatile("" ::: "memory"); /* a slot has one writer: order is all that is needed, no atomic */
	result->sequence++;
}

#endif
