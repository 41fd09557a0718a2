/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A quantized network in readable integer C. docs/quantization.md derives the arithmetic and numbers the equations;
 * ebpfnn/reference.py is the same in numpy, and the two are equal bit for bit.
 *
 * Builds for BPF (after vmlinux.h) and for a host compiler (after <linux/types.h>), and needs nothing else.
 *
 * What the kernel's verifier asks for shapes the code. It walks every iteration of a loop, so the innermost one is kept
 * short; it follows both sides of each branch on data, so everything but the skip of a zero input is branch-free. Widths
 * come from a frozen map, whose values it knows: with them it proves every access, and no check is needed here.
 */
#ifndef EBPFNN_NN_H
#define EBPFNN_NN_H

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

/* A fully connected layer. "First" indices count elements of nn_parameters' arrays, which hold several layers in a row. */
struct nn_layer {
	__u32 inputs;
	__u32 outputs;
	__u32 weights;  /* its first weight */
	__u32 channels; /* its first channel */
	__u32 shift;    /* 1..62 */
	__s32 low;
	__s32 high;
	__u32 sign_bit; /* 0x80 where its inputs are s8, 0 where they are u8 */
};

/* What turns one output's accumulator into a value. */
struct nn_multiplier {
	__s32 positive; /* of an accumulator >= 0 */
	__s32 negative; /* of an accumulator < 0: the slope of the activation is in it */
};

struct nn_parameters {
	/* [input][output], so that a zero input skips one contiguous row: most pixels of a digit are zero. */
	const __s8 *weights;
	const __s32 *bias;
	const struct nn_multiplier *multipliers;
};

/* The last layer keeps its parameters apart from the hidden ones, under the names that a network of one of each has. */
struct nn_network {
	__u32 depth;
	const struct nn_layer *layers;
	struct nn_parameters hidden;
	struct nn_parameters output;
};

/* Where a network computes. Too large for the 512 bytes of a BPF stack. */
struct nn_workspace {
	__s32 *accumulators; /* as many as the widest layer has outputs */
	__u16 *nonzero;      /* as many as the widest layer has inputs */
	__u8 *activations;   /* as many as the widest layer has outputs */
};

/* Hides from the compiler how x was made, lest it see a comparison in a sign bit and turn it into a branch. */
#define nn_opaque(x) asm volatile("" : "+r"(x))

#ifdef __clang__
#define NN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define NN_UNROLL
#endif

/*
 * Takes a step for each i + k below count, eight a turn: loop control is most of a short loop's work, and of the verifier's. The
 * compiler must not know how i moves, lest it count up from -count: Linux 6.1's verifier loses track of what is negated.
 * Wide, because 5.10's loses track of what is spilled in four bytes. With k apart from i, (array + i)[k] is one load.
 */
#define NN_FOR_EACH(i, k, count, step)                           \
	do {                                                     \
		__u64 i = 0, nn_end = (count);                   \
		for (; i + 8 <= nn_end; i += 8) {                \
			nn_opaque(i);                            \
			NN_UNROLL                                \
			for (int k = 0; k < 8; k++) {            \
				step;                            \
			}                                        \
		}                                                \
		for (; i < nn_end; i++) {                        \
			const int k = 0;                         \
			nn_opaque(i);                            \
			step;                                    \
		}                                                \
	} while (0)

/* 1 where x is negative, else 0. What is multiplied by it needs no branch. */
static __always_inline __s64 nn_is_negative(__s64 x)
{
	__u64 sign;

	nn_opaque(x);
	sign = (__u64)x >> 63;
	nn_opaque(sign);
	return sign;
}

/* Lists the inputs that are not zero, and returns how many. The others would add nothing: most pixels of a digit are blank. */
static __always_inline __u64 nn_list_nonzero(const __u8 *values, __u64 inputs, __u16 *nonzero)
{
	__u64 count = 0;

	/* The next index overwrites this one, unless it counts: 1..255 carry into the ninth bit, 0 does not. */
	NN_FOR_EACH(i, k, inputs, nonzero[count] = i + k; count += ((values + i)[k] + 255u) >> 8);
	return count;
}

/* Equation 4. No partial sum leaves int32: equation 7 bounds the sum of magnitudes, so it bounds every part of it too. */
static __always_inline void nn_accumulate(const struct nn_parameters *parameters, const struct nn_layer *layer,
					  const __u8 *values, struct nn_workspace workspace)
{
	__u64 inputs = layer->inputs, outputs = layer->outputs;
	__u32 sign_bit = layer->sign_bit;
	__u64 count = nn_list_nonzero(values, inputs, workspace.nonzero);
	const __s8 *weights = parameters->weights + layer->weights;
	const __s32 *bias = parameters->bias + layer->channels;

	for (__u64 o = 0; o < outputs; o++)
		workspace.accumulators[o] = bias[o];
	/* The count is data: Linux 6.1's verifier follows n beyond it, and needs an end that it knows. */
	for (__u64 n = 0; n < inputs; n++) {
		__u64 i;
		const __s8 *row;
		__s32 value;

		nn_opaque(n);
		if (n >= count)
			break;
		i = workspace.nonzero[n];
		if (i >= inputs) /* never; but the verifier does not know what was listed */
			return;
		row = weights + i * outputs;
		/* 0x80..0xff mean -128..-1 in an s8: 256 less than the byte says. */
		value = (__s32)values[i] - 2 * (__s32)(values[i] & sign_bit);
		NN_FOR_EACH(o, k, outputs, (workspace.accumulators + o)[k] += value * (row + o)[k]);
	}
}

/* Equation 5, and equation 6 without a branch. Equation 8 shows that the product and its rounding term fit 64 bits. */
static __always_inline __s32 nn_requantize(const struct nn_layer *layer, const struct nn_multiplier *by, __s64 accumulator)
{
	__s64 low = layer->low, high = layer->high, positive = by->positive, negative = by->negative;
	__s64 multiplier = positive + (negative - positive) * nn_is_negative(accumulator);
	__s64 value = (accumulator * multiplier + ((__s64)1 << (layer->shift - 1))) >> layer->shift;

	value -= (value - high) * nn_is_negative(high - value);
	return value + (low - value) * nn_is_negative(value - low);
}

/*
 * Turns the accumulators of a layer into its outputs: in place, where the last layer's are the network's scores, and as the
 * bytes that the next layer reads.
 */
static __always_inline void nn_activate(const struct nn_parameters *parameters, const struct nn_layer *layer,
					struct nn_workspace workspace)
{
	const struct nn_multiplier *multipliers = parameters->multipliers + layer->channels;
	__u32 outputs = layer->outputs;

	for (__u32 o = 0; o < outputs; o++) {
		__s32 value = nn_requantize(layer, &multipliers[o], workspace.accumulators[o]);

		workspace.accumulators[o] = value;
		workspace.activations[o] = value;
	}
}

/* Equation 13: the index of the highest score; of equal scores, the first. */
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

/* Runs one sample through every layer. Its scores are left in the first of workspace.accumulators, one a class. */
static __always_inline void nn_infer(const struct nn_network *network, const __u8 *sample, struct nn_workspace workspace)
{
	const __u8 *values = sample;

	for (__u32 number = 0; number < network->depth; number++) {
		const struct nn_layer *layer = &network->layers[number];
		int last = number + 1 == network->depth;
		const struct nn_parameters *parameters = last ? &network->output : &network->hidden;

		nn_accumulate(parameters, layer, values, workspace);
		nn_activate(parameters, layer, workspace);
		values = workspace.activations;
	}
}

#endif
