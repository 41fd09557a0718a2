"""The integer forward pass in numpy: the oracle that every other form of a network must equal, bit for bit.

The equations are those of docs/quantization.md. Speed is no aim here; being plainly right is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import InputError
from .network import Dense, QuantizedNetwork


def scores(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The int32 scores, [n, classes], of ``samples``, uint8 [n, *shape]; [classes] for one sample [*shape].

    Raises :class:`InputError` for another dtype or shape.
    """
    shape = network.input_shape
    if samples.dtype != np.uint8 or samples.shape not in (shape, (len(samples) if samples.ndim else 0, *shape)):
        raise InputError(f"samples: {samples.dtype} {list(samples.shape)}; give uint8 {list(shape)} or [n, *{list(shape)}]")
    values: NDArray[np.int64] = samples.reshape(-1, network.input_size).astype(np.int64)
    for layer in network.layers:
        values = requantize(layer, accumulate(layer, values))
    # Nothing is lost: the last layer clipped its values to int32, as every layer before it did to a byte.
    last = values.astype(np.int32)
    return last[0] if samples.shape == shape else last


def labels(network: QuantizedNetwork, samples: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The index of the highest score of each sample, of equal ones the first (equation 13): [n], or [] for one sample.

    Raises :class:`InputError` as :func:`scores` does.
    """
    return np.asarray(scores(network, samples).argmax(axis=-1), dtype=np.intp)


def accumulate(layer: Dense, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equation 4: the accumulators, int64 [n, outputs], of the inputs ``values``, int64 [n, inputs].

    They fit int32 whatever the sample, because QuantizedNetwork refuses a layer that breaks equation 7.
    """
    accumulators: NDArray[np.int64] = values @ layer.weights.T.astype(np.int64) + layer.bias
    return accumulators


def requantize(layer: Dense, accumulators: NDArray[np.int64]) -> NDArray[np.int64]:
    """Equations 5 and 6: the outputs, int64 [n, outputs] within ``layer.low``..``layer.high``, of ``accumulators``.

    The product and its rounding term fit int64 (equation 8), and numpy's ``>>`` of a signed integer is arithmetic.
    """
    multipliers = np.where(accumulators < 0, layer.negative, layer.positive).astype(np.int64)
    rounded = (accumulators * multipliers + (1 << (layer.shift - 1))) >> layer.shift
    clipped: NDArray[np.int64] = np.clip(rounded, layer.low, layer.high)
    return clipped
