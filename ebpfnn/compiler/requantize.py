"""Turns sums into outputs: bias, activation, scale and clip (equations 5, 6 and 26), without a branch on a sign.

A sum has 32 bits and is never negative, because the seeds of its lanes were added. One constant per output subtracts the seeds
and adds the bias. The sign of a sum is unpredictable, so ReLU and LeakyReLU use masks. Few values are clipped, so a clip is a
branch; it is omitted if no sum reaches the limit.

In tight code, where clips are no branches, a table of 65,536 bytes clips: its number is the rescaled sum plus 32,768, which one
constant per output adds too, with the bias, the seeds and the half that rounds. ReLU needs no mask then: what is below 0
stays below 0, or becomes 0, when it is scaled. All layers with equal limits have one table, of which they read a few lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network import reference
from ..network.layers import Requantization, Weighted
from ..obj.asm import Register
from .emitter import Emitter

CLIP_BYTES = 1 << 16
_HALF_TABLE = CLIP_BYTES >> 1
_FARTHEST_SHIFT = 46
"""The largest shift with which sums that a table clips, and what is added to them, stay below 2^63."""
RECORD = 24
"""Bytes of one output's constants: bias minus seeds, positive multiplier, and negative minus positive multiplier."""


@dataclass(frozen=True)
class RequantizePlan:
    """How the sums of one layer become outputs: which clips the range of its sums can reach, and of which kind they are.

    Clips are branches, or ``masked``: in loops that are walked, the verifier would walk both sides of a branch in every
    iteration. ``by_table`` they are one load, with ReLU and zero point.
    """

    by: Requantization
    clips_low: bool
    clips_high: bool
    masked: bool = False
    by_table: bool = False

    @property
    def is_relu(self) -> bool:
        return not self.by.negative.any()

    @property
    def is_identity(self) -> bool:
        return bool((self.by.negative == self.by.positive).all())

    @property
    def is_exact(self) -> bool:
        """Whether every output is its sum."""
        if self.by.activation is not None:
            return False
        one, moved = (self.by.positive == 1 << self.by.shift).all(), self.by.zero_point or self.clips_low or self.clips_high
        return self.is_identity and bool(one) and not moved


def plan_requantize(layer: Weighted, low: int, high: int, *, masked: bool = False, tables: bool = False) -> RequantizePlan:
    """The plan of ``layer`` for inputs in ``low..high``. With ``tables``, clips are by table wherever they can be."""
    wide = layer.weights.reshape(layer.outputs, -1).astype(np.int64)
    least = np.minimum(wide * low, wide * high).sum(axis=1) + layer.bias
    most = np.maximum(wide * low, wide * high).sum(axis=1) + layer.bias
    plan = plan_clips(layer.requantization, least, most, masked=masked)
    return replace(plan, by_table=tables and _is_by_table(plan, least, most))


def _is_by_table(plan: RequantizePlan, least: NDArray[np.int64], most: NDArray[np.int64]) -> bool:
    """Whether there is something to clip, all of which is near enough, and one multiplier for each output."""
    by = plan.by
    one = (plan.is_relu or plan.is_identity) and by.one_byte and by.activation is None
    if not one or by.shift > _FARTHEST_SHIFT or not (plan.is_relu or plan.clips_low or plan.clips_high):
        return False
    ends = np.stack([least, most]) * by.positive + (1 << by.shift - 1) >> by.shift
    return bool(ends.min() >= -_HALF_TABLE and ends.max() < _HALF_TABLE)


def plan_clips(
    by: Requantization, least: NDArray[np.int64], most: NDArray[np.int64], *, masked: bool = False
) -> RequantizePlan:
    """The plan for sums in ``least..most``, int64 [outputs]."""
    values = np.stack([reference.rescale(by, np.minimum(least, 0)), reference.rescale(by, np.maximum(most, 0))])
    return RequantizePlan(by, bool(values.min() < by.low), bool(values.max() > by.high), masked)


def records(by: Requantization, bias: NDArray[Any], seeds: NDArray[np.int64], *, by_table: bool = False) -> NDArray[np.int64]:
    """The constants of each output, int64 [outputs, 3], if its sum is too large by ``seeds``, int64 [outputs].

    For outputs ``by_table``, the first is multiplied already, and has all that is added to the product.
    """
    if by_table:
        start = (1 << by.shift - 1) + (_HALF_TABLE << by.shift)
        added = [(int(b) - int(s)) * int(m) + start for b, s, m in zip(bias, seeds, by.positive, strict=True)]
        return np.stack([np.array(added, np.int64), by.positive.astype(np.int64), np.zeros(len(added), np.int64)], axis=1)
    positive, negative = by.positive.astype(np.int64), by.negative.astype(np.int64)
    return np.stack([bias.astype(np.int64) - seeds, positive, negative - positive], axis=1)


@dataclass(frozen=True)
class Constants:
    """The constants of one output: ``offset`` bytes behind ``base``.

    If the multipliers (positive, and negative minus positive) are ``known``, they become immediates.
    """

    base: Register
    offset: int
    known: tuple[int, int] | None = None


