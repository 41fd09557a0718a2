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
 * What scores say: the kind of results of a model. A value and an anomaly score have one score, and their label is 0. A vector has a
 * score for each of its components, and the label of the highest one. A score times the score scale of the model, which user space
 * knows, is the value.
 */
#define EBPFNN_RESULT_LABEL 0   /* which label: that of the highest score */
#define EBPFNN_RESULT_VALUE 1   /* a number */
#define EBPFNN_RESULT_ANOMALY 2 /* how unusual the sample is: more for a higher score */
#define EBPFNN_RESULT_VECTOR 3  /* several numbers */

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
	__u32 network;    /* which network answered: the number of swaps before it */
};

/* The one element of the map "ebpfnn_watch". */
struct ebpfnn_watch {
	__u64 until_ns; /* events are written until this time (CLOCK_MONOTONIC), so that they end if the watcher dies */
	__u64 lost;     /* events lost because the ring buffer was full */
};

/*
 * The latest verdict on a key, in the map "ebpfnn_verdicts". An observer writes it. For a watcher, the ring buffer "ebpfnn_events" of an
 * observer has every verdict, followed by the key; there the label is 0 if the network failed.
 */
struct ebpfnn_verdict {
	__u64 time_ns;    /* of the event at which the network ran */
	__u64 elapsed_ns; /* time inside ebpfnn_infer, 0 if nobody watched: only then the clock is read */
	__u32 label;      /* index of the highest score, plus 1 */
	__s32 margin;     /* the highest score minus the second highest, at most 2^31 - 1; that too if there is one label; the score
			     itself if results are values or anomaly scores */
	__u32 network;    /* swaps before this network */
	__u32 number;     /* of the event, counted in its state */
};

/* What an observer counts, in the map "ebpfnn_counts": for each event of the spec an element on each CPU. */
struct ebpfnn_counts {
	__u64 observed;   /* events that the conditions of the spec and of the event accepted */
	__u64 created;    /* states for keys that had none */
	__u64 restarted;  /* states that began again after being idle */
	__u64 ended;      /* states that an event ended */
	__u64 unstored;   /* events ignored, and verdicts not kept, because their map was full */
	__u64 frozen;     /* events ignored because their state had reached the last number */
	__u64 rows;       /* rows */
	__u64 inferences; /* verdicts */
	__u64 failed;     /* rows for which the network gave no verdict */
	__u64 lost;       /* records and rows lost because the ring buffer was full */
};

/* What ebpfnn_observe() returns has this bit, beside the label plus 1, if a guard says that the event is to be acted on. */
#define EBPFNN_ACT (1 << 16)

/* What ebpfnn_act() may return at every event: it goes on, as one that is not acted on. */
#define EBPFNN_GO_ON (1 << 30)

/* The one element of the map "ebpfnn_control" of a guard. Whoever loaded it writes it; zeros mean audit. */
struct ebpfnn_control {
	__u64 until_ns; /* events are acted on until this time (CLOCK_MONOTONIC) */
	__u64 paused;   /* not 0: none is */
};

/* What a guard keeps of a key with verdicts that counted, in the map "ebpfnn_guarded". */
struct ebpfnn_kept {
	__u64 until_ns; /* events of the key are acted on until this time */
	__u32 streak;   /* verdicts in a row that counted */
	__u32 label;    /* of the latest one that counted, plus 1 */
};

/* What a guard counts, in the map "ebpfnn_actions": by label plus 1 an element on each CPU; events that are allowed have no label. */
struct ebpfnn_acted {
	__u64 acted;   /* events acted on */
	__u64 audited; /* events that would have been acted on, but for the time in struct ebpfnn_control */
	__u64 paused;  /* but for the pause */
	__u64 capped;  /* but for the cap on the share of events */
	__u64 allowed; /* events that the allow-list kept from being observed */
};

/* What became of the events that a guard of threads acted on, in the map "ebpfnn_outcomes", on each CPU. */
struct ebpfnn_outcomes {
	__u64 hit;     /* the action was done */
	__u64 failed;  /* the kernel refused it */
	__u64 exempt;  /* the thread is one that is never hit */
	__u64 outside; /* the thread was not in the cgroup of the guard */
};

/* The window of a guard's cap on one CPU, in the map "ebpfnn_window". */
struct ebpfnn_window {
	__u64 number; /* the time of its events, shifted right by 30 */
	__u64 base;   /* events observed before the first one in it that was due */
	__u64 acted;  /* events in it that the cap let through */
};

/* An event that was acted on, as written to the ring buffer "ebpfnn_alerts". The fields of the event follow, as its shell has them. */
struct ebpfnn_alert {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 event;   /* index in the spec */
	__u32 label;   /* of the latest verdict, plus 1 */
	__u32 network; /* swaps before this network */
	__u32 bytes;   /* of the fields */
};

/*
 * What ends a case of a guard: the verdict at which a key became due. Before it are, without gaps, a struct ebpfnn_record, the key and the
 * results of the row, u64 each. In the map "ebpfnn_cases" each event of the spec has as many elements on each CPU as the others, those of the
 * first event first. The map "ebpfnn_recorded" has a u64 for each event on each CPU: how many there have been. Case n, counted from 0, is in
 * the event's element n modulo their number.
 */
struct ebpfnn_case {
	__u32 label;   /* plus 1 */
	__s32 margin;  /* these three as in struct ebpfnn_verdict */
	__u32 network;
	__u32 reason;  /* what became of the event: the place of a member of struct ebpfnn_acted, from 0 */
};

/* What begins each record and each row in the ring buffer "ebpfnn_rows". */
struct ebpfnn_record {
	__u32 event;   /* index in the spec */
	__u32 number;  /* of the event, counted in its state; 0 in a record of fields */
	__u64 time_ns; /* of the event */
};

#endif
