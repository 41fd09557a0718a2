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
#include <ebpfnn/nn_network.h>
#include <ebpfnn/nn_verifiable.h>

/* Equation 1: how many of the thresholds a pixel reaches. */
static __always_inline __u8 nn_level(const struct nn_input *input, __s64 pixel)
{
	__u64 thresholds = (1u << input->bits) - 1;
	__u8 level = 0;

	for (__u64 t = 0; t < thresholds; t++)
		level += nn_is_negative(input->thresholds[t] - 1 - pixel);
	return level;
}

/* The level of value i if a byte holds several. Bit b from the right is bit flip - b from the left. */
static __always_inline __u8 nn_unpack(const struct nn_input *input, const __u8 *sample, __u64 i)
{
	__u64 bit = i * input->bits;

	return sample[bit >> 3] >> ((bit & 7) ^ input->flip) & ((1u << input->bits) - 1);
}

/* Equation 1 if each value has its own thresholds. */
static __noinline int nn_own_levels(const struct nn_input *input, const __u8 *own, const __u8 *sample, __u8 *levels)
{
	__u64 values = input->values, thresholds = (1u << input->bits) - 1;

	for (__u64 i = 0; i < values; i++) {
		__s64 pixel;
		__u8 level = 0;

		nn_opaque(i);
		pixel = sample[i];
		for (__u64 t = 0; t < thresholds; t++)
			level += nn_is_negative(own[i * thresholds + t] - pixel);
		levels[i] = level;
	}
	return 0;
}

/* The input of the first layer: the sample unchanged, or its levels. */
static __always_inline const __u8 *nn_levels(const struct nn_network *network, const __u8 *sample,
					     const struct nn_workspace *workspace)
{
	const struct nn_input *input = network->input;
	__u64 values = input->values;

	if (input->bits == 8)
		return sample;
	if (input->own) {
		nn_own_levels(input, network->own_thresholds, sample, workspace->activations);
		return workspace->activations;
	}
	for (__u64 i = 0; i < values; i++) {
		nn_opaque(i);
		workspace->activations[i] = input->packed ? nn_unpack(input, sample, i) : nn_level(input, sample[i]);
	}
	return workspace->activations;
}

/* Lists the non-zero inputs, and returns their number. Zeros add nothing, and most pixels of a digit are 0. */
static __always_inline __u64 nn_list_nonzero(const __u8 *values, __u64 inputs, __u16 *nonzero)
{
	__u64 count = 0;

	/* The next index overwrites this one if the value is 0: 1..255 carry into the ninth bit, 0 does not. */
	NN_FOR_EACH(i, k, inputs, nonzero[count] = i + k; count += ((values + i)[k] + 255u) >> 8);
	return count;
}

/* Equation 4. No partial sum exceeds int32: equation 7 bounds the sum of magnitudes, so it bounds every partial sum too. */
static __noinline int nn_dense(const struct nn_parameters *parameters, const struct nn_layer *layer, const __u8 *values,
			       const struct nn_workspace *workspace)
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

/* Equation 5, and equation 6 without a branch. Equation 8 shows that the product and its rounding term fit 64 bits. */
static __always_inline __s32 nn_requantize(const struct nn_layer *layer, const struct nn_multiplier *by, __s64 accumulator)
{
	__s64 low = layer->low, high = layer->high, positive = by->positive, negative = by->negative;
	__s64 multiplier = positive + (negative - positive) * nn_is_negative(accumulator);
	__s64 value = (accumulator * multiplier + ((__s64)1 << (layer->shift - 1))) >> layer->shift;

	value += layer->zero_point;
	value -= (value - high) * nn_is_negative(high - value);
	return value + (low - value) * nn_is_negative(value - low);
}

/*
 * Turns the accumulators of a layer into its outputs: in place (the scores of the last layer), and as the bytes that the
 * next layer reads.
 */
static __noinline int nn_activate(const struct nn_parameters *parameters, const struct nn_layer *layer,
				  const struct nn_workspace *workspace)
{
	const struct nn_multiplier *multipliers = parameters->multipliers + layer->channels;
	__u64 places = (__u64)layer->output.rows * layer->output.columns, o = 0;

	for (__u64 channel = 0; channel < layer->output.channels; channel++)
		for (__u64 place = 0; place < places; place++, o++) {
			__s32 value = nn_requantize(layer, &multipliers[channel], workspace->accumulators[o]);

			workspace->accumulators[o] = value;
			workspace->activations[o] = value;
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

/* Runs one sample through every layer. The scores are then in the first workspace->accumulators, one per class. */
static __always_inline void nn_infer(const struct nn_network *network, const __u8 *sample, const struct nn_workspace *workspace)
{
	const __u8 *values = nn_levels(network, sample, workspace);

	for (__u32 number = 0; number < network->depth; number++) {
		const struct nn_layer *layer = &network->layers[number];
		int last = number + 1 == network->depth;
		const struct nn_parameters *parameters = last ? &network->output : &network->hidden;

		if (layer->kind == NN_MAX_POOL) {
			nn_max_pool(layer, values, workspace);
		} else {
			if (layer->kind == NN_CONV2D)
				nn_conv2d(parameters, layer, values, workspace);
			else
				nn_dense(parameters, layer, values, workspace);
			nn_activate(parameters, layer, workspace);
		}
		values = workspace->activations;
	}
}

#endif
