"""What rows rotate over."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..network.layers import describe
from ..network.model import Model
from ..network.preparation import Preparation
from ..preparation import columns
from ..preparation.columns import Column, Encoders
from ..preparation.encoder import BUILT_IN
from ..preparation.encoders import MOST

_MNIST = (28, 28)
_SPARSE = 8  # one value in so many of sparse samples is drawn, and the others are 0
DRAWN = "drawn-"
"""What the kinds of samples begin with that are drawn where there are no data."""
_Samples = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Samples, uint8 [n, *shape], and their labels where they have some."""

    kind: str
    samples: _Samples
    labels: NDArray[np.integer] | None = None


def takes_digits(network: Model) -> bool:
    """Whether MNIST's digits are samples of ``network``: 784 values that are no columns of rows."""
    return network.input.size == prod(_MNIST) and network.input.preparation.kind != "columns"


def sparse_inputs(network: Model, samples: _Samples, labels: NDArray[np.uint8]) -> Inputs:
    """``samples`` of a data set as ``network`` takes them. Raises :class:`InputError` where they have another size."""
    if samples[0].size != network.input.size:
        takes = f"'{network.name}' takes {describe(network.input_shape)}"
        raise InputError(f"the samples have shape {describe(samples.shape[1:])}, but {takes}; give others with --data DIR")
    return Inputs("sparse", samples.reshape(-1, *network.input_shape), labels)


def dense_inputs(network: Model, count: int, seed: int = 0, encoders: Encoders = BUILT_IN) -> Inputs:
    """Samples of uniform values that are no level 0, 1..255 for 8 bits: nothing to skip. ``encoders`` are those of columns."""
    return Inputs("dense", _drawn(network, "dense", count, seed, encoders))


def noise_inputs(network: Model, count: int, seed: int = 0, encoders: Encoders = BUILT_IN) -> Inputs:
    """Samples of uniform values, 0 too: with one bit a value, bytes of every kind, and no branch is learned."""
    return Inputs("noise", _drawn(network, "noise", count, seed, encoders))


def few_of(given: Inputs, few: int) -> list[Inputs]:
    """The first ``few`` of ``given``, if it has more."""
    if len(given.samples) <= few:
        return []
    return [Inputs(given.kind, given.samples[:few], None if given.labels is None else given.labels[:few])]


def corner_inputs(network: Model, count: int, seed: int = 0, encoders: Encoders = BUILT_IN) -> list[Inputs]:
    """Samples that need no data: blank, sparse (one value in eight is not 0), dense, and noise (uniform values).

    Those of a network of columns are ones that rows can give: each column reaches as many of its bounds as are drawn.
    """
    kinds = ("blank", "sparse", "dense", "noise")
    return [Inputs(f"{DRAWN}{kind}", _drawn(network, kind, count, seed, encoders)) for kind in kinds]


def _drawn(network: Model, kind: str, count: int, seed: int, encoders: Encoders) -> _Samples:
    """``count`` samples: each value between a least and a greatest one, or 0 where the kind skips it."""
    form, random = network.input, np.random.default_rng(seed)
    found = _columns(form.preparation, encoders) if form.preparation.kind == "columns" else ()
    low, high = _reached(found) if found else (_lowest(network), np.full(form.size, 255))
    values = random.integers(low if kind in ("sparse", "dense") else 0, high + 1, (count, len(high)))
    if kind == "sparse":
        values[random.integers(0, _SPARSE, values.shape) != 0] = 0
    elif kind == "blank":
        values[...] = 0
    samples = _samples(found, values) if found else values.astype(np.uint8)
    return samples.reshape(count, *network.input_shape)


def _columns(preparation: Preparation, encoders: Encoders) -> tuple[Column, ...]:
    """The columns of rows. None if an encoder is not installed: then any bytes are drawn."""
    try:
        return columns.read(preparation.options, encoders)
    except ModelError:
        return ()


def _lowest(network: Model) -> NDArray[np.int64]:
    """The least byte of each value that is no level 0."""
    form = network.input
    if form.value_thresholds:
        return np.minimum([own[0] for own in form.value_thresholds], 255)  # one of 256 is never reached
    return np.full(form.size, (*form.thresholds, 1)[0])


def _reached(found: tuple[Column, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The least and the greatest number of bounds that a column reaches where there is nothing to skip."""
    high = np.array([len(column.bounds) for column in found])
    low = [len(column.bounds) if column.thermometer else 1 for column in found]
    return np.minimum(low, high), high


def _samples(found: tuple[Column, ...], reached: NDArray[np.int64]) -> _Samples:
    """The samples, uint8 [n, values], of rows whose columns reach so many bounds, [n, columns]."""
    parts = []
    for column, counts in zip(found, reached.T, strict=True):
        if column.thermometer:
            parts.append(np.arange(len(column.bounds)) < counts[:, None])
        else:
            parts.append(column.step * (counts[:, None] - np.array(column.parts)).clip(0, MOST))
    return np.concatenate(parts, axis=1).astype(np.uint8)
