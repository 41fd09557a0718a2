"""The operands of an ONNX node, and constants, which may be integers worth a scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import Shape, describe, expect
from .layout import placed
from .steps import LARGEST, Floats, Integers

if TYPE_CHECKING:
    import onnx

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Constant:
    """``integers`` where the file holds the values as such, with a scale."""

    array: Array
    integers: Integers | None = None

    @property
    def floats(self) -> Floats:
        with np.errstate(invalid="ignore"):  # of a NaN that signals; what is not finite is refused later
            return self.array.astype(np.float64)

    def changed(self, change: Callable[[Array], Array]) -> Constant:
        """With ``change``, which only moves values, done to all that it is made of."""
        held = self.integers
        return Constant(change(self.array), Integers(change(held.values), change(held.scale)) if held else None)


def from_tensor(tensor: onnx.TensorProto) -> Constant:
    """What ``tensor`` holds. Raises :class:`ModelError` where it is too large, or cut short."""
    from onnx.numpy_helper import to_array

    size = float(np.prod(list(tensor.dims), dtype=np.float64))
    expect(0 <= size <= LARGEST, f"tensor {tensor.name!r} has {size:.0f} values, over {LARGEST}; give a smaller network")
    try:
        array = to_array(tensor)
    except (ValueError, TypeError, LookupError) as error:  # LookupError: of a type that onnx does not know
        raise ModelError(f"tensor {tensor.name!r} does not hold the {size:.0f} values it declares; export it again") from error
    kind = f"tensor {tensor.name!r} is of {array.dtype}, which cannot be used; export it as float32"
    expect(array.dtype.kind in "fiubOU" or array.dtype.kind == "V", kind)  # V: bfloat16 and its like, of ml_dtypes; O: text
    return Constant(array)


@dataclass(frozen=True)
class Operands:
    """A node that takes values of ``shape`` from the output ``tip`` of another, ``batch`` of them."""

    node: onnx.NodeProto
    where: str
    shape: Shape
    tip: str
    batch: int
    constants: Mapping[str, Constant]
    spatial: tuple[int, ...] = (1, 2)
    """The axes of ``shape`` that the graph's are, behind its channels."""

    def attribute(self, name: str, default: Any = None) -> Any:
        return attribute(self.node, name, default)

    def has(self, number: int) -> bool:
        """Whether there is an input ``number``; the optional ones may be left out, or have an empty name."""
        return number < len(self.node.input) and bool(self.node.input[number])

    def constant(self, number: int) -> Constant:
        """Raises :class:`ModelError` where the input is not known before the network runs."""
        name = self.node.input[number] if self.has(number) else ""
        if name not in self.constants:
            raise ModelError(f"{self.where} takes {name!r}, which is no constant; export with weights as initializers")
        return self.constants[name]

    def array(self, number: int) -> Array:
        return self.constant(number).array

    def optional(self, number: int, otherwise: float, size: int) -> Floats:
        return self.constant(number).floats if self.has(number) else np.full(size, otherwise)

    def scalar(self, number: int) -> float | None:
        """A constant of one value; None where the input is left out."""
        if not self.has(number):
            return None
        if self.array(number).size != 1:
            raise ModelError(f"{self.where} has {self.array(number).size} limits; only one for all values can be imported")
        return float(self.array(number).reshape(()))

    def axes(self, number: int, rank: int | None = None) -> list[int]:
        """Axes, which are an attribute before opset 13 or 18, and an input since. Of values of ``rank`` with the batch."""
        given: Sequence[int] = self.array(number).reshape(-1).tolist() if self.has(number) else self.attribute("axes", [])
        return [int(axis) % (rank or len(self.shape) + 1) for axis in given]

    def placed(self, values: Sequence[int], otherwise: int) -> tuple[int, int]:
        """``values``, one for each axis that the graph has, for rows and columns; ``otherwise`` for one that it lacks."""
        return placed(self.where, self.spatial, values, otherwise)

    def reshaped(self) -> Shape:
        """The shape that a Flatten, Reshape, Squeeze or Unsqueeze gives.

        Raises :class:`ModelError` unless the batch stays first.
        """
        given = (self.batch, *self.shape)
        sizes = _SIZES[self.node.op_type](self, given)
        if sizes == [self.batch] and prod(self.shape) == 1:  # one value a sample
            sizes = [self.batch, 1]
        if len(sizes) < 2 or sizes[0] != self.batch or prod(sizes) != prod(given) or min(sizes) < 1:
            raise ModelError(f"{self.where} makes {list(sizes)} of a batch of {describe(self.shape)}; keep the batch in front")
        return tuple(sizes[1:])

    def sizes_of(self, shape: Sequence[int]) -> Constant:
        """What a Shape gives of values of ``shape``, with the batch: all sizes, or since opset 15 those of some axes."""
        return Constant(np.array(shape, np.int64)[self.attribute("start", 0) : self.attribute("end")])

    def first(self) -> None:
        """Raises :class:`ModelError` unless the values come first: weights may not stand to the left."""
        if self.node.input[0] != self.tip:
            raise ModelError(f"{self.where} takes the values after its weights, which cannot be imported")


def _flattened(on: Operands, given: Shape) -> list[int]:
    """From behind the batch, or of a file for one sample from anywhere before its values."""
    axis = on.attribute("axis", 1) % (len(given) + 1)
    if prod(given[:axis]) != on.batch:
        raise ModelError(f"{on.where} flattens from axis {axis}; from 1, behind the batch, can be imported")
    return [on.batch, prod(on.shape)] if axis else [1, prod(given)]


def _resized(on: Operands, given: Shape) -> list[int]:
    sizes = [int(size) for size in on.array(1).reshape(-1)] if on.has(1) else list(on.attribute("shape", []))
    if not on.attribute("allowzero", 0):
        sizes = [given[axis] if size == 0 and axis < len(given) else size for axis, size in enumerate(sizes)]
    if sizes.count(-1) == 1:
        sizes[sizes.index(-1)] = prod(given) // max(1, -prod(sizes))
    return sizes


def _squeezed(on: Operands, given: Shape) -> list[int]:
    axes = on.axes(1) or [axis for axis, size in enumerate(on.shape, 1) if size == 1]
    return [size for axis, size in enumerate(given) if axis not in axes]


def _unsqueezed(on: Operands, given: Shape) -> list[int]:
    added = on.array(1).reshape(-1).tolist() if on.has(1) else on.attribute("axes", [])
    rank = len(given) + len(added)
    sizes, axes = iter(given), {int(axis) % rank for axis in added}
    return [1 if axis in axes else next(sizes, 0) for axis in range(rank)]


_SIZES: dict[str, Callable[[Operands, Shape], list[int]]] = {
    "Flatten": _flattened,
    "Reshape": _resized,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
}


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The attribute ``name`` of ``node``, bytes as text."""
    from onnx.helper import get_attribute_value

    for each in node.attribute:
        if each.name == name:
            value = get_attribute_value(each)
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return default
