"""What a node of PyTorch's ATen operators does to values on their way, and how it joins several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import ModelError
from ..network.layers import Shape, describe, expect
from .aten_operators import MAKERS, RESHAPES, Operands
from .flow import added, side_by_side
from .program import Ref
from .steps import Linear, Step
from .values import Values

_ARITHMETIC = {f"aten.{name}{end}": name for name in ("add", "sub", "mul", "div") for end in ("", "_")} | {"aten.rsub": "sub"}
_SUMS = frozenset(op for op, operation in _ARITHMETIC.items() if operation in ("add", "sub"))
_PRODUCTS = frozenset(f"aten.{name}" for name in ("linear", "addmm", "mm", "matmul"))
_IMAGES = ("conv", "max_pool", "avg_pool", "adaptive_", "_adaptive_", "pad", "constant_pad")
_NORMALIZATIONS = frozenset({"aten.batch_norm", "aten._native_batch_norm_legit_no_training"})
_CAT = frozenset({"aten.cat", "aten.concat", "aten.concatenate"})
_MOVES = frozenset({"aten.permute", "aten.transpose", "aten.t"})
WITHOUT_MAKERS = {*_ARITHMETIC, *RESHAPES, *_MOVES, *_CAT, "aten.mean", "aten.neg"}
"""Operators that no maker of steps knows."""


def take(values: Values, on: Operands) -> None:
    """Brings ``values`` behind the node of ``on``."""
    op, where = on.call.op, on.where
    if op in _ARITHMETIC:
        _arithmetic(values, on, _ARITHMETIC[op])
    elif op in RESHAPES:
        values.reshape(where, _noted(on, values.shape))
    elif op in _MOVES:
        values.transpose(where, _order(on, len(values.shape) + 1))
    elif op in _CAT:
        alone = len(on.get("tensors")) == 1
        expect(alone, f"{where} joins values and constants, which cannot be imported; join values alone")
    elif op == "aten.mean":
        rank = len(values.shape) + 1
        values.reduce(where, on.get("dim") or range(rank), keeps=bool(on.get("keepdim", False)))
    elif op == "aten.neg":
        values.arithmetic(where, "mul", np.full((), -1.0))
    else:
        _made(values, on)


def _made(values: Values, on: Operands) -> None:
    op, make = on.call.op, MAKERS[on.call.op]

    def over_images(shape: Shape, spatial: tuple[int, ...]) -> Sequence[Step]:
        return make(replace(on, shape=shape, spatial=spatial))

    images = op.removeprefix("aten.").startswith(_IMAGES) or (op in _NORMALIZATIONS and len(values.shape) > 1)
    if op in _PRODUCTS:
        (step,) = make(replace(on, shape=values.shape))
        if not isinstance(step, Linear):
            raise TypeError(f"a {type(step).__name__} is no product")
        values.multiply(step)
    elif images:
        values.over_images(on.where, over_images)
    else:
        values.in_place(on.where, lambda shape, like: make(replace(on, shape=shape, like=like)))


def _arithmetic(values: Values, on: Operands, operation: str) -> None:
    """``rsub`` takes its first argument from its second."""
    back = on.call.op == "aten.rsub"
    first = not on.is_tip("self")
    constant, alpha = on.array("self" if first else "other"), on.get("alpha", 1)
    if on.get("rounding_mode") is not None or (alpha != 1 and (first or back)):
        raise ModelError(f"{on.where} is more than a plain {operation}, which cannot be imported")
    values.arithmetic(on.where, operation, constant * alpha if alpha != 1 else constant, first=first != back)


def _noted(on: Operands, given: Shape) -> Shape:
    """The shape that the exporter noted; the batch must stay what it is, in front."""
    batch, *sizes = on.call.shape or (None,)
    found = tuple(size for size in sizes if size is not None)
    if batch != on.batch or None in sizes or np.prod(found, dtype=float) != np.prod(given, dtype=float):
        raise ModelError(f"{on.where} makes {list(on.call.shape)} of a batch of {describe(given)}; keep the batch in front")
    return found


def _order(on: Operands, rank: int) -> list[int]:
    if on.call.op == "aten.permute":
        return [int(axis) for axis in on.get("dims")]
    order = [*range(rank)]
    one, other = (int(on.get(name, at)) for at, name in enumerate(("dim0", "dim1")))
    order[one], order[other] = order[other], order[one]
    return order


def join(given: list[Values], on: Operands) -> Values:
    """The sum, the difference or the channels of ``given``. Raises :class:`ModelError` for what else takes several values."""
    call, where = on.call, on.where
    if call.op in _CAT:
        expect(len(given) == len(on.get("tensors")), f"{where} joins values and constants, which cannot be imported")
        return side_by_side(given, int(on.get("dim", 0)), where)
    expect(call.op in _SUMS, f"{where} takes several values; only add, sub and cat can")
    both = isinstance(on.get("self"), Ref) and isinstance(on.get("other"), Ref) and len(given) == 2
    expect(both, f"{where} adds {len(given)} values in a way of its own; use add")
    alpha = float(on.get("alpha", 1))
    factors = (-alpha, 1.0) if call.op == "aten.rsub" else (1.0, alpha if _ARITHMETIC[call.op] == "add" else -alpha)
    return added(given, factors, where)
