"""The input of a graph, before its first layer: axes that move there are a matter of how samples lie.

What only scales or quantizes there waits until a layer says which of the axes are channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ..network.layers import LARGEST_SIZE, Shape, describe, expect
from .layout import Layout, Places, channels_last
from .steps import Chain, Reshape, Step

Array = NDArray[np.generic]
Make = Callable[[Array, Shape], Step]


@dataclass
class Front:
    """``places`` are those of the values in the graph's input, in the shape that they have by now.

    ``guesses`` is whether the last of three axes may be taken for colors.
    """

    places: Places
    waiting: list[tuple[str, Array, Make]] = field(default_factory=list)
    guesses: bool = True

    @classmethod
    def of(cls, shape: Shape, *, guesses: bool = True) -> Front:
        """Raises :class:`ModelError` for an input that no sample can be."""
        size = float(np.prod(shape, dtype=np.float64))
        expect(size <= LARGEST_SIZE, f"takes samples of {size:.0f} values, over {LARGEST_SIZE}; give a smaller network")
        return cls(np.arange(int(size)).reshape(shape), guesses=guesses)

    @property
    def shape(self) -> Shape:
        return self.places.shape

    @property
    def turned(self) -> bool:
        """Whether axes were moved otherwise than channels to the front: then flat values move, and no sample does."""
        moved = bool((np.diff(self.places.reshape(-1)) != 1).any())
        return moved and not channels_last(self.places, self.shape)

    def transpose(self, where: str, order: Sequence[int]) -> None:
        """``order`` counts the batch as 0."""
        moved = Layout.of(self.shape).transposed(where, order).axes
        axes = [axis for axis in moved if axis is not None]
        self.places = self.places.transpose(axes)
        self.waiting = [(at, array if array.ndim == 0 else array.transpose(axes), make) for at, array, make in self.waiting]

    def reshape(self, where: str, shape: Shape) -> None:
        for at, array, _ in self.waiting:
            expect(array.ndim == 0 or shape == self.shape, f"{at} comes before {where} which reshapes; put it behind")
        self.places = self.places.reshape(shape)

    def wait(self, where: str, array: Array, make: Make) -> None:
        """``make`` makes the step of ``array``, one number or what goes with the values, once their shape is known."""
        if array.size == 1:
            array = array.reshape(())
        else:
            rank = len(self.shape)
            leads = array.ndim == rank + 1 and array.shape[0] == 1
            array = array[0] if leads else array
            expect(array.ndim <= rank, f"{where} adds axes to its values")
            array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        self.waiting.append((where, array, make))

    def settle(self, where: str, chain: Chain, *, images: bool, last: bool = False) -> Layout:
        """Gives ``chain`` its input: ``images`` of one or two axes behind the channels, which are the ``last`` of the axes."""
        rank, flat = len(self.shape), self.places.reshape(-1)
        if rank == 1 and (np.diff(flat) != 1).any():  # the first weights move instead
            chain.append(Reshape(where, self.shape))
            layout = replace(Layout.of(self.shape), order=flat)
            self._give(layout, chain)
            return layout
        front = [rank - 1, *range(rank - 1)] if last else [*range(rank)]
        places, shape = self.places.transpose(front), tuple(self.shape[axis] for axis in front)
        if images and rank == 2:
            across = bool(places[0, 0] == 0 and places.size > 1 and shape[0] > 1 and shape[1] > 1 and places[1, 0] == 1)
            shape = (*shape, 1) if across else (shape[0], 1, shape[1])
        elif images:
            expect(rank == 3, f"{where} takes {describe(self.shape)}; only images of channels, rows and columns can be")
        expect(len(shape) <= 3, f"{where} takes {describe(self.shape)}, which is no sample; export one of at most three axes")
        flat = places.reshape(-1)
        chain.begin_as(shape, None if (np.diff(flat) == 1).all() else flat)
        spread = [0, 1 if images and rank == 2 and shape[2] == 1 else 2] if images and rank == 2 else [*range(rank)]
        layout = Layout(self.shape, tuple(spread[front.index(axis)] for axis in range(rank)))
        self._give(layout, chain)
        return layout

    def _give(self, layout: Layout, chain: Chain) -> None:
        for at, array, make in self.waiting:
            chain.append(make(layout.like(at, array, chain), chain.shape))
        self.waiting = []
