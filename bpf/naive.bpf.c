// SPDX-License-Identifier: GPL-2.0
/*
 * The baseline of every benchmark: plain loops, neuron by neuron, with weights [output][input].
 * Its scores equal the twin's bit for bit; only the order of the work differs.
 */
#include <ebpfnn/vmlinux.h>
#include <ebpfnn/nn_image.h>

static __always_inline __s32 dot_unsigned(const __s8 *weights, const __u8 *values, __u32 count, __s32 sum)
{
	for (__u32 i = 0; i < count; i++)
		sum += weights[i] * values[i];
	return sum;
}

static __always_inline __s32 dot_signed(const __s8 *weights, const __s8 *values, __u32 count, __s32 sum)
{
	for (__u32 i = 0; i < count; i++)
		sum += weights[i] * values[i];
	return sum;
}

static __noinline int dense(const struct nn_parameters *parameters, const struct nn_layer *layer, const __u8 *values,
			    const struct nn_workspace *workspace)
{
	const __s32 *bias = parameters->bias + layer->channels;
	const __s8 *row = parameters->weights + layer->weights;
	__u32 inputs = layer->input.channels, outputs = layer->output.channels;

	for (__u32 o = 0; o < outputs; o++, row += inputs)
		workspace->accumulators[o] = layer->sign_bit ? dot_signed(row, (const __s8 *)values, inputs, bias[o])
							     : dot_unsigned(row, values, inputs, bias[o]);
	return 0;
}

/* One window over the input channels of a group; its first position is the corner of the first channel. */
static __always_inline __s32 dot_window(const struct nn_layer *layer, const __s8 *weights, const __s32 *corner, __s32 sum)
{
	__u64 wide = nn_edged_columns(layer), size = nn_edged_rows(layer) * wide;

	for (__u64 i = 0; i < layer->group_inputs; i++)
		for (__u64 r = 0; r < layer->window.rows; r++)
			for (__u64 c = 0; c < layer->window.columns; c++)
				sum += *weights++ * corner[i * size + r * wide + c];
	return sum;
}

static __noinline int conv2d(const struct nn_parameters *parameters, const struct nn_layer *layer, const __u8 *values,
			     const struct nn_workspace *workspace)
{
	const struct nn_window *window = &layer->window;
	const __s8 *weights = parameters->weights + layer->weights;
	__u64 taps = (__u64)layer->group_inputs * window->rows * window->columns;
	__u64 wide = nn_edged_columns(layer), size = nn_edged_rows(layer) * wide;
	const __s32 *group = workspace->edged;
	__s32 *accumulator = workspace->accumulators;

	nn_edge(layer, values, layer->pad_value, workspace->edged);
	for (__u64 o = 0; o < layer->output.channels; group += layer->group_inputs * size)
		for (__u64 n = 0; n < layer->group_outputs; n++, o++, weights += taps)
			for (__u64 y = 0; y < layer->output.rows; y++)
				for (__u64 x = 0; x < layer->output.columns; x++) {
					const __s32 *corner = group + y * window->row_step * wide + x * window->column_step;

					*accumulator++ = dot_window(layer, weights, corner, parameters->bias[layer->channels + o]);
				}
	return 0;
}

#define NN_SUM_PRODUCTS dense
#define NN_SUM_WINDOWS conv2d
#include <ebpfnn/parameters.h>

int ebpfnn_infer(const void *sample, struct ebpfnn_result *result)
{
	struct nn_workspace workspace = nn_workspace_of(result);
	struct nn_network network;
	int error = nn_find_network(&network);

	if (error)
		return error;
	nn_infer(&network, sample, &workspace);
	return nn_deliver(result, workspace.accumulators, nn_classes(&network));
}

char LICENSE[] SEC("license") = "GPL";
