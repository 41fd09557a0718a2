"""Inputs of few bits, several in a byte, as tables of partial sums take them, and the weights in the same order.

In packed samples inputs lie so already. Of others, one-bit inputs are gathered by :mod:`ebpfnn.compiler.bits`, and levels whose
thresholds are evenly spread are put side by side by :mod:`ebpfnn.compiler.evenly`, those of values that have thresholds of
their own by :mod:`ebpfnn.compiler.ownlevels`. A layer's outputs are written side by side
where they come from a table (:mod:`ebpfnn.compiler.lookup`), which then holds levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Dense, InputFormat
from .evenly import find_line
from .partial import BYTE, level_bits, level_weights
from .sample import side_by_side_cost
from .values import Values


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Levels of ``bits`` in bytes, and their weights, int8 [levels, outputs], as :func:`level_weights` orders them.

    ``cost`` is what it takes to put them there, in instructions. With 8 bits, each level has a byte of its own. ``together``
    says that zeros lie next to each other, as those of a sample do and those of a layer's outputs do not: then a branch round
    the row of a byte that is 0 is mostly predicted.
    """

    bits: int
    weights: NDArray[np.int8]
    cost: float = 0.0
    together: bool = False

    @property
    def levels(self) -> int:
        """Inputs in a byte."""
        return BYTE // self.bits

    def rows(self, low: int, high: int) -> int:
        """A power of two, how many rows a byte of inputs in ``low..high`` chooses from."""
        return 1 << (self.levels * self.bits if self.levels > 1 else (high - low).bit_length())


def layer_weights(layer: Dense, low: int, high: int) -> tuple[SideBySide, ...]:
    """Those of a layer behind another; none where its inputs have too many bits."""
    bits = level_bits(low, high)
    if bits == BYTE:
        return ()
    return tuple(SideBySide(each, level_weights(layer.weights, each)) for each in (bits, BYTE))


def sample_weights(form: InputFormat, layer: Dense) -> tuple[SideBySide, ...]:
    """Those of a first layer; none where its inputs cannot be had so."""
    if form.packed:
        return (SideBySide(form.bits, level_weights(layer.weights, form.bits, form.bit_order), together=True),)
    if form.bits == BYTE or not (form.value_thresholds or form.bits == 1 or find_line(form)):
        return ()
    return (SideBySide(form.bits, level_weights(layer.weights, form.bits), side_by_side_cost(form), together=True),)


def from_layer(values: Values, bits: int) -> Values:
    """The bytes of levels of ``bits`` that a layer wrote side by side."""
    return Values(values.place, (-(-values.size // (BYTE // bits)),), 0, 255)
