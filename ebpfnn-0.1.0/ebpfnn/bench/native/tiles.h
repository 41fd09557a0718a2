/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dense layers input by input, so that sums stay in registers and nothing is added across a vector. Whoever includes it says
 * what a VECTOR of LANES sums is, how many inputs of the first layer one step takes (GROUP, in 32 bits), and what `arranged`,
 * `first`, `later`, `requantized` and `store` do. SPLIT sums an output hide the latency of a multiplication that also adds.
 *
 * Weights lie [inputs / GROUP][padded][GROUP] in the first layer, int8, and [inputs / 2][padded][2] in later ones, int16.
 */
#ifndef EBPFNN_TILES_H
#define EBPFNN_TILES_H

#define INLINE static inline __attribute__((always_inline))

typedef VECTOR (*multiply_add)(VECTOR sums, VECTOR inputs, const void *weights, size_t number);

/* Adds `count` groups of inputs to `vectors` times LANES sums: a constant number of them is unrolled, and stays in registers. */
INLINE void add_groups(VECTOR sums[][TILE], int32_t vectors, const int32_t *groups, int32_t count, const void *weights,
		       size_t at, size_t step, multiply_add add)
{
	int32_t g = 0;

	for (; g + SPLIT <= count; g += SPLIT)
		for (int32_t s = 0; s < SPLIT; s++, at += step)
			for (int32_t v = 0; v < vectors; v++)
				sums[s][v] = add(sums[s][v], everywhere(groups[g + s]), weights, at + v);
	for (; g < count; g++, at += step)
		for (int32_t v = 0; v < vectors; v++)
			sums[0][v] = add(sums[0][v], everywhere(groups[g]), weights, at + v);
}

INLINE void add_extras(VECTOR sums[][TILE], int32_t vectors, const int32_t *groups, const struct layer *layer, size_t at,
		       size_t step)
{
	for (int32_t e = 0; e < layer->extras; e++, at += step)
		for (int32_t v = 0; v < vectors; v++)
			sums[0][v] = first(sums[0][v], everywhere(groups[layer->extra_groups[e]]), layer->extra, at + v);
}

INLINE void deliver(const struct layer *layer, int32_t output, int32_t vectors, const VECTOR *sums, int16_t *values,
		    int32_t *scores)
{
	int32_t last[TILE * LANES];

	if (!scores) {
		for (int32_t v = 0; v < vectors; v++)
			store(requantized(layer, output + LANES * v, sums[v]), values + output + LANES * v);
		return;
	}
	memcpy(last, sums, vectors * sizeof(VECTOR));
	for (int32_t o = output; o < output + LANES * vectors && o < layer->outputs; o++)
		scores[o] = requantize(layer, o, last[o - output]);
}

/* As many tiles of `vectors` as there are from `output` on, and the output behind them. */
INLINE int32_t tiles(const struct layer *layer, int32_t output, int32_t vectors, const int32_t *groups, int is_first,
		     int16_t *values, int32_t *scores)
{
	size_t step = layer->padded / LANES;

	for (; output + LANES * vectors <= layer->padded; output += LANES * vectors) {
		VECTOR sums[SPLIT][TILE];

		for (int32_t s = 0; s < SPLIT; s++)
			for (int32_t v = 0; v < vectors; v++)
				sums[s][v] = s ? zeros() : load((const VECTOR *)(layer->bias + output) + v);
		if (is_first) {
			add_groups(sums, vectors, groups, layer->groups, layer->weights, output / LANES, step, first);
			add_extras(sums, vectors, groups, layer, output / LANES, step);
		} else {
			add_groups(sums, vectors, groups, layer->groups, layer->weights, output / LANES, step, later);
		}
		for (int32_t s = 1; s < SPLIT; s++)
			for (int32_t v = 0; v < vectors; v++)
				sums[0][v] = added(sums[0][v], sums[s][v]);
		deliver(layer, output, vectors, sums[0], values, scores);
	}
	return output;
}

static void infer(const struct network *network, const uint8_t *sample, int32_t *scores)
{
	int16_t values[3][WIDEST] __attribute__((aligned(64)));
	const void *groups = arranged(network, sample, values[2]);

	for (int32_t depth = 0; depth < network->depth; depth++) {
		const struct layer *layer = &network->layers[depth];
		int32_t *last = depth + 1 == network->depth ? scores : 0, output = 0;

		output = tiles(layer, output, TILE, groups, !depth, values[depth & 1], last);
		output = tiles(layer, output, 2, groups, !depth, values[depth & 1], last);
		tiles(layer, output, 1, groups, !depth, values[depth & 1], last);
		groups = values[depth & 1];
	}
}

#endif
