"""What each of ONNX's operators is as a step; https://onnx.ai/onnx/operators defines them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from ..errors import ModelError
from ..network.layers import Window, describe, expect
from . import building
from .layout import over_rows_and_columns
from .onnx_functions import FUNCTIONS
from .onnx_operands import Constant, Operands
from .steps import Conv, Integers, Linear, Pad, Step


def _conv(on: Operands) -> list[Step]:
    on.first()
    held = on.constant(1)
    if held.array.ndim != len(on.spatial) + 2:
        fact = f"has weights {list(held.array.shape)} for values of {len(on.spatial)} axes behind the channels"
        raise ModelError(f"{on.where} {fact}; only convolutions over one axis, or rows and columns, can be imported")
    steps = on.attribute("dilations", [1] * len(on.spatial))
    held = held.changed(lambda array: building.dilated(on.where, array, steps))
    over = _window(on, held.array.shape[2:], [1] * len(on.spatial))
    held = held.changed(lambda array: over_rows_and_columns(array, on.spatial))
    weights = held.floats
    return [Conv(on.where, weights, on.optional(2, 0, len(weights)), over, on.attribute("group", 1), held.integers)]


def _gemm(on: Operands) -> list[Step]:
    on.first()
    held = on.constant(1) if on.attribute("transB", 0) else on.constant(1).changed(np.transpose)
    alpha, beta = on.attribute("alpha", 1.0), on.attribute("beta", 1.0)
    if (on.attribute("transA", 0) and prod(on.shape) != 1) or held.array.ndim != 2:
        raise ModelError(f"{on.where} transposes its input, which cannot be imported")
    held = _scaled(held, alpha)
    bias = np.broadcast_to(on.optional(2, 0, 1).reshape(-1) * beta, len(held.array))
    return [Linear(on.where, held.floats, bias, held.integers)]


def _scaled(held: Constant, alpha: float) -> Constant:
    """Integers keep a scale above 0."""
    if alpha == 1:
        return held
    whole, sign = held.integers, -1 if alpha < 0 else 1
    scaled = Integers(whole.values * sign, whole.scale * abs(alpha)) if whole and alpha else None
    return Constant(held.floats * alpha, scaled)


def _matmul(on: Operands) -> list[Step]:
    on.first()
    held = on.constant(1)
    if held.array.ndim != 2:
        raise ModelError(f"{on.where} multiplies by {list(held.array.shape)}; only a matrix of weights can be imported")
    held = held.changed(np.transpose)
    return [Linear(on.where, held.floats, np.zeros(len(held.array)), held.integers)]


def _window(on: Operands, kernel: Sequence[int], dilation: Sequence[int] = ()) -> Window:
    """``dilation`` is what is left of it."""
    count = len(kernel)
    stride = on.attribute("strides", [1] * count)
    dilation = dilation or on.attribute("dilations", [1] * count)
    if any(step != 1 and size > 1 for step, size in zip(dilation, kernel, strict=False)):
        raise ModelError(f"{on.where} has a dilation of {describe(tuple(dilation))}; only 1 can be imported")
    edges = _edges(on, kernel, stride)
    sizes = on.placed(kernel, 1), on.placed(stride, 1)
    padding = (*on.placed(edges[: len(edges) // 2], 0), *on.placed(edges[len(edges) // 2 :], 0))
    return building.window(on.where, *sizes, padding, (1, 1))


def _edges(on: Operands, kernel: Sequence[int], stride: Sequence[int]) -> Sequence[int]:
    """Begins of all axes, then ends."""
    auto, count = on.attribute("auto_pad", "NOTSET"), len(kernel)
    if auto in ("NOTSET", ""):
        given: list[int] = on.attribute("pads", [0] * 2 * count)
        return given
    if auto == "VALID":
        return [0] * 2 * count
    sizes = [on.shape[axis] for axis in on.spatial]
    totals = [
        max((-(-size // step) - 1) * step + width - size, 0) for size, width, step in zip(sizes, kernel, stride, strict=True)
    ]
    begins = [total // 2 if auto == "SAME_UPPER" else -(-total // 2) for total in totals]
    return [*begins, *(total - begin for total, begin in zip(totals, begins, strict=True))]


def _pool(largest: bool) -> Callable[[Operands], list[Step]]:
    def make(on: Operands) -> list[Step]:
        over = _window(on, on.attribute("kernel_shape", []))
        rounds_up, counts_edge = bool(on.attribute("ceil_mode", 0)), bool(on.attribute("count_include_pad", 0))
        return [building.pool(on.where, over, on.shape, largest=largest, rounds_up=rounds_up, counts_edge=counts_edge)]

    return make


def _global_max_pool(on: Operands) -> list[Step]:
    average = building.average_all(on.where, on.shape)
    return [building.pool(on.where, average.window, on.shape, largest=True)]


def _batch_normalization(on: Operands) -> list[Step]:
    if on.attribute("training_mode", 0):
        raise ModelError(f"{on.where} is in training mode; export in eval mode")
    parameters = [on.array(number) for number in (1, 2, 3, 4)]
    return [building.normalization(on.where, parameters, on.attribute("epsilon", 1e-5), on.shape)]


def _arithmetic(operation: str) -> Callable[[Operands], list[Step]]:
    def make(on: Operands) -> list[Step]:
        first = on.node.input[0] != on.tip
        constant = on.array(0 if first else 1)
        return [building.arithmetic(on.where, operation, constant, on.shape, constant_first=first)]

    return make


def _limit(upper: bool) -> Callable[[Operands], list[Step]]:
    """Max and Min with a constant."""

    def make(on: Operands) -> list[Step]:
        if len(on.node.input) != 2:
            raise ModelError(f"{on.where} takes {len(on.node.input)} inputs; only values and one constant can be imported")
        limit = on.scalar(0 if on.node.input[1] == on.tip else 1)
        return [building.clamp(on.where, None, limit) if upper else building.clamp(on.where, limit, None)]

    return make


def _clip(on: Operands) -> list[Step]:
    low = on.scalar(1) if on.has(1) else on.attribute("min")
    high = on.scalar(2) if on.has(2) else on.attribute("max")
    return [building.clamp(on.where, low, high)]


_EDGES = "pads by other than an edge of 0 around images, which cannot be imported"


def padding(on: Operands, rank: int) -> list[int]:
    """The begins of all axes of values of ``rank``, the batch and the channels too, and the ends."""
    edges = [int(edge) for edge in (on.array(1).reshape(-1) if on.has(1) else on.attribute("pads", []))]
    value = on.scalar(2) if on.has(2) else on.attribute("value", 0)
    if on.has(3) and len(edges) == 2 * len(on.array(3)):
        edges = _of_axes(edges, [int(axis) % rank for axis in on.array(3)], rank)
    plain = on.attribute("mode", "constant") == "constant" and not value and len(edges) == 2 * rank
    nothing = len(edges) == 2 * rank and not any(edges)
    if not (plain or nothing) or any([*edges[:1], *edges[rank : rank + 1]]):
        raise ModelError(f"{on.where} {_EDGES}")
    return edges


def _pad(on: Operands) -> list[Step]:
    rank = len(on.spatial) + 2
    edges = padding(on, rank)
    if not any(edges):
        return []
    if edges[1] or edges[rank + 1]:
        raise ModelError(f"{on.where} {_EDGES}")
    top, left = on.placed(edges[2:rank], 0)
    bottom, right = on.placed(edges[rank + 2 :], 0)
    return [Pad(on.where, (top, left, bottom, right))]


def _of_axes(edges: Sequence[int], axes: Sequence[int], rank: int) -> list[int]:
    """The edges of all axes, where only those of some are given."""
    found = [0] * (2 * rank)
    for at, axis in enumerate(axes):
        found[axis], found[rank + axis] = edges[at], edges[len(axes) + at]
    return found


def _cast_like(on: Operands) -> list[Step]:
    kind = on.array(1).dtype.kind
    expect(on.node.input[0] == on.tip and kind not in "iub", f"{on.where} casts to an integer; only floats can be imported")
    return []


MAKERS: dict[str, Callable[[Operands], list[Step]]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MaxPool": _pool(largest=True),
    "AveragePool": _pool(largest=False),
    "GlobalAveragePool": lambda on: [building.average_all(on.where, on.shape)],
    "GlobalMaxPool": _global_max_pool,
    "BatchNormalization": _batch_normalization,
    "Relu": lambda on: [building.leaky(on.where, 0)],
    **FUNCTIONS,
    "Clip": _clip,
    "Max": _limit(upper=False),
    "Min": _limit(upper=True),
    "Pad": _pad,
    "CastLike": _cast_like,
    **{name.title(): _arithmetic(name) for name in ("add", "sub", "mul", "div")},
}


def check_cast(on: Operands) -> None:
    """Raises :class:`ModelError` for a Cast to integers, which changes values."""
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    if on.attribute("to") not in floats:
        raise ModelError(f"{on.where} casts to an integer; only floats can be imported")
