/* SPDX-License-Identifier: GPL-2.0 */
/* Layers over images: convolutions and pools. Each works on a copy of its input with edges, as signed integers. */
#ifndef EBPFNN_NN_IMAGE_H
#define EBPFNN_NN_IMAGE_H

#include <ebpfnn/nn_network.h>
#include <ebpfnn/nn_verifiable.h>

/* Smaller than any u8 or s8. */
#define NN_NO_VALUE (-129)

static __always_inline __u64 nn_edged_rows(const struct nn_layer *layer)
{
	return (__u64)layer->window.top + layer->input.rows + layer->window.bottom;
}

static __always_inline __u64 nn_edged_columns(const struct nn_layer *layer)
{
	return (__u64)layer->window.left + layer->input.columns + layer->window.right;
}

/* Copies the input as integers, with edges around each channel, so that windows need no checks for signs and bounds. */
static __noinline int nn_edge(const struct nn_layer *layer, const __u8 *values, __s32 pad_value, __s32 *edged)
{
	__u64 channels = layer->input.channels, rows = layer->input.rows, columns = layer->input.columns;
	__u64 wide = nn_edged_columns(layer), size = nn_edged_rows(layer) * wide;
	__u32 sign_bit = layer->sign_bit;

	NN_FOR_EACH(i, k, channels * size, (edged + i)[k] = pad_value);
	edged += layer->window.top * wide + layer->window.left;
	for (__u64 channel = 0; channel < channels; channel++, edged += size)
		for (__u64 row = 0; row < rows; row++, values += columns)
			NN_FOR_EACH(i, k, columns, (edged + row * wide + i)[k] = nn_value((values + i)[k], sign_bit));
	return 0;
}

/* Adds one input channel to the sums of one output channel: for each weight, its product with every window. */
static __noinline int nn_convolve(const struct nn_layer *layer, const __s8 *weights, const __s32 *channel, __s32 *sums)
{
	const struct nn_window *window = &layer->window;
	__u64 wide = nn_edged_columns(layer), outputs = layer->output.columns, step = window->column_step;

	for (__u64 r = 0; r < window->rows; r++)
		for (__u64 c = 0; c < window->columns; c++) {
			const __s32 *seen_row = channel + r * wide + c;
			__s32 weight = *weights++, *sum = sums;

			for (__u64 y = 0; y < layer->output.rows; y++, seen_row += window->row_step * wide) {
				const __s32 *seen = seen_row;

				for (__u64 x = 0; x < outputs; x++, seen += step)
					*sum++ += weight * *seen;
			}
		}
	return 0;
}

/* Equation 14. Each output channel reads the input channels of its group. */
static __noinline nn_maybe_unused int nn_conv2d(const struct nn_parameters *parameters, const struct nn_layer *layer,
					       const __u8 *values, const struct nn_workspace *workspace)
{
	__u64 size = nn_edged_rows(layer) * nn_edged_columns(layer), inputs = layer->group_inputs;
	__u64 taps = (__u64)layer->window.rows * layer->window.columns;
	__u64 places = (__u64)layer->output.rows * layer->output.columns;
	const __s8 *weights = parameters->weights + layer->weights;
	const __s32 *bias = parameters->bias + layer->channels;
	const __s32 *group = workspace->edged;
	__s32 *sums = workspace->accumulators;

	nn_edge(layer, values, layer->pad_value, workspace->edged);
	for (__u64 o = 0; o < layer->output.channels; group += inputs * size)
		for (__u64 n = 0; n < layer->group_outputs; n++, o++, sums += places) {
			NN_FOR_EACH(i, k, places, (sums + i)[k] = bias[o]);
			for (__u64 i = 0; i < inputs; i++, weights += taps)
				nn_convolve(layer, weights, group + i * size, sums);
		}
	return 0;
}

/* Equation 15 for one channel: for each position in the window, the values of all windows. */
static __noinline int nn_find_largest(const struct nn_layer *layer, const __s32 *channel, __s32 *largest)
{
	const struct nn_window *window = &layer->window;
	__u64 wide = nn_edged_columns(layer), outputs = layer->output.columns, step = window->column_step;

	for (__u64 r = 0; r < window->rows; r++)
		for (__u64 c = 0; c < window->columns; c++) {
			const __s32 *seen_row = channel + r * wide + c;
			__s32 *most = largest;

			for (__u64 y = 0; y < layer->output.rows; y++, seen_row += window->row_step * wide) {
				const __s32 *seen = seen_row;

				for (__u64 x = 0; x < outputs; x++, most++, seen += step)
					*most = nn_larger(*most, *seen);
			}
		}
	return 0;
}

/* Equation 15. Padding is smaller than any value, so that it is never the largest. */
static __noinline int nn_max_pool(const struct nn_layer *layer, const __u8 *values, const struct nn_workspace *workspace)
{
	__u64 size = nn_edged_rows(layer) * nn_edged_columns(layer), outputs = nn_size(&layer->output);
	__u64 places = (__u64)layer->output.rows * layer->output.columns;
	const __s32 *channel = workspace->edged;
	__s32 *largest = workspace->accumulators;
	__u8 *activations = workspace->activations + layer->gives;

	nn_edge(layer, values, NN_NO_VALUE, workspace->edged);
	NN_FOR_EACH(i, k, outputs, (largest + i)[k] = NN_NO_VALUE);
	for (__u64 c = 0; c < layer->output.channels; c++)
		nn_find_largest(layer, channel + c * size, largest + c * places);
	NN_FOR_EACH(i, k, outputs, (activations + i)[k] = (largest + i)[k]);
	return 0;
}

#endif
