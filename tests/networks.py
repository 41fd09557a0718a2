"""Networks for the tests, random and extreme."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ebpfnn.network import INT32_MAX, INT32_MIN, Dense, QuantizedNetwork


def network(layers: list[Dense]) -> QuantizedNetwork:
    """``layers`` as a network over flat samples."""
    return QuantizedNetwork("test", (layers[0].inputs,), tuple(map(str, range(layers[-1].outputs))), tuple(layers))


def dense(weights: ArrayLike, bias: ArrayLike, **fields: Any) -> Dense:
    """A last layer that passes its accumulators on as they are, unless ``fields`` say otherwise."""
    weights, bias = np.asarray(weights, np.int8), np.asarray(bias, np.int32)
    one = np.full(len(bias), 1 << 30, np.int32)
    plain: dict[str, Any] = {"positive": one, "negative": one, "shift": 30, "low": INT32_MIN, "high": INT32_MAX}
    return Dense(weights, bias, **{**plain, **fields})


def random_network(widths: tuple[int, ...], seed: int) -> QuantizedNetwork:
    """Random weights and biases; multipliers and shifts such that outputs use their range; u8 and s8 between layers."""
    random = np.random.default_rng(seed)
    layers = []
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        last = number == len(widths) - 2
        low, high = (INT32_MIN, INT32_MAX) if last else ((0, 255), (-127, 127))[random.integers(2)]
        positive = random.integers(1 << 29, 1 << 31, outputs).astype(np.int32)
        layers.append(
            Dense(
                weights=random.integers(-127, 128, (outputs, inputs)).astype(np.int8),
                bias=random.integers(-(1 << 16), 1 << 16, outputs).astype(np.int32),
                positive=positive,
                negative=(positive * random.choice([0, 0.125, 1])).astype(np.int32),
                shift=30 if last else 38 + inputs.bit_length() // 2,
                low=low,
                high=high,
            )
        )
    return network(layers)


def samples(size: int, seed: int) -> NDArray[np.uint8]:
    """Samples of ``size`` values, uint8 [16, size]: dense, sparse, all zero, all 255, all 1 and all 128."""
    random = np.random.default_rng(seed)
    full = random.integers(0, 256, (12, size))
    sparse = np.where(random.random((6, size)) < 0.2, full[:6], 0)
    return np.concatenate([sparse, full[6:], *(np.full((1, size), value) for value in (0, 255, 1, 128))]).astype(np.uint8)
