/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where a network written in C finds its layers and parameters. The loader sizes, fills and freezes all of it, so the verifier
 * knows every width. Include it after vmlinux.h.
 */
#ifndef EBPFNN_PARAMETERS_H
#define EBPFNN_PARAMETERS_H

#include <ebpfnn/abi.h>
#include <ebpfnn/nn.h>

#define EBPFNN_MAX_LAYERS 16

const volatile __u32 depth;
const volatile __u32 widest_input;
const volatile __u32 widest_output;
const volatile __u32 widest_edged;
const volatile struct nn_input input;
const volatile struct nn_layer layers[EBPFNN_MAX_LAYERS];

/* One element each, of as many bytes as the network needs. */
#define PARAMETERS(name)                          \
	struct {                                  \
		__uint(type, BPF_MAP_TYPE_ARRAY); \
		__uint(map_flags, BPF_F_RDONLY_PROG); \
		__uint(max_entries, 1);           \
		__type(key, __u32);               \
		__type(value, __u64);             \
	} name SEC(".maps")

PARAMETERS(hidden_weights);
PARAMETERS(hidden_bias);
PARAMETERS(hidden_multipliers);
PARAMETERS(output_weights);
PARAMETERS(output_bias);
PARAMETERS(output_multipliers);

static __always_inline int parameters_found(const struct nn_parameters *parameters)
{
	return parameters->weights && parameters->bias && parameters->multipliers;
}

/* 0, or -ENOENT where a map has no element, which the verifier wants asked. */
static __always_inline int find_network(struct nn_network *network)
{
	const struct nn_layer *first = (const struct nn_layer *)layers;
	const struct nn_input *taken = (const struct nn_input *)&input;
	__u32 zero = 0;

	/* Without this the compiler, seeing no writer, may take them for the zeros of this file. */
	nn_opaque(first);
	nn_opaque(taken);
	network->input = taken;
	network->depth = depth;
	network->layers = first;
	network->hidden.weights = bpf_map_lookup_elem(&hidden_weights, &zero);
	network->hidden.bias = bpf_map_lookup_elem(&hidden_bias, &zero);
	network->hidden.multipliers = bpf_map_lookup_elem(&hidden_multipliers, &zero);
	network->output.weights = bpf_map_lookup_elem(&output_weights, &zero);
	network->output.bias = bpf_map_lookup_elem(&output_bias, &zero);
	network->output.multipliers = bpf_map_lookup_elem(&output_multipliers, &zero);
	return parameters_found(&network->hidden) && parameters_found(&network->output) ? 0 : -ENOENT;
}

/* A network computes in the memory behind its result: every caller has a slot, and a slot its own. */
static __always_inline struct nn_workspace workspace_of(struct ebpfnn_result *result)
{
	struct nn_workspace workspace = { .accumulators = (__s32 *)(result + 1) };

	workspace.edged = workspace.accumulators + widest_output;
	workspace.nonzero = (__u16 *)(workspace.edged + widest_edged);
	workspace.activations = (__u8 *)(workspace.nonzero + widest_input);
	return workspace;
}

static __always_inline int deliver(struct ebpfnn_result *result, const __s32 *scores, __u32 classes)
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
