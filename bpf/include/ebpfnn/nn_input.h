/* SPDX-License-Identifier: GPL-2.0 */
/* From a sample to the levels that the first layer gets. */
#ifndef EBPFNN_NN_INPUT_H
#define EBPFNN_NN_INPUT_H

#include <ebpfnn/nn_network.h>
#include <ebpfnn/nn_verifiable.h>

/* Equation 1: how many of the thresholds a pixel reaches. */
static __always_inline __u8 nn_level(const struct nn_input *input, __s64 pixel)
{
	__u64 thresholds = (1u << input->bits) - 1;
	__u8 level = 0;

	for (__u64 t = 0; t < thresholds; t++)
		level += nn_is_negative(input->thresholds[t] - 1 - pixel);
	return level;
}

/* The level of value i if a byte holds several. Bit b from the right is bit flip - b from the left. */
static __always_inline __u8 nn_unpack(const struct nn_input *input, const __u8 *sample, __u64 i)
{
	__u64 bit = i * input->bits;

	return sample[bit >> 3] >> ((bit & 7) ^ input->flip) & ((1u << input->bits) - 1);
}

/* Equation 1 if each value has its own thresholds. */
static __noinline int nn_own_levels(const struct nn_input *input, const __u8 *own, const __u8 *sample, __u8 *levels)
{
	__u64 values = input->values, thresholds = (1u << input->bits) - 1;

	for (__u64 i = 0; i < values; i++) {
		__s64 pixel;
		__u8 level = 0;

		nn_opaque(i);
		pixel = sample[i];
		for (__u64 t = 0; t < thresholds; t++)
			level += nn_is_negative(own[i * thresholds + t] - pixel);
		levels[i] = level;
	}
	return 0;
}

/* Equation 18: the levels of a packed sample that has an order. */
static __noinline int nn_ordered_levels(const struct nn_input *input, const __u32 *places, const __u8 *sample, __u8 *levels)
{
	__u64 values = input->values;

	for (__u64 i = 0; i < values; i++) {
		__u64 place;

		nn_opaque(i);
		place = places[i];
		if (place >= values) /* never true; but the verifier may not know the places */
			return 0;
		levels[i] = nn_unpack(input, sample, place);
	}
	return 0;
}

/* Computes the levels that layers get as the sample, unless they are the sample unchanged. */
static __noinline int nn_levels(const struct nn_network *network, const struct nn_input *input, const __u8 *sample,
				__u8 *levels)
{
	__u64 values = input->values;

	if (input->bits == 8)
		return 0;
	if (input->own)
		return nn_own_levels(input, network->own_thresholds + input->first_own, sample, levels);
	if (input->ordered)
		return nn_ordered_levels(input, network->places, sample, levels);
	for (__u64 i = 0; i < values; i++) {
		nn_opaque(i);
		levels[i] = input->packed ? nn_unpack(input, sample, i) : nn_level(input, sample[i]);
	}
	return 0;
}

#endif
