/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The memory layout of samples and results: between a trigger shell and a network (ebpfnn_infer), and between the kernel
 * and user space (the maps "ebpfnn_samples" and "ebpfnn_results", one slot per caller). ebpfnn/abi.py is the twin of this file.
 *
 * Builds for BPF (after vmlinux.h) and for a host compiler (after <linux/types.h>).
 */
#ifndef EBPFNN_ABI_H
#define EBPFNN_ABI_H

/*
 * The ABI version of all parts that are built separately: shells, plugins' Python, instances in the kernel, model files.
 * It grows with each incompatible change to any of them. ebpfnn/abi.py has it too.
 */
#define EBPFNN_ABI 2

#define EBPFNN_MAX_SCORES 64
#define EBPFNN_MAX_SLOTS 64

/*
 * A shell writes sequence, elapsed_ns and status for every sample, a network label and as many scores as it has, or it returns an error.
 * Nobody writes the scores behind these, and what lies behind the struct is the network's workspace.
 */
struct ebpfnn_result {
	__u64 sequence;   /* the shell adds 1 after everything else is written; of a check, below, another change */
	__u64 elapsed_ns; /* time inside ebpfnn_infer, by the shell */
	__s32 status;     /* 0, or a negative errno: then only sequence is valid */
	__u32 label;      /* index of the highest score; the first if several are equal */
	__s32 scores[EBPFNN_MAX_SCORES];
};

/*
 * Bits of a slot's sequence. The caller sets EBPFNN_CHECKING to mark its runs as checks, which are neither counted nor reported to
 * watchers. Such a run flips EBPFNN_CHECKED and leaves the rest of the sequence unchanged.
 */
#define EBPFNN_CHECKING (1ULL << 63)
#define EBPFNN_CHECKED (1ULL << 62)

/* One inference, as written to the ring buffer "ebpfnn_events" for a watcher. */
struct ebpfnn_event {
	__u64 time_ns;    /* CLOCK_MONOTONIC, when the network began */
	__u64 elapsed_ns; /* as in struct ebpfnn_result, like the fields below that are there too */
	__u64 source;     /* where the sample came from: a slot, or what the shell documents */
	__s32 status;
	__u32 label;      /* 0 where status is not 0 */
	__s32 score;      /* the label's; 0 where status is not 0 */
	__u32 network;    /* which network answered: 0 or 1; a swap changes it */
};

/* The one element of the map "ebpfnn_watch". */
struct ebpfnn_watch {
	__u64 until_ns; /* events are written until this time (CLOCK_MONOTONIC), so that they end if the watcher dies */
	__u64 lost;     /* events lost because the ring buffer was full */
};

#endif
