"""Values of an imported graph: the chain that computes them, and their axis order in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Shape, Window, describe, expect
from . import building
from .front import Front
from .layout import Layout, columns
from .steps import Chain, Conv, Integers, Linear, Pad, Pool, Quantize, Step

Array = NDArray[np.generic]
Like = Callable[[Array], Array]
"""Moves the axes of constants from the order of the graph to that of the chain."""
_COLORS = (1, 3)


@dataclass
class Values:
    """``front`` is the input until the first layer; then ``layout`` maps the axes of the graph to those of ``chain``.

    ``quantized`` is what made integers of them, while they are integers. ``ended`` names the softmax or sigmoid behind which
    they are; ``bounded`` is whether it was a sigmoid, whose one output stands for two classes.
    """

    chain: Chain
    front: Front | None
    layout: Layout
    quantized: Quantize | None = None
    ended: str = ""
    bounded: bool = False

    @classmethod
    def of(cls, chain: Chain, *, guesses: bool = True) -> Values:
        """``guesses`` is whether three axes of which the last is a color have their channels last, if nothing says it."""
        front = None if chain.tabular else Front.of(chain.input_shape, guesses=guesses)
        return cls(chain, front, Layout.of(chain.input_shape))

    def forked(self) -> Values:
        """The same values in a chain of their own. The front must have ended."""
        return replace(self, chain=Chain(self.chain.shape, before=(self.chain,)))

    @property
    def shape(self) -> Shape:
        """As the graph has them, without the batch."""
        return self.front.shape if self.front else self.layout.shape

    @property
    def followed(self) -> str:
        """What is said where more follows although they have ended."""
        return f"{self.ended} is followed by more; a {'sigmoid' if self.bounded else 'softmax'} must be the last"

    @property
    def untouched(self) -> bool:
        """Whether they are the graph's input still."""
        return self.front is not None and not self.front.waiting

    def settle(self, where: str, *, images: bool = False, last: bool | None = None) -> None:
        """Ends the front. Without ``last``, the front guesses whether channels are last."""
        if self.front is None:
            return
        shape = self.front.shape
        if last is None:
            last = self.front.guesses and not images and len(shape) == 3 and shape[2] in _COLORS and shape[0] not in _COLORS
        self.layout = self.front.settle(where, self.chain, images=images, last=last)
        self.front = None

    def append(self, step: Step) -> None:
        """A step that changes no shape, of one number for all."""
        if self.front:
            self.front.wait(step.where, np.zeros(()), lambda _, __: step)
        else:
            self.chain.append(step)

    def over_images(self, where: str, make: Callable[[Shape, tuple[int, ...]], Sequence[Step]]) -> None:
        """``make`` makes steps over images of a shape, of the graph's axes behind the channels, as the chain has them."""
        self.settle(where, images=True)
        spatial = self.layout.spatial(where, self.chain)
        self._extend(make(self.chain.shape, spatial))
        shape = self.chain.shape
        self.layout = Layout((shape[0], *(shape[axis] for axis in spatial)), (0, *spatial))

    def pad_before_channels(self, where: str, edges: Sequence[tuple[int, int]]) -> bool:
        """Pads by 0, ``edges`` before and behind each of the graph's axes, if the last of them is the channels'."""
        shape, given = self.shape, self.front is not None
        if len(edges) != len(shape) or len(shape) < 2:
            return False
        if not (any(edges[0]) and not any(edges[-1]) if given else self.layout.axes[-1] == 0):
            return False
        self.settle(where, images=True, last=True)
        by_axis = {axis: each for axis, each in zip(self.layout.axes, edges, strict=True) if any(each)}
        fits = len(self.chain.shape) == 3 and by_axis.keys() <= {1, 2}
        expect(fits, f"{where} pads along another axis than rows and columns, which cannot be imported")
        (top, bottom), (left, right) = (by_axis.get(axis, (0, 0)) for axis in (1, 2))
        self.chain.append(Pad(where, (top, left, bottom, right)))
        wider = tuple(size + sum(each) for size, each in zip(shape, edges, strict=True))
        self.layout = replace(self.layout, shape=wider)
        return True

    def in_place(self, where: str, make: Callable[[Shape, Like], Sequence[Step]]) -> None:
        """``make`` makes steps over values of a shape, one by one."""
        self.settle(where)
        before = self.chain.shape
        self._extend(make(before, lambda array: self.layout.like(where, array, self.chain)))
        if self.chain.shape != before:
            self.layout = Layout.of(self.chain.shape)

    def _extend(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.chain.append(step)

    def transpose(self, where: str, order: Sequence[int]) -> None:
        """``order`` counts the batch as 0."""
        if self.front:
            self.front.transpose(where, order)
        else:
            self.layout = self.layout.transposed(where, order)

    def reshape(self, where: str, shape: Shape) -> None:
        if self.front and len(shape) == 1 < len(self.shape) and not self.front.turned:
            self.settle(where)
        if self.front:
            self.front.reshape(where, shape)
        else:
            self.layout = self.layout.reshaped(where, shape, self.chain)

    def arithmetic(self, where: str, operation: str, array: Array, *, first: bool = False) -> None:
        """As :func:`.building.arithmetic`, with the constant ``array``, which may come ``first``."""

        def make(constant: Array, shape: Shape) -> Step:
            return building.arithmetic(where, operation, constant, shape, constant_first=first)

        if self.front:
            self.front.wait(where, array, make)
        else:
            self.chain.append(make(self.layout.like(where, array, self.chain), self.chain.shape))

    def multiply(self, step: Linear) -> None:
        """By weights of the last axis: all values where the other axes have one place, else the channels at each."""
        shape = self.shape
        each = prod(shape[:-1]) > 1
        self.settle(step.where, last=each, images=each)
        flat = (prod(shape),)
        if not each and self.chain.shape != flat:
            self.layout.follow(step.where, flat, self.chain)
            axes = (*(None,) * (len(shape) - 1), 0)
            self.layout = replace(self.layout, axes=axes) if self.layout.order is None else self.layout
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

    def reduce(self, where: str, over: Sequence[int], *, keeps: bool, largest: bool = False) -> None:
        """The mean, or the ``largest``, over rows, columns or both, wherever the graph has them.

        ``over`` counts the batch as 0; none are all axes.
        """
        rank = len(self.shape)
        there = all(-rank <= axis + 1 <= rank + 1 for axis in over)
        expect(there, f"{where} has axes {[*over]} of values of {rank + 1} axes; export it again")
        axes = sorted({axis % (rank + 1) - 1 for axis in (over or range(1, rank + 1))})
        self.settle(where, images=True, last=0 in axes and rank - 1 not in axes)
        known = {self.layout.axes[axis] for axis in axes if axis >= 0}
        whole = -1 not in axes and 0 not in known and len(self.chain.shape) == 3
        told = [axis + 1 for axis in axes]
        does = "takes the largest" if largest else "averages"
        expect(whole, f"{where} {does} over axes {told}; only rows and columns of images can be imported")
        sizes = [self.chain.shape[axis] if axis in known else 1 for axis in (1, 2)]
        self.chain.append(Pool(where, Window((sizes[0], sizes[1]), (sizes[0], sizes[1])), largest))
        kept = [at for at in range(rank) if keeps or at not in axes]
        shape = tuple(1 if at in axes else self.shape[at] for at in kept)
        self.layout = Layout(shape, tuple(self.layout.axes[at] for at in kept))


def _last_axes(array: NDArray[Any]) -> NDArray[Any]:
    """Weights of a layer, or their scales, as those of a window of one place."""
    return array[:, :, None, None] if array.ndim == 2 else array
