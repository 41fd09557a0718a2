/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a network written in C finds its layers and parameters. The loader sizes, fills and freezes all of it, so the verifier
 * knows every width.
 */
#ifndef EBPFNN_PARAMETERS_H
#define EBPFNN_PARAMETERS_H

#include <ebpfnn/vmlinux.h>
#include <ebpfnn/abi.h>
#include <ebpfnn/nn.h>

#define EBPFNN_MAX_STAGES 4
#define EBPFNN_MAX_LAYERS 16 /* of all stages */

const volatile __u32 nn_depth;
const volatile __u32 nn_widest_input;
const volatile __u32 nn_widest_output;
const volatile __u32 nn_widest_edged;
const volatile struct nn_stage nn_stages[EBPFNN_MAX_STAGES];
const volatile struct nn_layer nn_layers[EBPFNN_MAX_LAYERS];

/* One element each, of the size that the network needs. */
#define NN_PARAMETERS(name)                           \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_ARRAY);     \
		__uint(map_flags, BPF_F_RDONLY_PROG); \
		__uint(max_entries, 1);               \
		__type(key, __u32);                   \
		__type(value, __u64);                 \
	} name SEC(".maps")

NN_PARAMETERS(nn_own_thresholds);
NN_PARAMETERS(nn_places);
NN_PARAMETERS(nn_tables);
NN_PARAMETERS(nn_order);
NN_PARAMETERS(nn_hidden_weights);
NN_PARAMETERS(nn_hidden_bias);
NN_PARAMETERS(nn_hidden_multipliers);
NN_PARAMETERS(nn_output_weights);
NN_PARAMETERS(nn_output_bias);
NN_PARAMETERS(nn_output_multipliers);

static __always_inline int nn_parameters_found(const struct nn_parameters *parameters)
{
	return parameters->weights && parameters->bias && parameters->multipliers;
}

/*
 * 0, or -ENOENT if a map has no element; the verifier requires this check. Its own function, because the compiler would keep each
 * pointer on the stack a second time.
 */
static __noinline int nn_find_network(struct nn_network *network)
{
	const struct nn_layer *first = (const struct nn_layer *)nn_layers;
	const struct nn_stage *stages = (const struct nn_stage *)nn_stages;
	__u32 zero = 0;

	/* Without this the compiler sees no writer, and may assume the zeros of this file. */
	nn_opaque(first);
	nn_opaque(stages);
	network->stages = stages;
	network->depth = nn_depth;
	network->layers = first;
	network->hidden.weights = bpf_map_lookup_elem(&nn_hidden_weights, &zero);
	network->hidden.bias = bpf_map_lookup_elem(&nn_hidden_bias, &zero);
	network->hidden.multipliers = bpf_map_lookup_elem(&nn_hidden_multipliers, &zero);
	network->output.weights = bpf_map_lookup_elem(&nn_output_weights, &zero);
	network->output.bias = bpf_map_lookup_elem(&nn_output_bias, &zero);
	network->output.multipliers = bpf_map_lookup_elem(&nn_output_multipliers, &zero);
	network->tables = bpf_map_lookup_elem(&nn_tables, &zero);
	network->order = bpf_map_lookup_elem(&nn_order, &zero);
	if (stages->input.packed)
		network->places = bpf_map_lookup_elem(&nn_places, &zero);
	else
		network->own_thresholds = bpf_map_lookup_elem(&nn_own_thresholds, &zero);
	if (!network->tables || !network->order || !network->places)
		return -ENOENT;
	return nn_parameters_found(&network->hidden) && nn_parameters_found(&network->output) ? 0 : -ENOENT;
}

/* The workspace of a network is the memory behind its result. Every slot has its own, and every caller a slot. */
static __always_inline struct nn_workspace nn_workspace_of(struct ebpfnn_result *result)
{
	struct nn_workspace workspace = { .accumulators = (__s32 *)(result + 1) };

	workspace.edged = workspace.accumulators + nn_widest_output;
	workspace.nonzero = (__u16 *)(workspace.edged + nn_widest_edged);
	workspace.activations = (__u8 *)(workspace.nonzero + nn_widest_input);
	return workspace;
}

static __noinline int nn_deliver(struct ebpfnn_result *result, const __s32 *scores, __u32 classes)
{
	for (__u32 c = 0; c < classes; c++) {
		__s32 score = scores[c];

		nn_opaque(score); /* or the loop becomes a memmove, which BPF does not have */
		result->scores[c] = score;
	}
	result->label = nn_argmax(scores, classes);
	return 0;
}

#endif