def emit_requantize(
    emit: Emitter, plan: RequantizePlan, value: Register, constants: Constants, free: tuple[Register, ...]
) -> None:
    """Turns ``value``, a sum, into an output. Overwrites ``free``: two registers if two multipliers are not known, else one."""
    by = plan.by
    if plan.by_table:
        _by_table(emit, plan, value, constants, free[0])
        return
    emit.load(free[0], "u64", constants.base, constants.offset)
    emit.alu(value, "+=", free[0])
    if plan.is_relu:
        _keep_positive(emit, value, free[0])
    if constants.known:
        _multiply_known(emit, plan, value, constants.known, free[0])
    else:
        _multiply(emit, plan, value, constants, free)
    _round(emit, value, free[0], by.shift)
    if by.zero_point:
        emit.alu(value, "+=", by.zero_point)
    if plan.clips_high:
        _clip(emit, value, "s<=", by.high, free[0], masked=plan.masked)
    if plan.clips_low:
        _clip(emit, value, "s>=", by.low, free[0], masked=plan.masked)
    if by.activation is not None:
        _look_up(emit, value, by.activation, free[0])


def _by_table(emit: Emitter, plan: RequantizePlan, value: Register, constants: Constants, free: Register) -> None:
    if constants.known:
        emit.alu(value, "*=", constants.known[0])
    else:
        emit.load(free, "u64", constants.base, constants.offset + 8)
        emit.alu(value, "*=", free)
    emit.load(free, "u64", constants.base, constants.offset)
    emit.alu(value, "+=", free)
    emit.alu(value, ">>=", plan.by.shift)
    emit.alu(value, "&=", CLIP_BYTES - 1)
    name = clip_name(plan)
    if name not in emit.tables:
        emit.tables[name] = _clipped(plan).tobytes()
    emit.map_value(free, name)
    emit.alu(value, "+=", free)
    emit.load(value, "u8", value)


def clip_name(plan: RequantizePlan) -> str:
    """The name of the table of a plan ``by_table``, which layers with equal limits share."""
    by = plan.by
    return f"clip_{'relu' if plan.is_relu else 'all'}_{by.zero_point}_{by.low}_{by.high}".replace("-", "m")


def _clipped(plan: RequantizePlan) -> NDArray[np.uint8]:
    by, rescaled = plan.by, np.arange(-_HALF_TABLE, _HALF_TABLE)
    if plan.is_relu:
        rescaled = np.maximum(rescaled, 0)
    return (np.clip(rescaled + by.zero_point, by.low, by.high) & 255).astype(np.uint8)


def _look_up(emit: Emitter, value: Register, activation: NDArray[np.int16], table: Register) -> None:
    """Equation 26. Every use of a layer has the same table, so it is one map."""
    emit.map_value(table, emit.table("activation", (activation & 255).astype(np.uint8)))
    emit.alu(value, "&=", 255)
    emit.alu(table, "+=", value)
    emit.load(value, "u8", table)


def _multiply_known(emit: Emitter, plan: RequantizePlan, value: Register, known: tuple[int, int], multiplier: Register) -> None:
    positive, difference = known
    if plan.is_relu or plan.is_identity:
        emit.alu(value, "*=", positive)
        return
    # A product with the sign bit, not an AND with a mask: for an AND of -1..0 with an immediate, Linux 6.18's verifier walks
    # both values (maybe_fork_scalars), and does not find that the paths meet again.
    emit.mov(multiplier, value)
    emit.alu(multiplier, ">>=", 63)
    emit.alu(multiplier, "*=", difference)
    emit.alu(multiplier, "+=", positive)
    emit.alu(value, "*=", multiplier)


def _multiply(emit: Emitter, plan: RequantizePlan, value: Register, constants: Constants, free: tuple[Register, ...]) -> None:
    multiplier = free[0]
    if plan.is_relu or plan.is_identity:
        emit.load(multiplier, "u64", constants.base, constants.offset + 8)
    else:
        sign = free[1]
        emit.mov(sign, value)
        emit.alu(sign, "s>>=", 63)
        emit.load(multiplier, "u64", constants.base, constants.offset + 16)
        emit.alu(multiplier, "&=", sign)
        emit.load(sign, "u64", constants.base, constants.offset + 8)
        emit.alu(multiplier, "+=", sign)
    emit.alu(value, "*=", multiplier)


def _keep_positive(emit: Emitter, value: Register, mask: Register) -> None:
    """Replaces negative values by 0: the mask is all ones if minus the value is negative."""
    emit.mov(mask, value)
    emit.negate(mask)
    emit.alu(mask, "s>>=", 63)
    emit.alu(value, "&=", mask)


def _round(emit: Emitter, value: Register, free: Register, shift: int) -> None:
    half = 1 << (shift - 1)
    if half < 1 << 31:
        emit.alu(value, "+=", half)
    else:
        emit.mov(free, half)
        emit.alu(value, "+=", free)
    emit.alu(value, "s>>=", shift)


def _clip(emit: Emitter, value: Register, inside: str, limit: int, free: Register, *, masked: bool) -> None:
    """Sets ``value`` to ``limit`` if it is not ``inside`` it."""
    if not masked:
        kept = emit.fresh("inside")
        emit.jump_if(value, inside, limit, kept)
        emit.mov(value, limit)
        emit.label(kept)
        return
    emit.alu(value, "-=", limit)
    emit.mov(free, value)
    emit.alu(free, "s>>=", 63)
    if inside == "s>=":
        emit.alu(free, "^=", -1)
    emit.alu(value, "&=", free)
    emit.alu(value, "+=", limit)


def requantized(by: Requantization, accumulators: NDArray[np.int64], channel: int) -> NDArray[np.int64]:
    """The outputs of one channel, int64 [n], for accumulators int64 [n]."""
    only = replace(by, positive=by.positive[[channel]], negative=by.negative[[channel]])
    return reference.requantize(only, accumulators[:, np.newaxis])[:, 0]


def blank_outputs(layer: Weighted) -> NDArray[np.int64]:
    """The outputs, int64 [outputs], of a layer whose inputs are all 0."""
    return reference.requantize(layer.requantization, layer.bias.astype(np.int64))
