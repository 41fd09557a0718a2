/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a sample and a result lie in memory: between a trigger shell and a network (ebpfnn_infer), and between the kernel and
 * user space (the maps "ebpfnn_samples" and "ebpfnn_results", one slot a caller). ebpfnn/abi.py is the twin of this file.
 *
 * Builds for BPF (after vmlinux.h) and for a host compiler (after <linux/types.h>).
 */
#ifndef EBPFNN_ABI_H
#define EBPFNN_ABI_H

/*
 * The one number for all that is built apart and has to fit together: shells, plugins' Python, instances in the kernel, model files.
 * It grows with each change to any of them that what was built before does not survive. ebpfnn/abi.py has it too.
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
	__s32 status;     /* 0, or a negative errno: nothing else but sequence is meaningful then */
	__u32 label;      /* index of the highest score; of equal scores, the first */
	__s32 scores[EBPFNN_MAX_SCORES];
};

/*
 * A slot whose caller sets the first of these bits in its sequence makes checks, which are neither counted nor told to watchers: a run
 * changes the second, and nothing else of the sequence.
 */
#define EBPFNN_CHECKING (1ULL << 63)
#define EBPFNN_CHECKED (1ULL << 62)

/* One inference as a watcher is told of it, in the ring buffer "ebpfnn_events". */
struct ebpfnn_event {
	__u64 time_ns;    /* CLOCK_MONOTONIC, as the network began */
	__u64 elapsed_ns; /* as in struct ebpfnn_result, like all below that is there too */
	__u64 source;     /* whose sample it was: a slot, or what the shell documents */
	__s32 status;
	__u32 label;      /* 0 where status is not 0 */
	__s32 score;      /* the label's; 0 where status is not 0 */
	__u32 network;    /* which network answered: 0, or the other of the two where networks are swapped */
};

/* The one element of the map "ebpfnn_watch". */
struct ebpfnn_watch {
	__u64 until_ns; /* events are told of before this time (CLOCK_MONOTONIC): a watcher that died is not told for ever */
	__u64 lost;     /* events that found the ring buffer full */
};

#endif
