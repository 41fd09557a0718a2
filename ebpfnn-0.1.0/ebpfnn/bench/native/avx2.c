// SPDX-License-Identifier: GPL-2.0
/* AVX2 by hand: pixels and weights widened to 16 bits, and VPMADDWD, which adds pairs of products in 32 and never saturates. */
#include "avx2.h"

static inline const void *arranged(const struct network *network, const uint8_t *sample, int16_t *into)
{
	for (int32_t i = 0; i < network->sample_bytes; i += 16)
		_mm256_store_si256((__m256i *)(into + i), _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(sample + i))));
	return into;
}

static inline __m256i first(__m256i sums, __m256i pair, const void *weights, size_t number)
{
	__m256i widened = _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)weights + number));

	return added(sums, _mm256_madd_epi16(pair, widened));
}

#include "tiles.h"
