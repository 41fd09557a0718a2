"""Computes from a plan how many bytes of stack the code needs: nested loops and tiles, in each function's frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..network import QuantizedNetwork
from ..network.inputformat import InputFormat
from ..network.layers import Dense, Shape
from .emitter import OUTCOME
from .error import AT_A_TIME as COMPARED_AT_A_TIME
from .features import KernelFeatures
from .frames import frame_bytes, rounded
from .join import AT_A_TIME, COPIED_AT_A_TIME
from .memory import is_copied_in_turns
from .plan import LISTED, SUM, AnyLayerPlan, ConvPlan, ConvTile, DensePlan, ErrorPlan, JoinPlan, PoolPlan, TablePlan
from .sample import SampleForm
from .tile import Tiling

_SLOT = 8
_DENSE_PARTS, _CONV_PARTS = 4, 5  # addresses that a loop over tiles or groups keeps


@dataclass(frozen=True)
class _Depth:
    """The size of a function's own frame, and the bytes that the functions that it calls take."""

    own: int
    below: int = 0

    def __or__(self, other: _Depth) -> _Depth:
        return _Depth(max(self.own, other.own), max(self.below, other.below))


def stack_needed(
    network: QuantizedNetwork, features: KernelFeatures, sample: SampleForm, layers: tuple[AnyLayerPlan, ...]
) -> int:
    """The size in bytes, including callbacks; exact."""
    start = -OUTCOME
    depth = _Depth(start + _sample(network.input, sample))
    shapes = network.shapes
    for layer, plan, sources in zip(network.layers, layers, network.takes, strict=True):
        given = shapes[sources[0] + 1]
        depth |= _Depth(start + _SLOT * any(plan.output.edge))
        if isinstance(plan, DensePlan) and isinstance(layer, Dense):
            depth |= _Depth(start + _SLOT * (plan.shape == LISTED)) | _dense(plan, layer.outputs, start, features)
        elif isinstance(plan, TablePlan):
            depth |= _Depth(start + _SLOT * plan.words * (plan.lookup is not None))
        elif isinstance(plan, ConvPlan):
            depth |= _copied(plan, given, start) | _conv(plan, start, features)
        elif isinstance(plan, PoolPlan):
            depth |= _copied(plan, given, start) | _pool(plan, start, features)
        elif isinstance(plan, JoinPlan):
            depth |= _join(plan, start, features)
        elif isinstance(plan, ErrorPlan):
            for block in plan.blocks:
                inside = _SLOT * (block.columns >= COMPARED_AT_A_TIME)
                depth |= _block(start, len(block.turns), 2, block.unwalked, features, inside)
    return frame_bytes(depth.own, depth.below)


def _pool(plan: PoolPlan, at: int, features: KernelFeatures) -> _Depth:
    inside = 2 * _SLOT * plan.looped
    return _positions(at, 3, plan.unwalked, features, lambda at: _Depth(at + inside))


def _join(plan: JoinPlan, at: int, features: KernelFeatures) -> _Depth:
    depth = _Depth(at)
    for part in plan.parts:
        for block in part.blocks:
            most = AT_A_TIME if part.requantize else COPIED_AT_A_TIME
            inside = _SLOT * (block.columns >= most)
            depth |= _block(at, len(block.turns), 3 if plan.shape == SUM else 2, block.unwalked, features, inside)
    return depth


def _block(at: int, turns: int, places: int, unwalked: int, features: KernelFeatures, inside: int) -> _Depth:
    """An address for each place, and the iteration number or a counter, for each loop."""
    if not turns:
        return _Depth(at + inside)
    at += _SLOT * (1 + places)
    if not unwalked:
        return _block(at + _SLOT, turns - 1, places, 0, features, inside)
    return _loop(at, features, lambda at: _block(at, turns - 1, places, unwalked - 1, features, inside))


def _copied(plan: ConvPlan | PoolPlan, given: Shape, at: int) -> _Depth:
    return _Depth(at + _SLOT * (2 + is_copied_in_turns(given[-1])) if plan.copied else at)


def _sample(form: InputFormat, how: SampleForm) -> int:
    """The counter of the loop over it, if there is one."""
    compared = how in (SampleForm.COMPARED, SampleForm.COMPARED_GROUPS)
    as_it_is = compared or how in (SampleForm.BYTES, SampleForm.PACKED, SampleForm.GROUPED_BITS)
    by_table = how in (SampleForm.TABLE_LEVELS, SampleForm.OWN_LEVELS, SampleForm.OWN_SIDE_BY_SIDE)
    return 0 if as_it_is or (not by_table and form.size < 8) else _SLOT


def _dense(plan: DensePlan, outputs: int, at: int, features: KernelFeatures) -> _Depth:
    tiling = Tiling(outputs, plan.products.lanes.count, plan.products.words, plan.products.tiles)
    inside = 0 if plan.rows else 2 * _SLOT if plan.shape == LISTED else _SLOT
    made = _SLOT * plan.products.words if plan.lookup else 0

    def tile(at: int, size: int) -> _Depth:
        return _Depth(at + -(-4 * size // _SLOT) * _SLOT + max(inside, made))

    if plan.iterated:
        return _loop(at + _SLOT * (1 + _DENSE_PARTS), features, lambda at: tile(at, tiling.width))
    return tile(at, tiling.size(0))


def _conv(plan: ConvPlan, at: int, features: KernelFeatures) -> _Depth:
    def tile(at: int, tile: ConvTile) -> _Depth:
        sums = 0 if tile.columns > 1 else -(-plan.sums_on_stack(tile.outputs) // _SLOT) * _SLOT
        inside = sums + _SLOT * any(tile.channel_loops) + 2 * _SLOT * (tile.row_loops or plan.listed)
        return _positions(at, 2, tile.unwalked, features, lambda at: _Depth(at + inside))

    def group(at: int) -> _Depth:
        depth = _Depth(at)
        for each in plan.tiles:
            depth |= tile(at, each)
        return depth

    lists = _positions(at, 2, plan.unwalked_lists, features, _Depth) if plan.listed else _Depth(at)
    return lists | (_loop(at + _SLOT * (1 + _CONV_PARTS), features, group) if plan.iterated else group(at))


def _positions(at: int, axes: int, unwalked: int, features: KernelFeatures, body: Callable[[int], _Depth]) -> _Depth:
    """Two addresses, and the iteration number or a counter for each loop."""
    at += 2 * _SLOT
    if not unwalked:
        return body(at + _SLOT * axes)
    return _loop(at + _SLOT, features, lambda at: _positions(at, axes - 1, unwalked - 1, features, body))


def _loop(at: int, features: KernelFeatures, body: Callable[[int], _Depth]) -> _Depth:
    """A loop that is not walked: an iterator is on the stack; a callback has a frame that begins with its caller's."""
    if features.iterators:
        return body(at + _SLOT)
    turn = body(at)
    return _Depth(at, rounded(frame_bytes(turn.own, turn.below)))
