// SPDX-License-Identifier: GPL-2.0
/*
 * BPF_PROG_RUN runs the network on a caller's slot, or on many samples in one call: with a SYSCALL program, or with an XDP
 * program if the kernel has no SYSCALL programs.
 *
 * The samples of a batch are in the map "ebpfnn_samples", behind those of the slots. All of them use the workspace of the
 * caller's slot, which stays in the cache. Their results go to the map "ebpfnn_outputs". The loader sizes both maps.
 */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/shell.h>

struct run_context {
	__u32 slot;
	__u32 runs; /* 0: the sample of the slot; else the number of runs over the batch, repeated from its first sample */
};

struct output {
	__u32 label;
	__s32 scores[];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ebpfnn_outputs SEC(".maps");

/* Samples in a batch, the most runs per call, and scores of a sample. */
const volatile __u32 ebpfnn_batch = 1;
const volatile __u32 ebpfnn_most_runs = 1;
const volatile __u32 ebpfnn_classes;

static __always_inline void deliver(__u32 index, const struct ebpfnn_result *result)
{
	struct output *output = bpf_map_lookup_elem(&ebpfnn_outputs, &index);

	if (!output)
		return;
	output->label = result->label;
	for (__u32 c = 0; c < ebpfnn_classes; c++) {
		__s32 score = result->scores[c];

		asm volatile("" : "+r"(score)); /* or the loop becomes a memcpy, which BPF does not have */
		output->scores[c] = score;
	}
}

/* Global, so that the verifier walks the network once, not in every iteration of the loop below. */
__noinline int ebpfnn_run_sample(__u32 slot, __u32 index)
{
	const void *sample = bpf_map_lookup_elem(&ebpfnn_samples, &index);
	struct ebpfnn_result *result = bpf_map_lookup_elem(&ebpfnn_results, &slot);
	int status;

	if (!sample || !result)
		return -ENOENT;
	status = ebpfnn_infer(sample, result);
	if (index >= EBPFNN_MAX_SLOTS)
		deliver(index - EBPFNN_MAX_SLOTS, result);
	return status;
}

static __always_inline int run_batch(__u32 slot, __u32 runs)
{
	__u32 index = EBPFNN_MAX_SLOTS;
	int status = 0;

	if (runs > ebpfnn_most_runs)
		return -ENOENT;
	/* Bounded by the constant too: the verifiers of Linux 5.10 and 6.1 forget the bounds of runs if clang spills it. */
	for (__u32 i = 0; i < ebpfnn_most_runs && i < runs; i++) {
		status |= ebpfnn_run_sample(slot, index); /* leaving the loop here would exceed the verifier's pending branches */
		if (++index == EBPFNN_MAX_SLOTS + ebpfnn_batch)
			index = EBPFNN_MAX_SLOTS;
	}
	return status;
}

/* Like ebpfnn_answer() of shell.h; the time is that of all runs, and a watcher gets the last one. */
static __always_inline void answer(const struct run_context *asked)
{
	__u32 slot = asked->slot, runs = asked->runs;
	struct ebpfnn_result *result = bpf_map_lookup_elem(&ebpfnn_results, &slot);
	__u64 start;

	if (!result)
		return;
	start = bpf_ktime_get_ns();
	result->status = runs ? run_batch(slot, runs) : ebpfnn_run_sample(slot, slot);
	ebpfnn_finish(result, slot, start);
}

SEC("syscall")
int ebpfnn_run(struct run_context *context)
{
	answer(context);
	return 0;
}

/* The "packet" is a struct run_context, padded to the length of an Ethernet header. */
SEC("xdp")
int ebpfnn_run_xdp(struct xdp_md *packet)
{
	struct run_context *context = (void *)(long)packet->data;

	if ((void *)(context + 1) > (void *)(long)packet->data_end)
		return XDP_ABORTED;
	answer(context);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
