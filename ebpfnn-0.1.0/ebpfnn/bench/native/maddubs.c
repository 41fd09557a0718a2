// SPDX-License-Identifier: GPL-2.0
/*
 * AVX2 by hand, with twice the products an instruction: VPMADDUBSW multiplies u8 by s8 and adds pairs in 16 bits, which
 * saturate where two weights of one sign exceed 128 together. What they exceed it by lies in `extra`, in rows of their own. A
 * pair is a pixel of the upper half of the sample and one of the lower, where large weights seldom meet.
 */
#include "avx2.h"

static inline const void *arranged(const struct network *network, const uint8_t *sample, int16_t *into)
{
	int32_t half = network->layers->groups * 2;

	for (int32_t i = 0; i < half; i += 8) {
		__m128i upper = _mm_loadl_epi64((const __m128i *)(sample + i));
		__m128i lower = _mm_loadl_epi64((const __m128i *)(sample + half + i));

		_mm_store_si128((__m128i *)(into + i), _mm_unpacklo_epi8(upper, lower));
	}
	return into;
}

static inline __m256i first(__m256i sums, __m256i pixels, const void *weights, size_t number)
{
	__m256i pairs = _mm256_maddubs_epi16(pixels, load((const __m256i *)weights + number));

	return added(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

#include "tiles.h"
