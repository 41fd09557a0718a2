"""What exporters leave to be computed of constants: shapes, reshaped weights, weights in integers."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from ..errors import ModelError
from .onnx_operands import Array, Constant, Operands, from_tensor
from .steps import LARGEST, Integers


def _constant(on: Operands) -> Constant:
    for name in ("value_float", "value_floats", "value_int", "value_ints"):
        found = on.attribute(name)
        if found is not None:
            return Constant(np.asarray(found))
    if on.attribute("sparse_value") is not None:
        raise ModelError(f"{on.where} holds sparse weights; export dense ones")
    tensor = on.attribute("value")
    if tensor is None:
        raise ModelError(f"{on.where} holds neither numbers nor a tensor, which cannot be imported")
    return from_tensor(tensor)


def _cast(on: Operands) -> Constant:
    from onnx.helper import tensor_dtype_to_np_dtype

    return Constant(on.array(0).astype(tensor_dtype_to_np_dtype(on.attribute("to"))))


def _transpose(on: Operands) -> Constant:
    order = on.attribute("perm")
    return on.constant(0).changed(lambda array: array.transpose(order))


def _reshape(on: Operands) -> Constant:
    array = on.array(0)
    sizes = [array.shape[axis] if size == 0 else size for axis, size in enumerate(on.array(1).tolist())]
    return Constant(array.reshape(sizes))


def _unsqueeze(on: Operands) -> Constant:
    return Constant(np.expand_dims(on.array(0), tuple(_axes(on))))


def _squeeze(on: Operands) -> Constant:
    return Constant(np.squeeze(on.array(0), tuple(_axes(on)) or None))


def _axes(on: Operands) -> list[int]:
    return [int(axis) for axis in (on.array(1).reshape(-1).tolist() if on.has(1) else on.attribute("axes", []))]


def _concat(on: Operands) -> Constant:
    arrays = [on.array(number) for number in range(len(on.node.input))]
    _check_size(on, sum(array.size for array in arrays))
    return Constant(np.concatenate(arrays, on.attribute("axis")))


def _gather(on: Operands) -> Constant:
    _check_size(on, on.array(0).size * on.array(1).size)
    return Constant(np.take(on.array(0), on.array(1).astype(np.int64), on.attribute("axis", 0)))


def _slice(on: Operands) -> Constant:
    """Its operands are attributes before opset 10."""
    array = on.array(0)
    starts, ends = (_numbers(on, at, name) for at, name in ((1, "starts"), (2, "ends")))
    axes, steps = _numbers(on, 3, "axes") or range(len(starts)), _numbers(on, 4, "steps") or [1] * len(starts)
    taken = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        back = step < 0 and end < -array.shape[axis]  # before the first
        taken[axis] = slice(start, None if back else end, step)
    return Constant(array[tuple(taken)])


def _numbers(on: Operands, number: int, name: str) -> list[int]:
    given = on.array(number).reshape(-1).tolist() if on.has(number) else on.attribute(name, [])
    return [int(each) for each in given]


def _filled(on: Operands) -> Constant:
    sizes = _numbers(on, 0, "")
    _check_size(on, prod(sizes))
    value = on.attribute("value")
    return Constant(np.full(sizes, from_tensor(value).array.reshape(()) if value is not None else np.float32(0)))


def _clip(on: Operands) -> Constant:
    """As Brevitas clips the integers of weights of few bits."""
    ends = (on.array(at).reshape(()) if on.has(at) else on.attribute(name) for at, name in ((1, "min"), (2, "max")))
    low, high = ends
    array = on.array(0) if low is None else np.maximum(on.array(0), low)
    return Constant((array if high is None else np.minimum(array, high)).astype(on.array(0).dtype))


def _expand(on: Operands) -> Constant:
    sizes = np.broadcast_shapes(on.array(0).shape, tuple(_numbers(on, 1, "")))
    _check_size(on, prod(sizes))
    return Constant(np.broadcast_to(on.array(0), sizes))


def _with(operation: Callable[[Array, Array], Array]) -> Callable[[Operands], Constant]:
    def compute(on: Operands) -> Constant:
        _check_together(on, on.array(0), on.array(1))
        with np.errstate(all="ignore"):  # what cannot be divided is refused where it is used
            return Constant(operation(on.array(0), on.array(1)))

    return compute


def _quotient(one: Array, other: Array) -> Array:
    """Of integers, cut towards 0."""
    if one.dtype.kind not in "iu":
        return np.asarray(one / other)
    return np.asarray(one // other + ((one % other != 0) & ((one < 0) != (other < 0))), one.dtype)


def _check_together(on: Operands, *arrays: Array) -> None:
    _check_size(on, prod(np.broadcast_shapes(*(array.shape for array in arrays))))


def _check_size(on: Operands, size: int) -> None:
    """Before anything is allocated."""
    if size > LARGEST:
        raise ModelError(f"{on.where} makes a constant of {size} values, over {LARGEST}; give a smaller network")


def _quantize(on: Operands) -> Constant:
    """As float weights come out of training with fake quantization; the DequantizeLinear behind it takes the integers."""
    scale, zero_point = _by_axis(on, 1), _zero_point(on)
    _check_together(on, on.array(0), scale, zero_point)
    limits = np.iinfo(zero_point.dtype)
    steps = np.rint(on.array(0) / scale) + zero_point
    return Constant(np.clip(steps, limits.min, limits.max).astype(zero_point.dtype))


def _dequantize(on: Operands) -> Constant:
    scale = _by_axis(on, 1).astype(np.float64)
    _check_together(on, on.array(0), scale, _zero_point(on))
    values = on.array(0).astype(np.int64)
    if on.has(2):
        values = values - _by_axis(on, 2).astype(np.int64)
    return Constant(values * scale, Integers(values, scale))


def _zero_point(on: Operands) -> Array:
    return _by_axis(on, 2) if on.has(2) else np.zeros((), np.uint8)


def _by_axis(on: Operands, number: int) -> Array:
    """An input that holds one number for all values, or one for each place on an axis, to go with input 0."""
    array, rank = on.array(number), on.array(0).ndim
    if on.attribute("block_size"):
        raise ModelError(f"{on.where} is quantized in blocks; quantize per tensor or per channel")
    if array.size == 1:
        return array.reshape((1,) * rank)
    axis = int(on.attribute("axis", 1)) % max(rank, 1)
    return array.reshape([-1 if place == axis else 1 for place in range(rank)])


COMPUTE: dict[str, Callable[[Operands], Constant]] = {
    "Constant": _constant,
    "Cast": _cast,
    "Identity": lambda on: on.constant(0),
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Concat": _concat,
    "Gather": _gather,
    "Slice": _slice,
    "Clip": _clip,
    "ConstantOfShape": _filled,
    "Expand": _expand,
    "CastLike": lambda on: Constant(on.array(0).astype(on.array(1).dtype)),
    "Shape": lambda on: on.sizes_of(on.array(0).shape),
    "Add": _with(np.add),
    "Sub": _with(np.subtract),
    "Mul": _with(np.multiply),
    "Div": _with(_quotient),
    "Mod": lambda on: _with(np.fmod if on.attribute("fmod", 0) else np.mod)(on),
    "Pow": _with(np.power),
    "Neg": lambda on: Constant(-on.array(0)),
    "Exp": lambda on: Constant(np.exp(on.array(0))),
    "Reciprocal": lambda on: Constant(1 / on.array(0)),
    "Sqrt": lambda on: Constant(np.sqrt(on.array(0))),
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
}
