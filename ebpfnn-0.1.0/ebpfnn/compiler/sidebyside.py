"""Inputs of few bits, several in a byte, as rows of partial sums want them: where they lie so, or are made to.

Packed samples lie so already. Of others, one-bit inputs are gathered by :mod:`ebpfnn.compiler.bits`, and levels whose
thresholds are evenly spread by :mod:`ebpfnn.compiler.evenly`. What a layer gives to the next is written so where a table
gives it (:mod:`ebpfnn.compiler.lookup`), which then holds levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..layers import Dense, InputFormat
from .bits import emit_bits
from .emitter import SAMPLE, Emitter, Place
from .evenly import emit_even_levels, find_line
from .partial import BYTE, level_bits, level_weights
from .values import Values

_GATHERING = 10.0  # instructions for eight inputs of one bit
_LEVELING = 30.0  # for eight levels


@dataclass(frozen=True, eq=False)
class SideBySide:
    """Levels of ``bits`` in bytes, and their weights, int8 [levels, outputs], as :func:`level_weights` orders them.

    ``cost`` is that of having them so, in instructions. With 8 bits, each has a byte of its own. Only the zeros of a sample lie
    together, so that branches round them are often predicted; those of a layer's outputs do not.
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
    if form.bits == BYTE or (form.bits > 1 and find_line(form) is None):
        return ()
    each = _GATHERING if form.bits == 1 else _LEVELING
    return (SideBySide(form.bits, level_weights(layer.weights, form.bits), each * form.size / 8, together=True),)


def emit_sample(emit: Emitter, form: InputFormat, *, gathered: bool) -> Values:
    """The sample's inputs side by side; ``gathered`` as :func:`emit_bits` takes it. No register survives."""
    if form.bits == 1:
        return emit_bits(emit, form, gathered=gathered)
    if form.packed:
        return Values(Place(SAMPLE), (form.sample_bytes,), 0, 255)
    return emit_even_levels(emit, form, side_by_side=True)


def from_layer(values: Values, bits: int) -> Values:
    """What a layer wrote side by side, as bytes."""
    return Values(values.place, (-(-values.size // (BYTE // bits)),), 0, 255)
