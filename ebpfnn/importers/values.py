"""Values on their way through an ONNX graph: the chain that makes them, and how they lie in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.joins import added_shape, joined_shape
from ..network.layers import Shape, Window, describe, expect
from . import building
from .front import Front
from .layout import Layout, columns
from .onnx_operands import Constant, Operands, attribute
from .steps import Chain, Conv, Integers, Join, Linear, Pool, Step

if TYPE_CHECKING:
    import onnx

Make = Callable[[Operands], list[Step]]

MOVES = frozenset({"Transpose", "Flatten", "Reshape", "Squeeze", "Unsqueeze"})
ARITHMETIC = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}
_IMAGES = frozenset({"Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "Pad"})
_PRODUCTS = frozenset({"MatMul", "Gemm"})
_COLORS = (1, 3)
WITHOUT_MAKERS = MOVES | {"ReduceMean"}
"""Operators that only :class:`Values` knows."""


@dataclass
class Values:
    """``front`` is the input until the first layer; then ``layout`` says how the graph's values lie in ``chain``."""

    chain: Chain
    front: Front | None
    layout: Layout

    @classmethod
    def of(cls, chain: Chain) -> Values:
        front = None if chain.tabular else Front.of(chain.input_shape)
        return cls(chain, front, Layout.of(chain.input_shape))

    def forked(self) -> Values:
        """The same values in a chain of their own. The front must have ended."""
        return replace(self, chain=Chain(self.chain.shape, before=(self.chain,)))

    @property
    def shape(self) -> Shape:
        """As the graph has them, without the batch."""
        return self.front.shape if self.front else self.layout.shape

    @property
    def untouched(self) -> bool:
        """Whether they are the graph's input still."""
        return self.front is not None and not self.front.waiting

    def settle(self, where: str, *, images: bool = False, last: bool | None = None) -> None:
        """Ends the front. Without ``last``, three axes of which the last is a color have their channels last."""
        if self.front is None:
            return
        shape = self.front.shape
        if last is None:
            last = not images and len(shape) == 3 and shape[2] in _COLORS and shape[0] not in _COLORS
        self.layout = self.front.settle(where, self.chain, images=images, last=last)
        self.front = None

    def append(self, step: Step) -> None:
        """A step that changes no shape, of one number for all."""
        if self.front:
            self.front.wait(step.where, np.zeros(()), lambda _, __: step)
        else:
            self.chain.append(step)

    def take(self, on: Operands, make: Make | None) -> None:
        kind = on.node.op_type
        if kind in MOVES:
            self._move(on)
        elif kind in ARITHMETIC:
            self._arithmetic(on, ARITHMETIC[kind])
        elif kind == "ReduceMean":
            self._mean(on)
        elif make is None:
            raise ModelError(f"{on.where} cannot be imported")
        elif kind in _PRODUCTS:
            self._product(on, make)
        elif kind in _IMAGES or (kind == "BatchNormalization" and len(self.shape) > 1):
            self.settle(on.where, images=True)
            spatial = self.layout.spatial(on.where, self.chain)
            self._extend(make(replace(on, shape=self.chain.shape, spatial=spatial)))
            shape = self.chain.shape
            self.layout = Layout((shape[0], *(shape[axis] for axis in spatial)), (0, *spatial))
        else:
            self.settle(on.where)
            before = self.chain.shape
            self._extend(make(self._alike(replace(on, shape=before))))
            if self.chain.shape != before:
                self.layout = Layout.of(self.chain.shape)

    def _alike(self, on: Operands) -> Operands:
        """``on`` with the constants of a normalization as flat values lie in the chain."""
        if on.node.op_type != "BatchNormalization" or not self.layout.moved:
            return on
        own = {name: on.array(at) for at, name in enumerate(on.node.input) if at}
        like = {name: Constant(self.layout.like(on.where, array, self.chain)) for name, array in own.items()}
        return replace(on, constants={**on.constants, **like})

    def _extend(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.chain.append(step)

    def _move(self, on: Operands) -> None:
        if on.node.op_type == "Transpose":
            order = on.attribute("perm", list(reversed(range(len(self.shape) + 1))))
            if self.front:
                self.front.transpose(on.where, order)
            else:
                self.layout = self.layout.transposed(on.where, order)
            return
        shape = on.reshaped()
        if self.front and len(shape) == 1 < len(self.shape) and not self.front.turned:
            self.settle(on.where)
        if self.front:
            self.front.reshape(on.where, shape)
        else:
            self.layout = self.layout.reshaped(on.where, shape, self.chain)

    def _arithmetic(self, on: Operands, operation: str) -> None:
        first = on.node.input[0] != on.tip
        array = on.array(0 if first else 1)

        def make(constant: NDArray[np.generic], shape: Shape) -> Step:
            return building.arithmetic(on.where, operation, constant, shape, constant_first=first)

        if self.front:
            self.front.wait(on.where, array, make)
        else:
            self.chain.append(make(self.layout.like(on.where, array, self.chain), self.chain.shape))

    def _product(self, on: Operands, make: Make) -> None:
        """Of the last axis: all of them where the others have one place, else of the channels at each."""
        shape = self.shape
        each = prod(shape[:-1]) > 1
        self.settle(on.where, last=each, images=each)
        flat = (prod(shape),)
        if not each and self.chain.shape != flat:
            self.layout.follow(on.where, flat, self.chain)
            axes = (*(None,) * (len(shape) - 1), 0)
            self.layout = replace(self.layout, axes=axes) if self.layout.order is None else self.layout
        (step,) = make(replace(on, shape=shape))
        if not isinstance(step, Linear):
            raise TypeError(f"a {type(step).__name__} is no product")
        if each:
            self._at_each_place(step)
            return
        moved = columns(self.layout, self.chain)
        self.chain.append(step if moved is None else step.of_columns(moved))
        size = len(step.bias)
        self.layout = Layout((*shape[:-1], size), (*(None,) * (len(shape) - 1), 0))

    def _at_each_place(self, step: Linear) -> None:
        shape, held = self.shape, step.integers
        fits = self.layout.axes[-1] == 0 and len(self.chain.shape) == 3
        fact = f"multiplies {describe(shape)} along an axis that is no channel, which cannot be imported"
        expect(fits, f"{step.where} {fact}")
        whole = held and Integers(_last_axes(held.values), _last_axes(held.scale))
        self.chain.append(Conv(step.where, _last_axes(step.weights), step.bias, Window((1, 1)), 1, whole))
        self.layout = replace(self.layout, shape=(*shape[:-1], len(step.bias)))

    def _mean(self, on: Operands) -> None:
        """Over rows, columns or both, wherever the graph has them."""
        rank = len(self.shape)
        axes = sorted({axis - 1 for axis in (on.axes(1, rank + 1) or range(1, rank + 1))})
        self.settle(on.where, images=True, last=rank - 1 not in axes)
        known = {self.layout.axes[axis] for axis in axes if axis >= 0}
        whole = -1 not in axes and 0 not in known and len(self.chain.shape) == 3
        told = [axis + 1 for axis in axes]
        expect(whole, f"{on.where} averages over axes {told}; only rows and columns of images can be imported")
        sizes = [self.chain.shape[axis] if axis in known else 1 for axis in (1, 2)]
        self.chain.append(Pool(on.where, Window((sizes[0], sizes[1]), (sizes[0], sizes[1])), largest=False))
        keeps = on.attribute("keepdims", 1)
        kept = [at for at in range(rank) if keeps or at not in axes]
        shape = tuple(1 if at in axes else self.shape[at] for at in kept)
        self.layout = Layout(shape, tuple(self.layout.axes[at] for at in kept))


def _last_axes(array: NDArray[Any]) -> NDArray[Any]:
    """Weights of a layer, or their scales, as those of a window of one place."""
    return array[:, :, None, None] if array.ndim == 2 else array


def joined(given: Sequence[Values], node: onnx.NodeProto, where: str) -> Values:
    """The sum of ``given`` for an Add, and for a Concat their channels side by side, in a chain behind theirs."""
    for values in given:
        values.settle(where)
    chains, layouts = tuple(values.chain for values in given), [values.layout for values in given]
    alike = all(each.axes == layouts[0].axes and each.order is None for each in layouts)
    expect(alike, f"{where} joins values whose axes were moved in different ways; export channels first")
    adds = node.op_type != "Concat"
    shape = (added_shape if adds else joined_shape)(*(chain.shape for chain in chains))
    axis = 0
    if not adds:
        axis = attribute(node, "axis", 1)
        axis = axis % (len(layouts[0].shape) + 1) - 1
        rest = {(*each.shape[:axis], *each.shape[axis + 1 :]) for each in layouts}
        fits = axis >= 0 and layouts[0].axes[axis] == 0 and len(rest) == 1
        expect(fits, f"{where} joins along another axis than channels, which cannot be imported")
    else:
        expect(len({each.shape for each in layouts}) == 1, f"{where} adds values of several shapes, which cannot be imported")
    chain = Chain(shape, before=chains)
    chain.append(Join(where, adds))
    sizes = list(layouts[0].shape)
    sizes[axis] = layouts[0].shape[axis] if adds else sum(each.shape[axis] for each in layouts)
    return Values(chain, None, replace(layouts[0], shape=tuple(sizes)))
