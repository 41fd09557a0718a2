"""Float networks over rows of a table: numbers as they are, not bytes.

A network's first layer is linear. So what a column's bytes stand for, a start and a step, goes into its weights and biases:
the network over bytes computes what that over numbers does, up to the width of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.layers import LARGEST_SIZE, expect
from . import float_reference
from .floats import Activation, FloatDense, Network
from .ranges import LEVELS, Coded, Split

NEAR = 0.25
"""How far rows are drawn around others, in standard deviations of a column."""

_Floats = NDArray[np.float64]
Columns = tuple[Coded | Split, ...]


@dataclass(frozen=True, eq=False)
class Rows:
    """``values`` float64 [n, columns], finite; ``names`` of the columns; ``labels`` [n], class names, empty if unknown."""

    values: _Floats
    names: tuple[str, ...]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Affine:
    """``weights @ x + bias``: float64 [outputs, columns] and [outputs], exact where float32 is not."""

    weights: _Floats
    bias: _Floats


@dataclass(frozen=True, eq=False)
class Tabular:
    """A float network over rows. ``network`` is its form over the bytes of ``columns``, which quantization takes.

    ``first`` is its first layer over numbers. ``rows`` are those that chose the ranges; ``drawn`` is whether they were drawn by
    what the file says of its columns.
    """

    network: Network
    columns: Columns
    first: Affine
    rows: Rows
    drawn: bool = False

    def scores(self, values: _Floats) -> _Floats:
        """The scores, float64 [n, labels], of rows, float64 [n, columns]: what the network computed before any rounding."""
        given = values
        if isinstance(self.columns[0], Split):
            given = (values >= [each.bound for each in self.columns if isinstance(each, Split)]).astype(np.float64)
        begin, *rest = self.network.layers
        found: _Floats = given @ self.first.weights.T + self.first.bias
        by = begin.activation if isinstance(begin, FloatDense) else Activation()
        found = float_reference.activate(by, found)
        for layer in rest:
            found = float_reference.forward(layer, found)
        return found


def over_bytes(first: Affine, columns: Columns) -> Affine:
    """``first`` over the bytes of ``columns``, 0..255 as 0..1: [outputs, bytes]. Raises :class:`ModelError` for too many."""
    size = sum(each.count for each in columns)
    expect(size * len(first.bias) <= LARGEST_SIZE, f"its columns give {size} bytes; give fewer columns")
    steps = np.array([each.step * LEVELS if isinstance(each, Coded) else 1.0 for each in columns])
    middle = np.array([each.low + each.step / 2 if isinstance(each, Coded) else 0.0 for each in columns])
    weights = np.repeat(first.weights * steps, [each.count for each in columns], axis=1)
    return Affine(weights, first.bias + first.weights @ middle)


def options(columns: Sequence[Coded | Split]) -> dict[str, Any]:
    """The options of the preparation ``columns``."""
    return {"columns": [each.described() for each in columns]}


def around(rows: Rows, count: int) -> NDArray[np.float64]:
    """``count`` rows near those of ``rows``, [count, columns]: each with normal noise of a quarter of a column's deviation.

    The same rows give the same ones.
    """
    random = np.random.default_rng(1)
    chosen = np.arange(count) % len(rows.values)
    noise: _Floats = random.normal(0.0, NEAR, (count, rows.values.shape[1])) * rows.values.std(axis=0)
    return rows.values[chosen] + noise
