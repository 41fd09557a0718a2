/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A quantized network in readable integer C. docs/quantization.md derives the arithmetic and numbers the equations;
 * ebpfnn/network/reference.py is the same in numpy, and the two are equal bit for bit.
 *
 * Builds for BPF (after vmlinux.h) and for a host compiler (after <linux/types.h>), and needs nothing else.
 *
 * The kernel's verifier determines the form of the code. It walks every iteration of a loop, so the innermost one is kept
 * short; it follows both sides of each branch on data, so everything but the skip of a zero input is branch-free. Widths
 * come from a frozen map, whose values it knows: with them it proves every access, and no check is needed here. Functions along
 * a chain of calls share 512 bytes of stack, so large code is in separate functions; they return 0, because the verifier
 * requires a number.
 */
#ifndef EBPFNN_NN_H
#define EBPFNN_NN_H

#include <ebpfnn/nn_image.h>
#include <ebpfnn/nn_input.h>
#include <ebpfnn/nn_join.h>
#include <ebpfnn/nn_network.h>
#include <ebpfnn/nn_table.h>
#include <ebpfnn/nn_verifiable.h>

/* What adds the products of a layer; naive.bpf.c has its own. */
#ifndef NN_SUM_PRODUCTS
#define NN_SUM_PRODUCTS nn_dense
#define NN_SUM_WINDOWS nn_conv2d
#endif

/* Lists the non-zero inputs, and returns their number. Zeros add nothing, and most pixels of a digit are 0. */
static __always_inline __u64 nn_list_nonzero(const __u8 *values, __u64 inputs, __u16 *nonzero)
{
	__u64 count = 0;

	/* The next index overwrites this one if the value is 0: 1..255 carry into the ninth bit, 0 does not. */
	NN_FOR_EACH(i, k, inputs, nonzero[count] = i + k; count += ((values + i)[k] + 255u) >> 8);
	return count;
}

/* Equation 4. No partial sum exceeds int32: equation 7 bounds the sum of magnitudes, so it bounds every partial sum too. */
static __noinline nn_maybe_unused int nn_dense(const struct nn_parameters *parameters, const struct nn_layer *layer,
					      const __u8 *values, const struct nn_workspace *workspace)
{
	__u64 inputs = layer->input.channels, outputs = layer->output.channels;
	__u32 sign_bit = layer->sign_bit;
	__u64 count = nn_list_nonzero(values, inputs, workspace->nonzero);
	const __s8 *weights = parameters->weights + layer->weights;
	const __s32 *bias = parameters->bias + layer->channels;

	for (__u64 o = 0; o < outputs; o++)
		workspace->accumulators[o] = bias[o];
	/* The count is data: Linux 6.1's verifier walks beyond it, and needs a constant limit. */
	for (__u64 n = 0; n < inputs; n++) {
		__u64 i;
		const __s8 *row;
		__s32 value;

		nn_opaque(n);
		if (n >= count)
			break;
		i = workspace->nonzero[n];
		if (i >= inputs) /* never true; but the verifier does not know the listed values */
			return 0;
		row = weights + i * outputs;
		value = nn_value(values[i], sign_bit);
		NN_FOR_EACH(o, k, outputs, (workspace->accumulators + o)[k] += value * (row + o)[k]);
	}
	return 0;
}

/*
 * Turns the accumulators of a layer into its outputs: in place (the scores of the last layer), and as the bytes that the
 * next layer reads, by its activation table if it has one (equation 26).
 */
static __noinline int nn_activate(const struct nn_network *network, const struct nn_parameters *parameters,
				  const struct nn_layer *layer, const struct nn_workspace *workspace)
{
	const struct nn_multiplier *multipliers = parameters->multipliers + layer->channels;
	__u64 places = (__u64)layer->output.rows * layer->output.columns, o = 0;
	__u8 *activations = workspace->activations + layer->gives;

	for (__u64 channel = 0; channel < layer->output.channels; channel++)
		for (__u64 place = 0; place < places; place++, o++) {
			__s32 value = nn_requantize(layer, &multipliers[channel], workspace->accumulators[o]);

			if (layer->activation)
				value = network->tables[layer->activation - 1 + (value & 255)];
			workspace->accumulators[o] = value;
			activations[o] = value;
		}
	return 0;
}

