/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One table network, as tables.c includes it: GROUPS, WORDS, NEURONS, SHIFT, SCORE (the type of a score's sum) and SCORES (a row
 * of the last table, padded), each with the number of the STAGE. VECTOR is the CPU's bytes of a vector.
 *
 * Vectors are those of gcc and clang: an addition of uint64_t lanes is VPADDQ, so that carries cross the eight bytes of a word
 * as equation 20 of docs/quantization.md has them.
 */

#define FITTING(bytes) ((bytes) < VECTOR ? (bytes) : VECTOR)
#define SPLIT 2 /* sums at a time, so that an addition does not wait for the one before it */

typedef uint64_t OF(row) __attribute__((vector_size(FITTING(OF(WORDS) * 8))));
typedef OF(SCORE) OF(tail) __attribute__((vector_size(FITTING(sizeof(OF(SCORE)) * OF(SCORES)))));

enum {
	OF(row_vectors) = OF(WORDS) * 8 / sizeof(OF(row)),
	OF(tail_vectors) = sizeof(OF(SCORE)) * OF(SCORES) / sizeof(OF(tail)),
};

/* Offsets are constants once the loops are unrolled: a row is then a load, a multiplication and the addition. */
static inline __attribute__((always_inline)) void OF(add_rows)(const struct stage *stage, const uint8_t *sample, OF(row) *sums)
{
	OF(row) parts[SPLIT][OF(row_vectors)] = { 0 };

#pragma GCC unroll 128
	for (int32_t g = 0; g < OF(GROUPS); g++) {
		size_t number = (size_t)sample[g] * OF(GROUPS) * OF(WORDS) * 8;
		const OF(row) *row = (const OF(row) *)((const char *)stage->first + number + (size_t)g * OF(WORDS) * 8);

#pragma GCC unroll 8
		for (int32_t v = 0; v < OF(row_vectors); v++)
			parts[g % SPLIT][v] += row[v];
	}
#pragma GCC unroll 8
	for (int32_t v = 0; v < OF(row_vectors); v++)
		sums[v] = ((const OF(row) *)stage->start)[v] + parts[0][v] + parts[1][v];
}

static inline __attribute__((always_inline)) void OF(add_scores)(const struct stage *stage, const uint8_t *bytes, int32_t *scores)
{
	OF(tail) sums[OF(tail_vectors)];
	OF(SCORE) found[OF(SCORES)];

	memcpy(sums, stage->bias, sizeof(sums));
#pragma GCC unroll 128
	for (int32_t n = 0; n < OF(NEURONS); n++) {
		size_t number = (size_t)n * (256 >> OF(SHIFT)) + bytes[n];
		const OF(tail) *row = (const OF(tail) *)stage->last + number * OF(tail_vectors);

#pragma GCC unroll 8
		for (int32_t v = 0; v < OF(tail_vectors); v++)
			sums[v] += row[v];
	}
	memcpy(found, sums, sizeof(sums));
	for (int32_t c = 0; c < CLASSES; c++)
		scores[c] = found[c];
}

static inline __attribute__((always_inline)) void OF(stage)(const struct stage *stage, const uint8_t *sample, int32_t *scores)
{
	const uint64_t kept = 0x0101010101010101 * (255 >> OF(SHIFT)); /* what a byte of a word is after the shift */
	union {
		OF(row) sums[OF(row_vectors)];
		uint8_t bytes[OF(WORDS) * 8];
	} hidden;

	OF(add_rows)(stage, sample, hidden.sums);
#pragma GCC unroll 8
	for (int32_t v = 0; v < OF(row_vectors); v++)
		hidden.sums[v] = (hidden.sums[v] >> OF(SHIFT)) & kept;
	OF(add_scores)(stage, hidden.bytes, scores);
}

#undef FITTING
#undef SPLIT
