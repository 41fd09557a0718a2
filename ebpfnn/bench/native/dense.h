/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C rows of `ebpfnn bench` share: dense layers over 8-bit samples, one image a call.
 * ebpfnn/bench/native.py builds them with the host's compiler, and lays the weights out as each wants them.
 */
#ifndef EBPFNN_DENSE_H
#define EBPFNN_DENSE_H

#include <stdint.h>
#include <string.h>

#define WIDEST 4096

/*
 * Weights of tiles.h lie by groups of inputs, so many outputs each as fill its vectors. Rows in `extra` are added to those of
 * the groups that `extra_groups` names.
 */
struct layer {
	int32_t inputs, outputs, padded, groups, extras, shift, low, high, zero_point;
	const void *weights, *extra;
	const int32_t *extra_groups, *bias, *positive, *negative;
};

struct network {
	int32_t depth, sample_bytes;
	const struct layer *layers;
};

/* Equations 5 and 6 of docs/quantization.md. */
static inline int32_t requantize(const struct layer *layer, int32_t output, int32_t sum)
{
	int64_t multiplier = (sum < 0 ? layer->negative : layer->positive)[output];
	int64_t value = ((sum * multiplier + (1ll << (layer->shift - 1))) >> layer->shift) + layer->zero_point;

	return value < layer->low ? layer->low : value > layer->high ? layer->high : value;
}

static inline int32_t classes_of(const struct network *network)
{
	return network->layers[network->depth - 1].outputs;
}

#include "run.h"

#endif
