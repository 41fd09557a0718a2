"""What a sample consists of: for each of its values the bounds that are counted. Pure arithmetic; samples.py writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import ModelError
from ..events.bound import Bound
from ..network.inputformat import InputFormat
from ..preparation.columns import Column
from ..preparation.encoders import INTEGER, MOST


@dataclass(frozen=True)
class Cell:
    """``step`` times the number of ``bounds`` that result number ``result`` reaches. Bounds do not fall, and may be equal."""

    result: int
    bounds: tuple[int, ...]
    step: int = 1


def cells_of(bound: Bound, columns: Sequence[Column], form: InputFormat | None) -> tuple[Cell, ...]:
    """The values of a sample, in order; the levels of one that is packed.

    Raises :class:`ModelError` for columns that are not results of the spec, or do not fit ``form``.
    """
    places = {name: place for place, name in enumerate(bound.names)}
    found = list[Cell]()
    for column in columns:
        what = f"spec '{bound.spec.name}': column '{column.name}' of the network"
        if column.name not in places:
            raise ModelError(f"{what} is no result of the spec; use the spec that the network was trained on")
        if column.type != INTEGER:
            raise ModelError(f"{what} is of type {column.type}; results are of type {INTEGER}, so train it on them")
        found += _cells(places[column.name], column)
    if form is not None and len(found) != form.size:
        fact = f"the columns give {len(found)} values, but the network takes {form.size}"
        raise ModelError(f"spec '{bound.spec.name}': {fact}; use the columns that it was trained on")
    if form is None or not form.packed:
        return tuple(found)
    return tuple(_level(cell, form, place) for place, cell in enumerate(found))


def _cells(result: int, column: Column) -> list[Cell]:
    bounds = tuple(map(int, column.bounds))
    if column.thermometer:
        return [Cell(result, (each,)) for each in bounds]
    return [Cell(result, bounds[first : first + MOST], column.step) for first in column.parts]


def _level(cell: Cell, form: InputFormat, place: int) -> Cell:
    """How many thresholds of the format the byte of ``cell`` reaches, as the number of bounds that its result reaches."""
    thresholds = form.value_thresholds[place] if form.value_thresholds else form.thresholds
    needed = [-(-each // cell.step) for each in thresholds]
    return Cell(cell.result, tuple(cell.bounds[each - 1] for each in needed if each <= len(cell.bounds)))
