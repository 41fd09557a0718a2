// SPDX-License-Identifier: GPL-2.0
/*
 * Table networks, one after the other where they are a cascade: an input byte selects a row, and a row is one load and one
 * addition of as many sums as a vector holds. Nothing branches on the sample but a cascade. ebpfnn/bench/native_tables.py
 * builds it for one network, whose sizes are macros: so loops have constant bounds, as whoever wants speed would write them.
 */
#include <stdint.h>
#include <string.h>

/*
 * `first` has rows of 64-bit words of eight sums, [256][groups][words], `start` [words]; `last` has rows of scores, [neurons]
 * [256 >> shift][scores], and `bias` [scores]. The next stage decides where the best score leads by less than the MARGIN.
 */
struct stage {
	const void *first, *start, *last, *bias;
};

struct network {
	int32_t sample_bytes;
	const struct stage *stages;
};

static inline int32_t classes_of(const struct network *network)
{
	(void)network;
	return CLASSES;
}

#include "run.h"

#define JOINED_(name, number) name##number
#define JOINED(name, number) JOINED_(name, number)
#define OF(name) JOINED(name, STAGE)

/* By how much the best score leads the second best. */
static inline int64_t lead(const int32_t *scores)
{
	int64_t best = INT64_MIN, second = INT64_MIN;

	for (int32_t c = 0; c < CLASSES; c++) {
		int64_t score = scores[c], lower = score < best ? score : best;

		second = lower > second ? lower : second;
		best = score > best ? score : best;
	}
	return best - second;
}

#define STAGE 0
#include "table_stage.h"
#undef STAGE
#if STAGES > 1
#define STAGE 1
#include "table_stage.h"
#undef STAGE
#endif
#if STAGES > 2
#define STAGE 2
#include "table_stage.h"
#undef STAGE
#endif
#if STAGES > 3
#define STAGE 3
#include "table_stage.h"
#undef STAGE
#endif

static void infer(const struct network *network, const uint8_t *sample, int32_t *scores)
{
	const struct stage *stages = network->stages;

	stage0(stages, sample, scores);
#if STAGES > 1
	if (lead(scores) < MARGIN0)
		stage1(stages + 1, sample, scores);
	else
		return;
#endif
#if STAGES > 2
	if (lead(scores) < MARGIN1)
		stage2(stages + 2, sample, scores);
	else
		return;
#endif
#if STAGES > 3
	if (lead(scores) < MARGIN2)
		stage3(stages + 3, sample, scores);
#endif
}
