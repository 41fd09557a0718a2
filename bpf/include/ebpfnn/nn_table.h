/* SPDX-License-Identifier: GPL-2.0 */
/* Layers of tables: the levels of a group of inputs select a row, and rows are added. */
#ifndef EBPFNN_NN_TABLE_H
#define EBPFNN_NN_TABLE_H

#include <ebpfnn/nn_network.h>
#include <ebpfnn/nn_verifiable.h>

/* Equation 19: the row that a group selects. The first member is in the most significant bits. */
static __always_inline __u64 nn_row_number(const struct nn_layer *layer, const __u32 *members, const __u8 *values)
{
	__u64 inputs = layer->input.channels, count = layer->groups.members, row = 0;
	__u32 bits = layer->groups.bits;

	for (__u64 j = 0; j < count; j++) {
		__u64 input = members[j], level = 0;

		if (input < inputs) /* not where it is NN_NO_INPUT */
			level = nn_value(values[input], layer->sign_bit) - layer->groups.lowest;
		row = row << bits | level;
	}
	/* It is less already; but the verifier does not know the levels. */
	return row & ((1u << count * bits) - 1);
}

/* Equation 19. */
static __noinline int nn_table(const struct nn_network *network, const struct nn_parameters *parameters,
			       const struct nn_layer *layer, const __u8 *values, const struct nn_workspace *workspace)
{
	__u64 outputs = layer->output.channels, count = layer->groups.count, members = layer->groups.members;
	__u64 size = outputs << members * layer->groups.bits;
	const __s16 *table = network->tables + layer->groups.rows;
	const __u32 *order = network->order + layer->groups.order;
	const __s32 *bias = parameters->bias + layer->channels;
	__s32 *sums = workspace->accumulators;

	for (__u64 o = 0; o < outputs; o++)
		sums[o] = bias[o];
	for (__u64 g = 0; g < count; g++) {
		const __s16 *row;

		nn_opaque(g);
		row = table + g * size + nn_row_number(layer, order + g * members, values) * outputs;
		NN_FOR_EACH(o, k, outputs, (sums + o)[k] += (row + o)[k]);
	}
	return 0;
}

/* Equation 20. A sum that does not fit its byte carries into the next output of its word. */
static __noinline int nn_byte_lanes(const struct nn_layer *layer, const struct nn_workspace *workspace)
{
	__u64 outputs = layer->output.channels;
	__u8 *activations = workspace->activations + layer->gives;

	for (__u64 first = 0; first < outputs; first += 8) {
		__u64 end = first + 8 < outputs ? first + 8 : outputs, word = 0;

		nn_opaque(first);
		for (__u64 o = first; o < end; o++)
			word += (__u64)(128 + (__s64)workspace->accumulators[o]) << 8 * (o - first);
		for (__u64 o = first; o < end; o++, word >>= 8)
			activations[o] = (__u8)word >> layer->shift;
	}
	return 0;
}

#endif