/* Equation 13: the index of the highest score; the first if several are equal. */
static __always_inline __u32 nn_argmax(const __s32 *scores, __u32 classes)
{
	__s64 best = scores[0];
	__u32 label = 0;

	for (__u32 c = 1; c < classes; c++) {
		__s64 higher = nn_is_negative(best - scores[c]);

		best += (scores[c] - best) * higher;
		label += (c - label) * (__u32)higher;
	}
	return label;
}

static __always_inline __u32 nn_classes(const struct nn_network *network)
{
	return nn_size(&network->layers[network->stages[0].depth - 1].output);
}

/* Equation 22: by how much the best score leads the second best. */
static __always_inline __s64 nn_lead(const __s32 *scores, __u32 classes)
{
	__s64 best = scores[0], second = -0x80000000ll;

	for (__u32 c = 1; c < classes; c++) {
		__s64 score = scores[c];
		__s64 larger = nn_larger(best, score);

		second = nn_larger(second, best + score - larger);
		best = larger;
	}
	return best - second;
}

/* Whether the scores of a stage are those of its cascade. */
static __noinline int nn_decides(const struct nn_network *network, const struct nn_stage *stage, const __s32 *scores)
{
	__s64 lead = nn_lead(scores, nn_classes(network)) - stage->margin;

	return 1 - (int)nn_is_negative(lead);
}

/* Runs one layer, from the values at the places that it takes to those at the place that it gives. */
static __always_inline void nn_run(const struct nn_network *network, const struct nn_parameters *parameters,
				   const struct nn_layer *layer, const __u8 *sample, const struct nn_workspace *workspace)
{
	const __u8 *values = nn_values_at(layer->takes, sample, workspace);

	nn_opaque(values);
	if (layer->kind == NN_CONCAT) {
		nn_concat(parameters, layer, sample, workspace);
		return;
	}
	if (layer->kind == NN_SQUARED_ERROR) {
		nn_squared_error(layer, sample, workspace);
		return;
	}
	if (layer->kind == NN_MAX_POOL) {
		nn_max_pool(layer, values, workspace);
		return;
	}
	if (layer->kind == NN_ADD)
		nn_add(parameters, layer, sample, workspace);
	else if (layer->kind == NN_TABLE)
		nn_table(network, parameters, layer, values, workspace);
	else if (layer->kind == NN_CONV2D)
		NN_SUM_WINDOWS(parameters, layer, values, workspace);
	else
		NN_SUM_PRODUCTS(parameters, layer, values, workspace);
	if (layer->groups.byte_lanes)
		nn_byte_lanes(layer, workspace);
	else
		nn_activate(network, parameters, layer, workspace);
}

/*
 * Runs one sample through every layer, and through the stages of a cascade until one decides. The scores are then in the first
 * workspace->accumulators, one per class.
 */
static __always_inline void nn_infer(const struct nn_network *network, const __u8 *sample, const struct nn_workspace *workspace)
{
	for (__u32 number = 0; number < network->depth; number++) {
		const struct nn_stage *stage = &network->stages[number];
		const struct nn_layer *layer = &network->layers[stage->first_layer];

		nn_levels(network, &stage->input, sample, workspace->activations);
		for (__u32 n = stage->depth; n; n--, layer++) {
			/* Or the compiler keeps what these point to on the stack a second time. */
			nn_opaque(network);
			nn_run(network, n == 1 ? &network->output : &network->hidden, layer, sample, workspace);
		}
		if (!stage->margin || nn_decides(network, stage, workspace->accumulators))
			break;
	}
}

#endif
