"""Stores inputs of few bits side by side in bytes, for tables of partial sums, and orders the weights accordingly.

Inputs of packed samples are already side by side. For other samples, :mod:`ebpfnn.compiler.bits` packs one-bit inputs,
:mod:`ebpfnn.compiler.evenly` levels with evenly spaced thresholds, and :mod:`ebpfnn.compiler.ownlevels` levels of values that
have their own thresholds. The outputs of a layer are written side by side if they come from a table
(:mod:`ebpfnn.compiler.lookup`), which then contains levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.inputformat import InputFormat
from ..network.layers import Dense
from .evenly import find_line
from .partial import BYTE, level_bits, level_weights
from .sample import side_by_side_cost
from .values import Values


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Levels of ``bits`` in bytes, and their weights, int8 [levels, outputs], as :func:`level_weights` orders them.

    ``cost`` is the cost of packing them, in instructions. With 8 bits, each level has its own byte. ``together`` says that
    zeros are neighbors, as in a sample but not in the outputs of a layer: then a branch that skips the row of a byte 0 is
    mostly predicted.
    """

    bits: int
    weights: NDArray[np.int8]
    cost: float = 0.0
    together: bool = False

    @property
    def levels(self) -> int:
        """Inputs per byte."""
        return BYTE // self.bits

    def rows(self, low: int, high: int) -> int:
        """The number of rows, a power of two, that a byte of inputs in ``low..high`` selects from."""
        return 1 << (self.levels * self.bits if self.levels > 1 else (high - low).bit_length())


def layer_weights(layer: Dense, low: int, high: int) -> tuple[SideBySide, ...]:
    """The levels of a layer that is not the first; None if its inputs have too many bits."""
    bits = level_bits(low, high)
    if bits == BYTE:
        return ()
    return tuple(SideBySide(each, level_weights(layer.weights, each)) for each in (bits, BYTE))


def sample_weights(form: InputFormat, layer: Dense) -> tuple[SideBySide, ...]:
    """The levels of a first layer; None if its inputs cannot be packed."""
    if form.packed:
        return (SideBySide(form.bits, level_weights(layer.weights, form.bits, form.bit_order), together=True),)
    if form.bits == BYTE or not (form.value_thresholds or form.bits == 1 or find_line(form)):
        return ()
    return (SideBySide(form.bits, level_weights(layer.weights, form.bits), side_by_side_cost(form), together=True),)


def from_layer(values: Values, bits: int) -> Values:
    """The bytes of ``bits``-bit levels that the previous layer wrote side by side."""
    return Values(values.place, (-(-values.size // (BYTE // bits)),), 0, 255)
