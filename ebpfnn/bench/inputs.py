"""What rows rotate over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..network import QuantizedNetwork
from ..network.layers import describe


@dataclass(frozen=True, eq=False)
class Inputs:
    """Samples, uint8 [n, *shape], and their labels where they have some."""

    kind: str
    samples: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None = None


def sparse_inputs(network: QuantizedNetwork, samples: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Inputs:
    """``samples`` of a data set as ``network`` takes them. Raises :class:`InputError` where they have another size."""
    if samples[0].size != network.input.size:
        takes = f"'{network.name}' takes {describe(network.input_shape)}"
        raise InputError(f"the samples have shape {describe(samples.shape[1:])}, but {takes}; give others with --data DIR")
    return Inputs("sparse", samples.reshape(-1, *network.input_shape), labels)


def dense_inputs(network: QuantizedNetwork, count: int, seed: int = 0) -> Inputs:
    """Samples of uniform values that are no level 0, 1..255 for 8 bits: nothing to skip."""
    form = network.input
    lowest: NDArray[np.int64] | int = (*form.thresholds, 1)[0]
    if form.value_thresholds:
        lowest = np.minimum([own[0] for own in form.value_thresholds], 255)  # one of 256 is never reached
    samples = np.random.default_rng(seed).integers(lowest, 256, (count, *network.input_shape), dtype=np.uint8)
    return Inputs("dense", samples)
