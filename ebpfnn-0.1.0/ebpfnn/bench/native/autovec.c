// SPDX-License-Identifier: GPL-2.0
/* Plain C, which the compiler makes vectors of. Weights are int8 [outputs][inputs]. */
#include "dense.h"

static void infer(const struct network *network, const uint8_t *sample, int32_t *scores)
{
	int16_t values[WIDEST];

	for (int32_t i = 0; i < network->sample_bytes; i++)
		values[i] = sample[i];
	for (int32_t depth = 0; depth < network->depth; depth++) {
		const struct layer *layer = &network->layers[depth];
		const int8_t *weights = layer->weights;
		int16_t outputs[WIDEST];

		for (int32_t o = 0; o < layer->outputs; o++, weights += layer->inputs) {
			int32_t sum = layer->bias[o];

			for (int32_t i = 0; i < layer->inputs; i++)
				sum += values[i] * weights[i];
			sum = requantize(layer, o, sum);
			if (depth + 1 == network->depth)
				scores[o] = sum;
			else
				outputs[o] = sum;
		}
		memcpy(values, outputs, layer->outputs * sizeof(*values));
	}
}
