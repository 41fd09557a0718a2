"""How the first layer gets its inputs: the sample unchanged, or converted first."""

from __future__ import annotations

from enum import Enum

from ..network.inputformat import InputFormat
from ..network.layers import Layer, Table
from .bits import emit_bits
from .emitter import SAMPLE, Emitter, Place
from .evenly import emit_even_levels, find_line
from .groups import emit_groups
from .levels import emit_level_rows
from .order import emit_natural
from .ownlevels import emit_own_levels
from .values import Values

_BY_TABLE, _BY_LINE, _BY_OWN_TABLE = 6.0, 2.8, 5.0
"""Instructions per byte of the sample, per value, and per value with its own thresholds."""
_GATHERING, _LEVELING, _JOINING = 10.0, 30.0, 40.0
"""Instructions for eight inputs of one bit, and for eight levels: by a line, and by a table per value."""


class SampleForm(Enum):
    """What the first layer reads, as text for people."""

    BYTES = "the sample as it is, a byte each"
    PACKED = "the sample as it is, packed"
    COMPARED = "the sample as it is, eight bytes compared at a time"
    GATHERED_BITS = "bits, eight in a byte"
    GROUPED_BITS = "bits, those of a group in a byte"
    COMPARED_GROUPS = "the sample as it is, a group compared at a time"
    EVEN_LEVELS = "levels by a line, a byte each"
    EVEN_SIDE_BY_SIDE = "levels by a line, side by side in bytes"
    TABLE_LEVELS = "levels by a table, a byte each"
    OWN_LEVELS = "levels by a table for each value, a byte each"
    OWN_SIDE_BY_SIDE = "levels by a table for each value, side by side in bytes"


def plan_levels(form: InputFormat) -> SampleForm:
    """The form for a layer that needs its inputs in one byte each."""
    if form.bits == 8:
        return SampleForm.BYTES
    if form.value_thresholds and not form.packed:
        return SampleForm.OWN_LEVELS
    return SampleForm.EVEN_LEVELS if not form.packed and find_line(form) else SampleForm.TABLE_LEVELS


def plan_side_by_side(form: InputFormat, tiles: int, *, listed: bool) -> SampleForm:
    """The form for a dense layer of ``tiles`` tiles with rows, which are selected by a byte with several inputs.

    A single tile reads each input once, so it does the comparison itself. With an even threshold this needs no more registers
    than a tile has (:func:`~ebpfnn.compiler.bits.emit_halved_gather`). Bytes that are ``listed`` must be in memory.
    """
    if form.packed:
        return SampleForm.PACKED
    if form.value_thresholds:
        return SampleForm.OWN_SIDE_BY_SIDE
    if form.bits > 1:
        return SampleForm.EVEN_SIDE_BY_SIDE
    compared = tiles == 1 and form.thresholds[0] % 2 == 0 and not listed
    return SampleForm.COMPARED if compared else SampleForm.GATHERED_BITS


def level_cost(form: InputFormat) -> float:
    """The instructions that one byte per input costs."""
    costs = {
        SampleForm.EVEN_LEVELS: _BY_LINE * form.size,
        SampleForm.TABLE_LEVELS: _BY_TABLE * form.sample_bytes,
        SampleForm.OWN_LEVELS: _BY_OWN_TABLE * form.size,
    }
    return costs.get(plan_levels(form), 0.0)


def side_by_side_cost(form: InputFormat) -> float:
    """The instructions that it costs to pack unpacked inputs of fewer than 8 bits side by side in bytes."""
    each = _JOINING if form.value_thresholds else _GATHERING if form.bits == 1 else _LEVELING
    return each * form.size / 8


def emit_sample(emit: Emitter, form: InputFormat, how: SampleForm, layer: Layer) -> Values:
    """Writes the values of the first ``layer``. No register survives."""
    if how is SampleForm.GROUPED_BITS and isinstance(layer, Table):
        return emit_groups(emit, form, layer.order)
    values = _emit_in_order(emit, form, how)
    return emit_natural(emit, values, form.order) if form.order else values


def _emit_in_order(emit: Emitter, form: InputFormat, how: SampleForm) -> Values:
    """The same in the order in which the sample is packed."""
    match how:
        case SampleForm.GATHERED_BITS:
            return emit_bits(emit, form)
        case SampleForm.EVEN_LEVELS | SampleForm.EVEN_SIDE_BY_SIDE:
            return emit_even_levels(emit, form, side_by_side=how is SampleForm.EVEN_SIDE_BY_SIDE)
        case SampleForm.TABLE_LEVELS:
            return emit_level_rows(emit, form)
        case SampleForm.OWN_LEVELS | SampleForm.OWN_SIDE_BY_SIDE:
            return emit_own_levels(emit, form, side_by_side=how is SampleForm.OWN_SIDE_BY_SIDE)
        case SampleForm.COMPARED | SampleForm.COMPARED_GROUPS:
            return Values(Place(SAMPLE), (form.size,), 0, 255, threshold=form.thresholds[0])
        case SampleForm.PACKED:
            return Values(Place(SAMPLE), (form.sample_bytes,), 0, 255)
        case SampleForm.BYTES:
            return Values(Place(SAMPLE), form.shape, 0, form.highest)
        case SampleForm.GROUPED_BITS:
            raise ValueError("only a layer of tables has groups of bits")
