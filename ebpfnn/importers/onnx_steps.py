"""What a node of ONNX does to values on their way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..network.layers import Shape, expect
from .onnx_operands import Constant, Operands
from .onnx_operators import padding
from .steps import Linear, Step
from .values import Like, Values

Make = Callable[[Operands], list[Step]]

MOVES = frozenset({"Transpose", "Flatten", "Reshape", "Squeeze", "Unsqueeze"})
ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}
_REDUCED = frozenset({"ReduceMean", "ReduceMax"})
WITHOUT_MAKERS = MOVES | _REDUCED | {"Neg", "Sum"}
"""Operators that no maker of steps knows."""
_IMAGES = frozenset({"Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Pad"})
_OF_CHANNELS = frozenset({"BatchNormalization", "PRelu"})
_PRODUCTS = frozenset({"MatMul", "Gemm"})


def take(values: Values, on: Operands, make: Make | None) -> None:
    """Brings ``values`` behind the node of ``on``, of which ``make`` makes steps, if anything does."""
    kind, where = on.node.op_type, on.where
    if kind == "Transpose":
        values.transpose(where, on.attribute("perm", list(reversed(range(len(values.shape) + 1)))))
    elif kind in MOVES:
        values.reshape(where, on.reshaped())
    elif kind in ARITHMETIC:
        first = on.node.input[0] != on.tip
        values.arithmetic(where, ARITHMETIC[kind], on.array(0 if first else 1), first=first)
    elif kind == "Neg":
        values.arithmetic(where, "mul", np.full((), -1.0))
    elif kind in _REDUCED:
        axes, keeps = on.axes(1, len(values.shape) + 1), bool(on.attribute("keepdims", 1))
        values.reduce(where, axes, keeps=keeps, largest=kind == "ReduceMax")
    elif kind == "Pad" and _pads_before_channels(values, on):
        return
    elif kind == "Sum":
        _sum(values, on)
    elif make is None:
        expect(False, f"{where} cannot be imported")
    else:
        _made(values, on, make)


def _sum(values: Values, on: Operands) -> None:
    """Of one value and constants."""
    for number, name in enumerate(on.node.input):
        if name != on.tip:
            values.arithmetic(on.where, "add", on.array(number))


def _pads_before_channels(values: Values, on: Operands) -> bool:
    rank = len(values.shape) + 1
    edges = padding(on, rank)
    return values.pad_before_channels(on.where, list(zip(edges[1:rank], edges[rank + 1 :], strict=True)))


def _made(values: Values, on: Operands, make: Make) -> None:
    kind = on.node.op_type

    def over_images(shape: Shape, spatial: tuple[int, ...]) -> list[Step]:
        return make(replace(on, shape=shape, spatial=spatial))

    def in_place(shape: Shape, like: Like) -> list[Step]:
        return make(_alike(replace(on, shape=shape), like))

    if kind in _PRODUCTS:
        (step,) = make(replace(on, shape=values.shape))
        if not isinstance(step, Linear):
            raise TypeError(f"a {type(step).__name__} is no product")
        values.multiply(step)
    elif kind in _IMAGES or (kind == "BatchNormalization" and len(values.shape) > 1):
        values.over_images(on.where, over_images)
    else:
        values.in_place(on.where, in_place)


def _alike(on: Operands, like: Like) -> Operands:
    """``on`` with the constants of a normalization, or the slopes of a PRelu, in the axis order of the chain."""
    if on.node.op_type not in _OF_CHANNELS:
        return on
    own = {name: Constant(like(on.array(at))) for at, name in enumerate(on.node.input) if at}
    return replace(on, constants={**on.constants, **own})
