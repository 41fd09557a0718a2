"""Where the axes of a graph's values are in a chain, whose images always lie channels first.

A graph may move axes, as those do that were channels last before they were ONNX. A Transpose then changes only the layout, and
the chain stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Shape, describe, expect
from .steps import Chain, Reshape

Places = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """``shape`` is the graph's, without the batch; ``axes`` are the chain's axes of it, None for one that only the graph has.

    Axes of the chain that are absent have one place. ``order`` has, of values that the graph has flat, the places of the chain,
    None where they lie alike.
    """

    shape: Shape
    axes: tuple[int | None, ...]
    order: Places | None = None

    @classmethod
    def of(cls, shape: Shape) -> Layout:
        """That of a chain which lies as the graph does."""
        return cls(shape, tuple(range(len(shape))))

    @property
    def moved(self) -> bool:
        """Whether values lie in another order than in the chain."""
        known = [axis for axis, size in zip(self.axes, self.shape, strict=True) if axis is not None and size > 1]
        return self.order is not None or known != sorted(known)

    def transposed(self, where: str, order: Sequence[int]) -> Layout:
        """``order`` counts the batch as 0, which stays in front."""
        rank = len(self.shape) + 1
        fits = sorted(axis % rank for axis in order) == list(range(rank)) and len(order) == rank
        expect(fits and order[0] == 0, f"{where} moves axes {list(order)}; only those behind the batch can be moved")
        expect(self.order is None or rank == 2, f"{where} moves axes of flattened values, which cannot be imported")
        places = [axis % rank - 1 for axis in order[1:]]
        return replace(self, shape=tuple(self.shape[at] for at in places), axes=tuple(self.axes[at] for at in places))

    def reshaped(self, where: str, shape: Shape, chain: Chain) -> Layout:
        """``chain`` is flattened too, or made what the graph makes of flat values."""
        if [size for size in shape if size > 1] == [size for size in self.shape if size > 1]:
            known = iter([axis for axis, size in zip(self.axes, self.shape, strict=True) if size > 1])
            return replace(self, shape=shape, axes=tuple(next(known) if size > 1 else None for size in shape))
        flat = [size for size in shape if size > 1] == [prod(self.shape)]
        if flat:
            places = self.places(chain.shape)
            self.follow(where, (prod(shape),), chain)
            axes = tuple(0 if size > 1 else None for size in shape)
            return Layout(shape, axes, places if (np.diff(places) != 1).any() else None)
        fact = f"{where} makes {describe(shape)} of {describe(self.shape)}, whose axes were moved; only flattening can be"
        expect(not self.moved, fact)
        self.follow(where, shape, chain)
        return Layout.of(shape)

    @staticmethod
    def follow(where: str, shape: Shape, chain: Chain) -> None:
        if chain.shape != shape:
            chain.append(Reshape(where, shape))

    def places(self, shape: Shape) -> Places:
        """Where each of the graph's values is among those of a chain of ``shape``, int64 [values]."""
        if self.order is not None:
            return self.order
        whole = np.arange(prod(shape)).reshape(shape)
        known = [axis for axis in self.axes if axis is not None]
        rest = [axis for axis in range(len(shape)) if axis not in known]
        found: Places = whole.transpose(*known, *rest).reshape(-1)
        return found

    def spatial(self, where: str, chain: Chain) -> tuple[int, ...]:
        """The chain's axes of the graph's behind its channels, after the chain is an image."""
        count = len(self.shape) - 1
        expect(count in (1, 2), f"{where} moves over {count} axes; only one, or rows and columns, can be imported")
        expect(self.order is None, f"{where} takes flattened values whose axes were moved, which cannot be imported")
        if len(chain.shape) != 3:
            image = (*self.shape, 1)[:3] if count == 1 and self.axes[1] == 1 else (self.shape[0], 1, *self.shape[1:])[-3:]
            image = image if count == 1 else self.shape
            expect(not self.moved, f"{where} takes values whose axes were moved, which cannot be imported")
            self.follow(where, image, chain)
            return (1, 2) if count == 2 else (1,) if image[1:] == (self.shape[1], 1) else (2,)
        channels = self.axes[0] == 0 or (self.axes[0] is None and chain.shape[0] == 1)
        expect(channels, f"{where} takes channels that were moved behind layers; export channels first")
        free = [axis for axis in (1, 2) if axis not in self.axes]
        return tuple(free.pop() if axis is None else axis for axis in self.axes[1:])

    def like(self, where: str, array: NDArray[np.generic], chain: Chain) -> NDArray[np.generic]:
        """``array``, which goes with the graph's values [n, *shape], with the axes of the chain's."""
        if array.size == 1 or (not self.moved and self.shape == chain.shape):
            return array
        rank = len(self.shape)
        expect(array.ndim <= rank + 1 and (array.ndim <= rank or array.shape[0] == 1), f"{where} adds axes to its values")
        own = array.reshape((1,) * (rank - array.ndim) + array.shape) if array.ndim <= rank else array[0]
        if self.order is not None:
            flat = np.empty(prod(self.shape), own.dtype)
            flat[self.order] = np.broadcast_to(own, self.shape).reshape(-1)
            return flat
        sizes, known = [1] * len(chain.shape), [(axis, at) for at, axis in enumerate(self.axes) if axis is not None]
        for axis, at in known:
            sizes[axis] = own.shape[at]
        alone = [at for at, axis in enumerate(self.axes) if axis is None]
        moved: NDArray[np.generic] = own.transpose(*(at for _, at in sorted(known)), *alone).reshape(sizes)
        return moved


def channels_last(places: Places, shape: Shape) -> bool:
    """Whether ``places``, of values of ``shape``, are those of an image whose channels, the first of the axes, were last."""
    if len(shape) != 3:
        return False
    whole = np.arange(prod(shape)).reshape(*shape[1:], shape[0])
    return bool(np.array_equal(np.moveaxis(whole, -1, 0).reshape(-1), places.reshape(-1)))


def columns(layout: Layout, chain: Chain) -> Places | None:
    """Which of a layer's weights goes with each of the chain's values; None where they go as they lie."""
    places = layout.places(chain.shape)
    if not (np.diff(places) != 1).any():
        return None
    found: Places = np.argsort(places)
    return found


def placed(where: str, spatial: Sequence[int], values: Sequence[int], otherwise: int) -> tuple[int, int]:
    """``values``, one for each axis that a graph has behind its channels, for rows and columns; ``otherwise`` for one it lacks.

    ``spatial`` are the graph's axes, as the chain has them. Raises :class:`ModelError` where there are more or fewer values.
    """
    expect(len(values) == len(spatial), f"{where} moves over {len(values)} axes of {len(spatial)}; export it again")
    found = {axis: int(value) for axis, value in zip(spatial, values, strict=True)}
    return found.get(1, otherwise), found.get(2, otherwise)


def over_rows_and_columns(array: NDArray[Any], spatial: tuple[int, ...]) -> NDArray[Any]:
    """``array``, [channels, channels, ...], or of a scale, with the axes of the graph where rows and columns are."""
    if array.ndim < 3:
        return array
    if len(spatial) == 1:
        return np.expand_dims(array, 3 if spatial[0] == 1 else 2)
    return array if spatial == (1, 2) else array.transpose(0, 1, 3, 2)
