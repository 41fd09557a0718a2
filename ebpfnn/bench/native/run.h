/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The timed loop of every C row of `ebpfnn bench`. Whoever includes it has defined `struct network`, with the `sample_bytes`
 * between samples, and `classes_of`, and defines `infer` behind it.
 */
#ifndef EBPFNN_RUN_H
#define EBPFNN_RUN_H

#include <stdint.h>
#include <time.h>

static void infer(const struct network *network, const uint8_t *sample, int32_t *scores);

/*
 * Runs `runs` inferences over `count` samples in turn, and returns how many nanoseconds they took: of this thread's time, which
 * others on the machine do not lengthen; but a single run by the wall clock, which is quicker to read.
 */
uint64_t run(const struct network *network, const uint8_t *samples, uint32_t count, uint32_t runs, int32_t *scores)
{
	void (*volatile each)(const struct network *, const uint8_t *, int32_t *) = infer; /* a call each, as anyone would make */
	int32_t classes = classes_of(network);
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
