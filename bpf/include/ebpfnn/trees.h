/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trees, forests and boosted trees in readable C: docs/trees.md, equation by equation. Builds for BPF (after vmlinux.h) and for a
 * host compiler (after <linux/types.h>). ebpfnn/trees/twin.py is the twin of this file.
 */
#ifndef EBPFNN_TREES_H
#define EBPFNN_TREES_H

#include <ebpfnn/nn_verifiable.h>

/*
 * A node, or a leaf. Both children of a leaf are itself, so that every way down a forest has as many steps: no branch depends on
 * the sample, and the verifier walks each step once.
 */
struct nn_tree_node {
	__u32 value;     /* of the sample; 0 of a leaf */
	__u32 threshold; /* 1..255; 0 of a leaf */
	__u32 next[2];   /* if the value reaches the threshold, and if it is below it */
	__u32 row;       /* of a leaf, in the table of leaves */
};

/* Numbers have 64 bits, because the verifier of Linux 5.10 loses track of smaller ones on the stack. */
struct nn_tree_forest {
	const struct nn_tree_node *nodes; /* node_mask + 1 of them */
	const __u32 *roots;            /* a node for each tree */
	const __s32 *base;             /* a score for each label */
	const __s32 *leaves;           /* [row][label], row_mask + 1 rows */
	__u64 trees;
	__u64 depth;     /* steps to the deepest leaf */
	__u64 values;    /* of a sample */
	__u64 labels;
	__u64 node_mask;  /* a number of so many bits is that of a node: what is read from memory, the verifier does not know */
	__u64 row_mask;
	__u64 value_mask; /* as many bytes as this and 1 more are there for values */
};

/* The memory behind a result. */
struct nn_tree_workspace {
	__s32 *scores; /* one a label */
	__u8 *values;  /* the sample, with bytes behind it up to value_mask */
};

/* Equation 1: the node that follows; a leaf follows itself. */
static __always_inline __u64 nn_tree_next(const struct nn_tree_forest *forest, const __u8 *values, __u64 node)
{
	const struct nn_tree_node *at = &forest->nodes[node & forest->node_mask];
	__s64 value = values[at->value & forest->value_mask];

	return at->next[nn_is_negative(value - (__s64)at->threshold)];
}

/* The row of the leaf that a tree reaches. */
static __always_inline __u64 nn_tree_reached(const struct nn_tree_forest *forest, const __u8 *values, __u64 node)
{
	for (__u64 step = 0; step < forest->depth; step++) {
		nn_opaque(step);
		node = nn_tree_next(forest, values, node);
	}
	return forest->nodes[node & forest->node_mask].row & forest->row_mask;
}

/* Equation 2. */
static __always_inline void nn_tree_infer(const struct nn_tree_forest *forest, const __u8 *sample,
				       const struct nn_tree_workspace *workspace)
{
	for (__u64 i = 0; i < forest->values; i++) {
		__u8 value = sample[i];

		nn_opaque(value); /* or the loop becomes a memcpy, which BPF does not have */
		workspace->values[i] = value;
	}
	for (__u64 c = 0; c < forest->labels; c++) {
		__s32 score = forest->base[c];

		nn_opaque(score);
		workspace->scores[c] = score;
	}
	for (__u64 tree = 0; tree < forest->trees; tree++) {
		const __s32 *leaf = forest->leaves + nn_tree_reached(forest, workspace->values, forest->roots[tree]) * forest->labels;

		for (__u64 c = 0; c < forest->labels; c++) {
			nn_opaque(c);
			workspace->scores[c] += leaf[c];
		}
	}
}

/* Equation 3: the key of a score counts its label down, so that of equal scores the first is the largest. */
static __always_inline __u32 nn_tree_label(const __s32 *scores, __u64 labels)
{
	__s64 best = -(1ll << 40); /* below every key */

	for (__u64 c = 0; c < labels; c++) {
		__s64 key = (__s64)scores[c] * 64 + (63 - (__s64)c);

		best += (key - best) * nn_is_negative(best - key);
	}
	return 63 - (best & 63);
}

#endif
