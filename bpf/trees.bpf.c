// SPDX-License-Identifier: GPL-2.0
/* The twin of forests: trees in readable C (trees.h) as the body of ebpfnn_infer. ebpfnn/trees/twin.py sizes and fills its maps. */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/abi.h>
#include <ebpfnn/trees.h>

/* The loader sets them, and freezes the map of them, so that the verifier knows them. */
const volatile __u32 nn_tree_count;
const volatile __u32 nn_tree_depth;
const volatile __u32 nn_tree_values;
const volatile __u32 nn_tree_labels;
const volatile __u32 nn_tree_node_mask;
const volatile __u32 nn_tree_row_mask;
const volatile __u32 nn_tree_value_mask;

/* One element each, of the size that the forest needs. */
#define TREE_TABLE(name)                              \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_ARRAY);     \
		__uint(map_flags, BPF_F_RDONLY_PROG); \
		__uint(max_entries, 1);               \
		__type(key, __u32);                   \
		__type(value, __u64);                 \
	} name SEC(".maps")

TREE_TABLE(nn_tree_nodes);
TREE_TABLE(nn_tree_roots);
TREE_TABLE(nn_tree_base);
TREE_TABLE(nn_tree_leaves);

int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	struct nn_tree_workspace workspace = { .scores = result->scores, .values = (__u8 *)(result + 1) };
	__u32 zero = 0;
	struct nn_tree_forest forest = {
		.nodes = bpf_map_lookup_elem(&nn_tree_nodes, &zero),
		.roots = bpf_map_lookup_elem(&nn_tree_roots, &zero),
		.base = bpf_map_lookup_elem(&nn_tree_base, &zero),
		.leaves = bpf_map_lookup_elem(&nn_tree_leaves, &zero),
		.trees = nn_tree_count,
		.depth = nn_tree_depth,
		.values = nn_tree_values,
		.labels = nn_tree_labels,
		.node_mask = nn_tree_node_mask,
		.row_mask = nn_tree_row_mask,
		.value_mask = nn_tree_value_mask,
	};

	if (!forest.nodes || !forest.roots || !forest.base || !forest.leaves)
		return -ENOENT;
	nn_tree_infer(&forest, sample, &workspace);
	result->label = nn_tree_label(result->scores, forest.labels);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
