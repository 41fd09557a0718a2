"""Rows as levels: of each column, how many of its bounds are reached. That is all that a model sees of a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, NotSupported, nearest
from ..network.model import Model
from ..plugin import Plugins
from ..preparation.cells import HIGHEST, LOWEST
from ..preparation.columns import Column, read
from ..preparation.encoders import INTEGER

COLUMNS = "columns"
"""The kind of preparation that makes samples of rows."""
Number = int | float


class Levels:
    """The columns of ``model``, one after another.

    Raises :class:`NotSupported` for a model of anything but rows, and :class:`~ebpfnn.errors.ModelError` for an encoder that
    ``plugins`` do not have.
    """

    def __init__(self, model: Model, plugins: Plugins) -> None:
        preparation = model.input.preparation
        if preparation.kind != COLUMNS:
            fact = f"network '{model.name}': its samples are prepared by '{preparation.kind}', so they have no columns"
            raise NotSupported(f"{fact}; give a model that was trained on rows of a table or of events")
        self.columns: tuple[Column, ...] = read(preparation.options, plugins.encoders)
        ends = np.cumsum([column.inputs for column in self.columns]).tolist()
        self.places = [slice(end - column.inputs, end) for column, end in zip(self.columns, ends, strict=True)]
        self._lowest = 0 if model.events else LOWEST

    def values(self, cells: Mapping[str, object]) -> list[Number]:
        """The cells of a row that are columns, as numbers. Raises :class:`InputError` for one that is missing, or no number."""
        for column in self.columns:
            if column.name not in cells:
                remedy = nearest(column.name, map(str, cells)) or "; give every column that the network was trained on"
                raise InputError(f"no column '{column.name}'{remedy}")
        return [column.number(cells[column.name]) for column in self.columns]

    def of(self, values: Sequence[Number]) -> tuple[int, ...]:
        """The levels of the ``values`` of a row."""
        return tuple(column.reached(value) for column, value in zip(self.columns, values, strict=True))

    def sample(self, levels: Sequence[int]) -> NDArray[np.uint8]:
        """The sample, uint8 [inputs], that rows with these ``levels`` have."""
        return np.frombuffer(b"".join(map(Column.at, self.columns, levels)), np.uint8)

    def of_samples(self, samples: NDArray[np.uint8]) -> NDArray[np.int64]:
        """The levels, int64 [n, columns], of ``samples``, uint8 ``[n, *shape]``."""
        rows = samples.reshape(len(samples), -1).astype(np.int64)
        each = [rows[:, place].sum(axis=1) // column.step for column, place in zip(self.columns, self.places, strict=True)]
        return np.stack(each, axis=1)

    def typical(self, samples: NDArray[np.uint8]) -> tuple[int, ...]:
        """The median of each column, of an even number of ``samples`` the lower one: the level of the median value."""
        found = np.sort(self.of_samples(samples), axis=0)[(len(samples) - 1) // 2]
        return tuple(found.tolist())

    def fits(self, levels: Sequence[int]) -> bool:
        """Whether ``levels`` are some that rows of these columns can have."""
        same = len(levels) == len(self.columns)
        return same and all(level <= len(column.bounds) for column, level in zip(self.columns, levels, strict=True))

    def interval(self, place: int, level: int) -> tuple[Number | None, Number | None]:
        """The least value of column ``place`` that has the ``level``, and the least one above these; None without a limit."""
        bounds = self.columns[place].bounds
        return bounds[level - 1] if level else None, bounds[level] if level < len(bounds) else None

    def others(self, place: int, level: int, step: int) -> Iterator[int]:
        """The levels of column ``place`` that a value can have: those above ``level`` for a ``step`` of 1, below it for -1."""
        column = self.columns[place]
        for each in range(level + step, len(column.bounds) + 1 if step > 0 else -1, step):
            low, high = self.interval(place, each)
            if column.type == INTEGER:
                low = self._lowest if low is None else max(low, self._lowest)
                high = HIGHEST + 1 if high is None else min(high, HIGHEST + 1)
            if low is None or high is None or low < high:
                yield each
