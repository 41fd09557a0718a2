/* SPDX-License-Identifier: GPL-2.0 */
/* Layers that take the values of several: sums of two, channels side by side, and the error of a reconstruction. */
#ifndef EBPFNN_NN_JOIN_H
#define EBPFNN_NN_JOIN_H

#include <ebpfnn/nn_network.h>
#include <ebpfnn/nn_verifiable.h>

/* The values at a place that a layer takes. */
static __always_inline const __u8 *nn_values_at(__u32 place, const __u8 *sample, const struct nn_workspace *workspace)
{
	return place == NN_SAMPLE ? sample : workspace->activations + place;
}

/* Equation 24: the accumulators. Equation 7 bounds them, and the partial sums. */
static __noinline int nn_add(const struct nn_parameters *parameters, const struct nn_layer *layer, const __u8 *sample,
			     const struct nn_workspace *workspace)
{
	const struct nn_source *one = &layer->source[0], *other = &layer->source[1];
	const __u8 *first = nn_values_at(one->place, sample, workspace);
	const __u8 *second = nn_values_at(other->place, sample, workspace);
	__s32 bias = parameters->bias[layer->channels], *sums = workspace->accumulators;
	__u64 size = one->size;

	NN_FOR_EACH(i, k, size, (sums + i)[k] = bias + one->factor * nn_value((first + i)[k], one->sign_bit));
	NN_FOR_EACH(i, k, size, (sums + i)[k] += other->factor * nn_value((second + i)[k], other->sign_bit));
	return 0;
}

/* Equation 25 for one of the values: its outputs, of which the first is at an offset behind the first of the layer. */
static __noinline int nn_concat_one(const struct nn_parameters *parameters, const struct nn_layer *layer, __u64 number,
				    const __u8 *values, __u8 *outputs)
{
	__u64 channel = layer->channels + number, size = layer->source[number].size;
	const struct nn_multiplier *by = &parameters->multipliers[channel];
	__u32 sign_bit = layer->source[number].sign_bit;
	__s64 bias = parameters->bias[channel];

	for (__u64 i = 0; i < size; i++) {
		nn_opaque(i);
		outputs[i] = nn_requantize(layer, by, bias + nn_value(values[i], sign_bit));
	}
	return 0;
}

/* Equation 25. */
static __always_inline void nn_concat(const struct nn_parameters *parameters, const struct nn_layer *layer, const __u8 *sample,
				      const struct nn_workspace *workspace)
{
	__u8 *outputs = workspace->activations + layer->gives;

	for (__u64 number = 0; number < layer->sources; number++) {
		const struct nn_source *source = &layer->source[number];

		nn_concat_one(parameters, layer, number, nn_values_at(source->place, sample, workspace), outputs);
		outputs += source->size;
	}
}

/* Equation 28: the score, which every network proves to fit. */
static __noinline int nn_squared_error(const struct nn_layer *layer, const __u8 *sample, const struct nn_workspace *workspace)
{
	const struct nn_source *one = &layer->source[0], *other = &layer->source[1];
	const __u8 *first = nn_values_at(one->place, sample, workspace);
	const __u8 *second = nn_values_at(other->place, sample, workspace);
	__u64 size = one->size, sum = 0;
	__s64 apart;

	NN_FOR_EACH(i, k, size, apart = nn_value((first + i)[k], one->sign_bit) - nn_value((second + i)[k], other->sign_bit);
		    sum += apart * apart);
	workspace->accumulators[0] = sum;
	return 0;
}

#endif
