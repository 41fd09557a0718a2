// SPDX-License-Identifier: GPL-2.0
/* AVX-512 VNNI by hand: VPDPBUSD multiplies 64 pixels by weights and adds fours of them in 32 bits, without saturation. */
#include <immintrin.h>
#include "dense.h"

#define VECTOR __m512i
#define LANES 16
#define TILE 4
#define SPLIT 4
#define zeros _mm512_setzero_si512
#define load _mm512_load_si512
#define added _mm512_add_epi32
#define everywhere _mm512_set1_epi32

static inline const void *arranged(const struct network *network, const uint8_t *sample, int16_t *into)
{
	(void)network;
	(void)into;
	return sample;
}

static inline __m512i first(__m512i sums, __m512i pixels, const void *weights, size_t number)
{
	return _mm512_dpbusd_epi32(sums, pixels, load((const __m512i *)weights + number));
}

static inline __m512i later(__m512i sums, __m512i pair, const void *weights, size_t number)
{
	return _mm512_dpwssd_epi32(sums, pair, load((const __m512i *)weights + number));
}

/* (sum * multiplier + half) >> shift for every other lane. */
static inline __m512i scaled(__m512i sums, __m512i multipliers, int32_t shift)
{
	__m512i lifted = _mm512_add_epi64(_mm512_mul_epi32(sums, multipliers), _mm512_set1_epi64(1ll << (shift - 1)));

	return _mm512_sra_epi64(lifted, _mm_cvtsi32_si128(shift));
}

static inline __m512i requantized(const struct layer *layer, int32_t output, __m512i sums)
{
	__m512i positive = load(layer->positive + output), negative = load(layer->negative + output);
	__m512i by = _mm512_mask_blend_epi32(_mm512_movepi32_mask(sums), positive, negative);
	__m512i even = scaled(sums, by, layer->shift);
	__m512i odd = scaled(_mm512_srli_epi64(sums, 32), _mm512_srli_epi64(by, 32), layer->shift);
	__m512i values = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));

	values = added(values, everywhere(layer->zero_point));
	return _mm512_min_epi32(_mm512_max_epi32(values, everywhere(layer->low)), everywhere(layer->high));
}

static inline void store(__m512i values, int16_t *into)
{
	_mm256_store_si256((__m256i *)into, _mm512_cvtepi32_epi16(values));
}

#include "tiles.h"
