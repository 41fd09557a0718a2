"""What each of ONNX's operators is as a step; https://onnx.ai/onnx/operators defines them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from ..errors import ModelError
from ..network.layers import Shape, Window, describe
from . import building
from .onnx_operands import Operands
from .steps import Conv, Integers, Linear, Pad, Reshape, Step


def _conv(on: Operands) -> list[Step]:
    on.first()
    held = on.constant(1)
    weights = held.floats
    if weights.ndim != 4:
        raise ModelError(
            f"{on.where} has weights {list(weights.shape)}; only convolutions over rows and columns can be imported"
        )
    over = _window(on, weights.shape[2:])
    return [Conv(on.where, weights, on.optional(2, 0, len(weights)), over, on.attribute("group", 1), held.integers)]


def _gemm(on: Operands) -> list[Step]:
    on.first()
    held = on.constant(1) if on.attribute("transB", 0) else on.constant(1).changed(np.transpose)
    alpha, beta = on.attribute("alpha", 1.0), on.attribute("beta", 1.0)
    if on.attribute("transA", 0) or held.array.ndim != 2:
        raise ModelError(f"{on.where} transposes its input, which cannot be imported")
    integers = Integers(held.integers.values, held.integers.scale * alpha) if held.integers else None
    bias = np.broadcast_to(on.optional(2, 0, 1).reshape(-1) * beta, len(held.array))
    return [Linear(on.where, held.floats * alpha, bias, integers)]


def _matmul(on: Operands) -> list[Step]:
    on.first()
    held = on.constant(1)
    if held.array.ndim != 2:
        raise ModelError(f"{on.where} multiplies by {list(held.array.shape)}; only a matrix of weights can be imported")
    held = held.changed(np.transpose)
    return [Linear(on.where, held.floats, np.zeros(len(held.array)), held.integers)]


def _window(on: Operands, kernel: Sequence[int]) -> Window:
    stride = on.attribute("strides", [1] * len(kernel))
    dilation = on.attribute("dilations", [1] * len(kernel))
    return building.window(on.where, kernel, stride, _edges(on, kernel, stride), dilation)


def _edges(on: Operands, kernel: Sequence[int], stride: Sequence[int]) -> Sequence[int]:
    """(top, left, bottom, right)."""
    auto = on.attribute("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        given: list[int] = on.attribute("pads", [0, 0, 0, 0])
        return given
    if auto == "VALID":
        return [0, 0, 0, 0]
    totals = [
        max((-(-size // step) - 1) * step + width - size, 0)
        for size, width, step in zip(on.shape[1:], kernel, stride, strict=True)
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


def _reduce_mean(on: Operands) -> list[Step]:
    return [*building.mean(on.where, on.shape, on.axes(1), keep=bool(on.attribute("keepdims", 1)))]


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


def _prelu(on: Operands) -> list[Step]:
    return [building.leaky(on.where, on.scalar(1) or 0.0)]


def _pad(on: Operands) -> list[Step]:
    """Begins and ends of all axes, the batch and the channels too."""
    edges = [int(edge) for edge in (on.array(1).reshape(-1) if on.has(1) else on.attribute("pads", []))]
    value = on.scalar(2) if on.has(2) else on.attribute("value", 0)
    if (
        on.attribute("mode", "constant") != "constant"
        or value
        or on.has(3)
        or len(edges) != 8
        or any([*edges[:2], *edges[4:6]])
    ):
        raise ModelError(f"{on.where} pads by other than an edge of 0 around images, which cannot be imported")
    return [Pad(on.where, (edges[2], edges[3], edges[6], edges[7]))]


def _flatten(on: Operands) -> list[Step]:
    axis = on.attribute("axis", 1)
    if axis % (len(on.shape) + 1) != 1:
        raise ModelError(f"{on.where} flattens from axis {axis}; from 1, behind the batch, can be imported")
    return [Reshape(on.where, (prod(on.shape),))]


def _reshape(on: Operands) -> list[Step]:
    given = (on.batch, *on.shape)
    sizes = [int(size) for size in on.array(1).reshape(-1)]
    if not on.attribute("allowzero", 0):
        sizes = [given[axis] if size == 0 and axis < len(given) else size for axis, size in enumerate(sizes)]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = prod(given) // max(1, -prod(sizes))
    return _reshaped(on, sizes)


def _reshaped(on: Operands, sizes: Sequence[int]) -> list[Step]:
    """To ``sizes``, of which the batch must stay the first."""
    if len(sizes) < 2 or sizes[0] != on.batch or prod(sizes) != on.batch * prod(on.shape) or min(sizes) < 1:
        raise ModelError(f"{on.where} makes {list(sizes)} of a batch of {describe(on.shape)}; keep the batch in front")
    return [Reshape(on.where, tuple(sizes[1:]))]


def _transpose(on: Operands) -> list[Step]:
    """Only where axes of size 1 move: the order of the values stays."""
    given: Shape = (on.batch, *on.shape)
    order = on.attribute("perm", list(reversed(range(len(given)))))
    kept = [axis for axis in order if axis == 0 or given[axis] != 1]
    if kept != sorted(kept) or order[0] != 0:
        raise ModelError(f"{on.where} moves axes {order}, which reorders values; export channels first")
    return [Reshape(on.where, tuple(given[axis] for axis in order[1:]))]


def _squeeze(on: Operands) -> list[Step]:
    axes = on.axes(1) or [axis for axis, size in enumerate(on.shape, 1) if size == 1]
    return _reshaped(on, [size for axis, size in enumerate((on.batch, *on.shape)) if axis not in axes])


def _unsqueeze(on: Operands) -> list[Step]:
    given = on.array(1).reshape(-1).tolist() if on.has(1) else on.attribute("axes", [])
    rank = len(on.shape) + 1 + len(given)
    sizes, axes = iter((on.batch, *on.shape)), {int(axis) % rank for axis in given}
    return _reshaped(on, [1 if axis in axes else next(sizes, 0) for axis in range(rank)])


MAKERS: dict[str, Callable[[Operands], list[Step]]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MaxPool": _pool(largest=True),
    "AveragePool": _pool(largest=False),
    "GlobalAveragePool": lambda on: [building.average_all(on.where, on.shape)],
    "GlobalMaxPool": _global_max_pool,
    "ReduceMean": _reduce_mean,
    "BatchNormalization": _batch_normalization,
    "Relu": lambda on: [building.leaky(on.where, 0)],
    "LeakyRelu": lambda on: [building.leaky(on.where, on.attribute("alpha", 0.01))],
    "PRelu": _prelu,
    "Clip": _clip,
    "Max": _limit(upper=False),
    "Min": _limit(upper=True),
    "Pad": _pad,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Transpose": _transpose,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    **{name.title(): _arithmetic(name) for name in ("add", "sub", "mul", "div")},
}


def check_cast(on: Operands) -> None:
    """Raises :class:`ModelError` for a Cast to integers, which changes values."""
    from onnx import TensorProto

    floats = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
    if on.attribute("to") not in floats:
        raise ModelError(f"{on.where} casts to an integer; only floats can be imported")
