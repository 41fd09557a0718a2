/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C rows of `ebpfnn bench` share: dense layers over 8-bit samples, one image a call, timed over many.
 * ebpfnn/bench/native.py builds them with the host's compiler, and lays the weights out as each wants them.
 */
#ifndef EBPFNN_DENSE_H
#define EBPFNN_DENSE_H

#include <stdint.h>
#include <string.h>
#include <time.h>

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

static void infer(const struct network *network, const uint8_t *sample, int32_t *scores);

/*
 * Runs `runs` inferences over `count` samples in turn, and returns how many nanoseconds they took: of this thread's time, which
 * others on the machine do not lengthen; but a single run by the wall clock, which is quicker to read.
 */
uint64_t run(const struct network *network, const uint8_t *samples, uint32_t count, uint32_t runs, int32_t *scores)
{
	void (*volatile each)(const struct network *, const uint8_t *, int32_t *) = infer; /* a call each, as anyone would make */
	int32_t classes = network->layers[network->depth - 1].outputs;
	clockid_t clock = runs > 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
	struct timespec begun, done;
	uint32_t at = 0;

	clock_gettime(clock, &begun);
	for (uint32_t i = 0; i < runs; i++) {
		each(network, samples + (size_t)at * network->sample_bytes, scores + (size_t)at * classes);
		if (++at == count)
			at = 0;
	}
	clock_gettime(clock, &done);
	return (done.tv_sec - begun.tv_sec) * 1000000000ll + done.tv_nsec - begun.tv_nsec;
}

#endif
