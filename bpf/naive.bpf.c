// SPDX-License-Identifier: GPL-2.0
/*
 * The baseline of every benchmark: the loops as one first writes them, neuron by neuron, weights laid out [output][input].
 * Equal to the twin bit for bit; only the order of the work differs.
 */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/parameters.h>

static __always_inline __s32 dot_unsigned(const __s8 *weights, const __u8 *values, __u32 count, __s32 sum)
{
	for (__u32 i = 0; i < count; i++)
		sum += weights[i] * values[i];
	return sum;
}

static __always_inline __s32 dot_signed(const __s8 *weights, const __s8 *values, __u32 count, __s32 sum)
{
	for (__u32 i = 0; i < count; i++)
		sum += weights[i] * values[i];
	return sum;
}

static __always_inline void dense(const struct nn_parameters *parameters, const struct nn_layer *layer, const __u8 *values,
				  struct nn_workspace workspace)
{
	const struct nn_multiplier *multipliers = parameters->multipliers + layer->channels;
	const __s32 *bias = parameters->bias + layer->channels;
	const __s8 *row = parameters->weights + layer->weights;
	__u32 inputs = layer->inputs, outputs = layer->outputs;

	for (__u32 o = 0; o < outputs; o++, row += inputs) {
		__s32 accumulator = layer->sign_bit ? dot_signed(row, (const __s8 *)values, inputs, bias[o])
						    : dot_unsigned(row, values, inputs, bias[o]);

		workspace.accumulators[o] = nn_requantize(layer, &multipliers[o], accumulator);
	}
	for (__u32 o = 0; o < outputs; o++)
		workspace.activations[o] = workspace.accumulators[o];
}

int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	struct nn_workspace workspace = workspace_of(result);
	const __u8 *values = sample;
	struct nn_network network;
	int error = find_network(&network);

	if (error)
		return error;
	for (__u32 number = 0; number < network.depth; number++) {
		int last = number + 1 == network.depth;

		dense(last ? &network.output : &network.hidden, &network.layers[number], values, workspace);
		values = workspace.activations;
	}
	return deliver(result, workspace.accumulators, network.layers[network.depth - 1].outputs);
}

char LICENSE[] SEC("license") = "GPL";
