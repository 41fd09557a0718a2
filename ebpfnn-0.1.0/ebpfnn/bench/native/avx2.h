/* SPDX-License-Identifier: GPL-2.0 */
/* What the two rows by hand for AVX2 have in common: vectors of 8 sums, and what becomes of them. */
#ifndef EBPFNN_AVX2_H
#define EBPFNN_AVX2_H

#include <immintrin.h>
#include "dense.h"

#define VECTOR __m256i
#define LANES 8
#define TILE 4
#define SPLIT 1
#define zeros _mm256_setzero_si256
#define load _mm256_load_si256
#define added _mm256_add_epi32
#define everywhere _mm256_set1_epi32

static inline __m256i later(__m256i sums, __m256i pair, const void *weights, size_t number)
{
	return added(sums, _mm256_madd_epi16(pair, load((const __m256i *)weights + number)));
}

/* (sum * multiplier + half) >> shift for every other lane. AVX2 has no arithmetic shift of 64 bits. */
static inline __m256i scaled(__m256i sums, __m256i multipliers, int32_t shift)
{
	__m256i product = _mm256_mul_epi32(sums, multipliers);
	__m256i lifted = _mm256_add_epi64(product, _mm256_set1_epi64x((1ll << (shift - 1)) + INT64_MIN));

	return _mm256_sub_epi64(_mm256_srli_epi64(lifted, shift), _mm256_set1_epi64x(1ll << (63 - shift)));
}

static inline __m256i requantized(const struct layer *layer, int32_t output, __m256i sums)
{
	__m256i positive = load((const __m256i *)(layer->positive + output));
	__m256i negative = load((const __m256i *)(layer->negative + output));
	__m256i by = _mm256_blendv_epi8(positive, negative, _mm256_srai_epi32(sums, 31));
	__m256i even = scaled(sums, by, layer->shift);
	__m256i odd = scaled(_mm256_srli_epi64(sums, 32), _mm256_srli_epi64(by, 32), layer->shift);
	__m256i values = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);

	values = added(values, everywhere(layer->zero_point));
	values = _mm256_max_epi32(values, everywhere(layer->low));
	return _mm256_min_epi32(values, everywhere(layer->high));
}

static inline void store(__m256i values, int16_t *into)
{
	__m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(values, values), 0x08);

	_mm_store_si128((__m128i *)into, _mm256_castsi256_si128(packed));
}

#endif
