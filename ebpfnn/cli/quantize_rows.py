"""``ebpfnn quantize`` for networks over rows of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..datasets import rows as tables
from ..network import QuantizedNetwork, reference
from ..network.model import LABEL, VECTOR
from ..plugin import Plugins, Wanted
from ..preparation import Values
from ..quantize.compensation import settled
from ..quantize.quantization import quantize
from ..quantize.tabular import Rows, Tabular, around
from .messages import complain
from .quantize_report import Calibration, components_agree, print_report, share
from .quantize_save import save, with_bits

_MOST = 2_000
"""The most rows that scales are chosen by, and as many are drawn around them."""
_COMPARED = 20_000
"""The most rows that floats and integers are compared by, and the fewest, with rows that are drawn around them."""
_FEWEST = 5_000
_SHOWN = 5
_Floats = NDArray[np.float64]


def rows_of(path: Path | None) -> Callable[[int, tuple[str, ...]], Rows] | None:
    """What reads the calibration rows at ``path`` once their number of columns is known."""
    return partial(_read, path) if path else None


def _read(path: Path, columns: int, names: tuple[str, ...]) -> Rows:
    return Rows(*tables.read(path, columns, names))


def quantize_rows(
    found: Tabular, source: Path | None, output: Path, plugins: Plugins, hidden_bits: int, weight_bits: int
) -> None:
    """Quantizes ``found``, saves it as ``output`` and reports how far the integers agree with the numbers.

    ``source`` names the rows of ``found``.
    """
    if found.drawn:
        complain("no --calibration given; the ranges of the columns are those of the scaler in the file")
    name = "rows drawn by the scaler in the file" if source is None else f"rows of {source.name}"
    wanted, some = plugins.wanted(found.network.input), _evenly(found.rows, _MOST)
    samples = _samples(np.concatenate([some.values, around(some, len(some.values))]), wanted)
    floats = with_bits(found.network, hidden_bits, weight_bits)
    integers = quantize(settled(floats, samples), samples)
    told = f"{len(some.values)} {name}, and as many drawn around them"
    integers = replace(integers, card={**integers.card, "calibration": told})
    save(integers, floats, output)
    compared = _evenly(found.rows, _COMPARED)
    on = Calibration(_samples(compared.values, wanted), None, f"{len(compared.values):,} {name}")
    print_report(integers, on, output, _agreement(found, integers, compared, wanted))


def _evenly(rows: Rows, most: int) -> Rows:
    places = _places(rows, most)
    labels = tuple(rows.labels[place] for place in places) if rows.labels else ()
    return Rows(rows.values[places], rows.names, labels)


def _places(rows: Rows, most: int) -> NDArray[np.intp]:
    """The numbers, from 0, of at most so many of ``rows``."""
    count = min(len(rows.values), most)
    places: NDArray[np.intp] = np.arange(count) * len(rows.values) // count
    return places


def _samples(values: _Floats, wanted: Wanted) -> NDArray[np.uint8]:
    return np.stack([wanted.one(Values(row)) for row in values])


def _agreement(found: Tabular, integers: QuantizedNetwork, rows: Rows, wanted: Wanted) -> Iterator[str]:
    """On the rows, and on rows around them, so many that there are at least 5,000."""
    nearby = around(rows, max(_FEWEST - len(rows.values), len(rows.values)))
    numbers = (_places(found.rows, _COMPARED) + 1).tolist()
    if integers.result != LABEL:
        yield from _values(found, integers, rows.values, wanted, "rows")
        yield from _values(found, integers, nearby, wanted, "rows drawn around them")
        return
    yield from _labels(found, integers, rows.values, wanted, "rows", lambda place: f"row {numbers[place]}")
    yield from _right(found, integers, rows, wanted)
    near = "rows drawn around them"
    yield from _labels(found, integers, nearby, wanted, near, lambda place: f"near row {numbers[place % len(numbers)]}")


def _labels(
    found: Tabular, integers: QuantizedNetwork, values: _Floats, wanted: Wanted, what: str, named: Callable[[int], str]
) -> Iterator[str]:
    """How many labels are the same, and the rows whose labels are not, by the lead of the label in floats."""
    scores = found.scores(values)
    floats, given = scores.argmax(axis=1), reference.labels(integers, _samples(values, wanted))
    other = np.flatnonzero(floats != given)
    count = f"{len(values) - len(other):,} of {len(values):,} {what}"
    yield f"floats and integers give the same label for {count}"
    leads = scores[other, floats[other]] - scores[other, given[other]]
    for place in np.argsort(-leads, kind="stable")[:_SHOWN]:
        row = int(other[place])
        wanted_label, label = integers.labels[floats[row]], integers.labels[given[row]]
        yield f"  {named(row)}: floats {wanted_label!r}, integers {label!r}; a lead of {leads[place]:.3g} in floats"
    if len(other) > _SHOWN:
        yield f"  and {len(other) - _SHOWN:,} more, with smaller leads"


def _values(found: Tabular, integers: QuantizedNetwork, values: _Floats, wanted: Wanted, what: str) -> Iterator[str]:
    """The error of numbers, which are no labels."""
    floats = found.scores(values)
    given = reference.scores(integers, _samples(values, wanted)) * integers.score_scale
    errors = np.abs(given - floats)
    if integers.result == VECTOR:
        yield from components_agree(integers.labels, errors, floats, what)
        return
    reach = f"values of {floats.min():.4g} to {floats.max():.4g}"
    yield f"floats and integers differ by {errors.mean():.3g} on average, by {errors.max():.3g} at most"
    yield f"  on {len(values):,} {what}, {reach}"


def _right(found: Tabular, integers: QuantizedNetwork, rows: Rows, wanted: Wanted) -> Iterator[str]:
    """The share of right answers, if the table has the labels of the network."""
    if not rows.labels or not set(rows.labels) <= set(integers.labels):
        return
    true = np.array([integers.labels.index(label) for label in rows.labels])
    floats, given = found.scores(rows.values).argmax(axis=1), reference.labels(integers, _samples(rows.values, wanted))
    yield f"right: floats {share(floats == true)}, integers {share(given == true)}"
