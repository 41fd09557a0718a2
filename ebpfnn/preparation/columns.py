"""Makes samples of rows. Each column has its own bounds, and a byte counts the bounds that its value reaches.

docs/preparation.md defines the encoding, so that other implementations can be checked against it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError, nearest
from ..network import fields
from ..network.layers import LARGEST_SIZE, expect
from . import cells
from .encoder import BUILT_IN, Encoder, bounds
from .encoders import INTEGER, MOST, TYPES, Bounds
from .items import Item, Row, Values

LINEAR, LOG2, BINS, THERMOMETER = ENCODERS = ("linear", "log2", "bins", "thermometer")
"""The encoders that training knows to choose bounds for."""
MOST_BOUNDS = 1 << 23
"""The most bounds of all columns: a few bytes of a file describe 65,535 of them."""
Encoders = Mapping[str, Encoder]
_COMMON = {"name", "type", "encode", "step"}


@dataclass(frozen=True)
class Column:
    """One column. ``bounds`` are made by its encoder, int or float according to its ``type``.

    Its byte is ``step`` times the number of bounds that are reached. A thermometer gives a 0 or a 1 for each bound instead. A
    column of over 255 bounds is wide: it gives a byte for each 255 of them, which counts those of them that are reached.
    """

    name: str
    type: str
    encode: str
    bounds: Bounds
    step: int = 1
    thermometer: bool = False

    @property
    def inputs(self) -> int:
        """The number of sample values that the column gives."""
        return len(self.bounds) if self.thermometer else len(self.parts)

    @property
    def parts(self) -> range:
        """The first bound of each of its bytes; one byte of a column without bounds."""
        return range(0, max(len(self.bounds), 1), MOST)

    def number(self, cell: Any) -> int | float:
        """The number in ``cell``. Raises :class:`InputError`, naming the column, if it is none of the column's type."""
        try:
            return cells.integer(cell) if self.type == INTEGER else cells.real(cell)
        except InputError as error:
            raise InputError(f"column '{self.name}': {error}") from None

    def reached(self, cell: Any) -> int:
        """The number of bounds that ``cell`` reaches. Raises as :meth:`number`."""
        return bisect_right(self.bounds, self.number(cell))

    def encoded(self, cell: Any) -> bytes:
        """The column's part of the sample. Raises as :meth:`reached`."""
        return self.at(self.reached(cell))

    def at(self, count: int) -> bytes:
        """The column's part of the sample if the first ``count`` of its bounds are reached."""
        if self.thermometer:
            return b"\1" * count + bytes(len(self.bounds) - count)
        return bytes(self.step * min(max(count - first, 0), MOST) for first in self.parts)


def read(options: Mapping[str, Any], encoders: Encoders = BUILT_IN) -> tuple[Column, ...]:
    """The columns that ``options`` describe, with ``encoders`` by name, such as :attr:`ebpfnn.plugin.Plugins.encoders`.

    Raises :class:`ModelError`, naming the column, if they are malformed or an encoder is not there.
    """
    described = fields.get(options, "columns", list)
    expect(bool(described), "it names no columns; train on a table")
    columns, total = list[Column](), 0
    for place, each in enumerate(described):
        columns.append(fields.within(f"column {place}", column, each, encoders))
        total += len(columns[-1].bounds)
        expect(
            total <= MOST_BOUNDS, f"its columns have over {MOST_BOUNDS:,} bounds in all; give fewer, or fewer bytes a column"
        )
    names = [each.name for each in columns]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise ModelError(f"column '{name}' is there more than once; name each column once")
    thermometers = {each.thermometer for each in columns}
    expect(len(thermometers) == 1, "thermometers and other encoders; give all columns one kind")
    expect(0 < inputs(columns) <= LARGEST_SIZE, f"the columns give {inputs(columns)} values; give 1 to {LARGEST_SIZE}")
    return tuple(columns)


def inputs(columns: Iterable[Column]) -> int:
    """The number of values in a sample of ``columns``."""
    return sum(column.inputs for column in columns)


def listed(columns: Iterable[Column]) -> str:
    """The columns as text: each with its encoder and its number of bounds."""
    return ", ".join(f"{each.name} ({each.encode} {len(each.bounds)})" for each in columns)


def preparer(columns: Sequence[Column]) -> Callable[[Item], NDArray[np.uint8]]:
    """A function that makes samples, uint8 [:func:`inputs`], of rows by column name, and of arrays by position.

    It raises :class:`InputError`, naming column and value, if a row lacks a column or a value is not a number.
    """

    def sample(item: Item) -> NDArray[np.uint8]:
        found = _cells(item, columns)
        return np.frombuffer(b"".join(map(Column.encoded, columns, found)), np.uint8)

    return sample


def _cells(item: Item, columns: Sequence[Column]) -> Sequence[Any]:
    if isinstance(item, Row):
        try:
            return [item.cells[column.name] for column in columns]
        except KeyError as error:
            name = str(error.args[0])
            remedy = nearest(name, map(str, item.cells)) or "; give every column that the network was trained on"
            raise InputError(f"no column '{name}'{remedy}") from None
    if not isinstance(item, Values):
        raise InputError("a picture, but the network takes rows of a table; give a .csv, .jsonl, .npz, .npy or .parquet file")
    if item.array.shape != (len(columns),):
        names = ", ".join(column.name for column in columns[:8])
        raise InputError(
            f"{list(item.array.shape)} values, but the network takes {len(columns)} columns ({names}); give as many"
        )
    found: list[Any] = item.array.tolist()
    return found


def column(described: object, encoders: Encoders = BUILT_IN) -> Column:
    """One column as a network stores it. Raises as :func:`read`."""
    if not isinstance(described, dict):
        raise ModelError("is not described by a JSON object")
    name, kind, encode = (fields.text(described, key) for key in ("name", "type", "encode"))
    expect(kind in TYPES, f"'{name}' is of type {kind!r}; {' and '.join(TYPES)} are known")
    encoder = encoders.get(encode)
    if encoder is None:
        remedy = nearest(encode, encoders) or f"; install the plugin that has it, or use {', '.join(encoders)}"
        raise ModelError(f"'{name}' has the encoder {encode!r}, which is not installed{remedy}")
    strange = sorted(set(described) - _COMMON - set(encoder.parameters))
    expect(not strange, f"'{name}': {encode} has no parameter {strange[:1]}; leave it out")
    found = fields.within(f"'{name}'", bounds, encoder, described, kind)
    step = fields.integer(described, "step") if "step" in described else 1
    wide = step == 1 and len(found) <= encoder.most
    fits = wide or (step >= 1 and step * len(found) <= MOST)
    expect(fits, f"'{name}': step {step} times {len(found)} bounds is no byte; give less")
    expect(step == 1 or not encoder.thermometer, f"'{name}': a thermometer has no step; leave it out")
    return Column(name, kind, encode, found, step, encoder.thermometer)
