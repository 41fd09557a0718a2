/* SPDX-License-Identifier: GPL-2.0 */
/* The structs of a network and of its workspace, for nn.h. ebpfnn/compiler/twin.py is the twin of this file. */
#ifndef EBPFNN_NN_NETWORK_H
#define EBPFNN_NN_NETWORK_H

#include <ebpfnn/nn_verifiable.h>

/* An image: channel by channel, row by row. A flat input has one channel per value, each of one row and column. */
struct nn_shape {
	__u32 channels;
	__u32 rows;
	__u32 columns;
};

/* How a window moves over an image: its strides, and the edges on the four sides. */
struct nn_window {
	__u32 rows;
	__u32 columns;
	__u32 row_step;
	__u32 column_step;
	__u32 top;
	__u32 left;
	__u32 bottom;
	__u32 right;
};

enum nn_kind { NN_DENSE, NN_CONV2D, NN_MAX_POOL, NN_TABLE, NN_ADD, NN_CONCAT, NN_SQUARED_ERROR };

/* What a layer is given: the place of its first value among those that are kept, or the sample. */
#define NN_SAMPLE 0xffffffff

/* One of the values that a layer joins. */
struct nn_source {
	__u32 place;
	__u32 size;     /* values */
	__u32 sign_bit; /* as of nn_layer */
	__s32 factor;   /* of a sum */
};

#define EBPFNN_MAX_SOURCES 8

/* The groups of a table layer, each of which selects a row of its own table. */
struct nn_groups {
	__u32 count;
	__u32 members;    /* inputs of a group */
	__u32 bits;       /* of an input's level */
	__s32 lowest;     /* the value of level 0 */
	__u32 order;      /* the first input */
	__u32 rows;       /* the first row, in values */
	__u32 byte_lanes; /* whether the layer's outputs are the bytes of words, shifted right by its shift */
};

/* A layer. "First" indices count elements of nn_parameters' arrays, which hold several layers in a row. */
struct nn_layer {
	__u32 kind;
	struct nn_shape input;
	struct nn_shape output;
	struct nn_window window;
	__u32 group_inputs;  /* input channels of a group of a convolution */
	__u32 group_outputs; /* its output channels */
	__u32 weights;       /* its first weight */
	__u32 channels;      /* its first channel */
	__u32 shift;         /* 1..62; of byte lanes 0..7 */
	__s32 low;
	__s32 high;
	__s32 zero_point;
	__s32 pad_value;     /* the value of the edges */
	__u32 sign_bit;      /* 0x80 if its inputs are s8, 0 if they are u8 */
	__u32 activation;    /* 1 and the first value of its activation table among nn_network's; 0 if it has none */
	struct nn_groups groups;
	__u32 takes;   /* the place of its first input, or NN_SAMPLE */
	__u32 gives;   /* that of its first output */
	__u32 sources; /* what it joins: of layers with one input none */
	struct nn_source source[EBPFNN_MAX_SOURCES];
};

/* The input of the first layer: with 8 bits the sample, with fewer the level of each value. */
struct nn_input {
	__u32 values;
	__u32 bits;
	__u32 packed;        /* whether samples are packed levels, 8 / bits of them per byte */
	__u32 flip;          /* 8 - bits if the first one is in the most significant bits, else 0 */
	__u8 thresholds[16]; /* 2^bits - 1 of them */
	__u32 own;           /* whether each value has thresholds of its own, in nn_network */
	__u32 first_own;     /* the first of them */
	__u32 ordered;       /* whether packed levels lie in another order than values do: at the places in nn_network */
};

/* The multipliers that turn an accumulator of one output into a value. */
struct nn_multiplier {
	__s32 positive; /* for an accumulator >= 0 */
	__s32 negative; /* for an accumulator < 0: includes the slope of the activation */
};

struct nn_parameters {
	/*
	 * Of a dense layer [input][output], so that a zero input skips one contiguous row: most pixels of a digit are zero. Of
	 * a convolution [output channel][input channel of its group][row][column].
	 */
	const __s8 *weights;
	const __s32 *bias;
	const struct nn_multiplier *multipliers;
};

/* Where a group has fewer members than others. */
#define NN_NO_INPUT 0xffffffff

/* One network of a cascade. Most networks are one stage. */
struct nn_stage {
	struct nn_input input;
	__u32 first_layer;
	__u32 depth;
	__s32 margin; /* the next stage decides if the best score leads by less; 0 in the last stage */
};

/* The parameters of the last layers are separate from the hidden ones, under the names of a network with one of each. */
struct nn_network {
	const struct nn_stage *stages;
	__u32 depth; /* stages */
	const struct nn_layer *layers;
	union {
		const __u8 *own_thresholds; /* 2^bits - 1 a value, each less one, so that 256 fits a byte; if nothing is packed */
		const __u32 *places;        /* of each value among the levels of a packed sample, if it has an order */
	};
	const __s16 *tables;                /* of table layers: [group][row][output]; activation tables: [256] */
	const __u32 *order;                 /* [group][member]: an input, or NN_NO_INPUT */
	struct nn_parameters hidden;
	struct nn_parameters output;
};

/* The workspace of a network. It is too large for the 512 bytes of a BPF stack. */
struct nn_workspace {
	__s32 *accumulators; /* as many as the widest layer has outputs */
	__s32 *edged;        /* as many as the largest input of a convolution or pool has values, its edges included */
	__u16 *nonzero;      /* as many as the widest dense layer has inputs */
	__u8 *activations;   /* as many as the widest layer has outputs, or the sample has levels; of a graph, those of all layers */
};

static __always_inline __u64 nn_size(const struct nn_shape *shape)
{
	return (__u64)shape->channels * shape->rows * shape->columns;
}

/* The value of a byte in a layer: with the sign bit, 0x80..0xff are -128..-1. */
static __always_inline __s32 nn_value(__u8 byte, __u32 sign_bit)
{
	return (__s32)byte - 2 * (__s32)(byte & sign_bit);
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

#endif
