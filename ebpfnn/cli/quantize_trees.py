"""``ebpfnn quantize`` for ensembles of trees, which need no calibration: what they are, and how they agree with the floats."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from ..bodies import kind_of, modelfile
from ..datasets import rows
from ..errors import printable
from ..network.model import LABEL, VECTOR, Model
from ..plugin import Plugins
from ..preparation import Values
from ..quantize import floatfile
from .quantize_report import components_agree

if TYPE_CHECKING:
    from ..importers import Ensemble

_SHOWN = 10
_MOST = 100_000
"""The most rows that are compared; of more, as many evenly spaced ones."""
_Floats = NDArray[np.float64]


def quantize_trees(found: Ensemble, table: Path | None, output: Path, plugins: Plugins) -> None:
    """Saves ``found`` as ``output``, and compares it with its floats on the rows of ``table``, which name its columns."""
    given = rows.read(table, len(found.floats.columns)) if table else None
    if given is not None:
        found = found.named(given.names)
    modelfile.save(found.forest, output)
    floatfile.beside(output).unlink(missing_ok=True)
    for line in _described(found, output):
        click.echo(line)
    if table is None or given is None:
        return
    some = np.arange(min(len(given.values), _MOST)) * len(given.values) // min(len(given.values), _MOST)
    labels = tuple(given.labels[place] for place in some) if given.labels else ()
    click.echo(f"On {len(some):,} rows of {printable(table.name)}:")
    for line in _compared(found, given.values[some], labels, some, plugins):
        click.echo(f"  {line}")


def _described(found: Ensemble, output: Path) -> Iterator[str]:
    forest = found.forest
    yield f"{printable(str(output))}: {printable(forest.name)}, {forest.architecture}, {output.stat().st_size:,} bytes"
    for key, value in forest.card.items():
        yield f"  {printable(key)}: {printable(value)}"
    bounds = [len(each["bounds"]) for each in forest.input.preparation.options["columns"]]
    unused = f", {bounds.count(0)} of them unused" if 0 in bounds else ""
    yield f"  columns: {len(bounds):,}{unused}; {sum(bounds):,} thresholds, at most {max(bounds):,} in one"
    yield f"  sample: {forest.input.size:,} bytes"
    yield f"  trees: {len(forest.trees):,}, with {forest.nodes:,} comparisons, at most {forest.depth} one after another"
    yield f"  scores: units of {forest.score_scale:.3g}; off the sums of the floats by {forest.tolerance:.2g} at most"


def _compared(
    found: Ensemble, values: _Floats, labels: tuple[str, ...], numbers: NDArray[np.intp], plugins: Plugins
) -> Iterator[str]:
    """``numbers`` are those of the rows ``values`` in their file, from 0."""
    forest = found.forest
    wanted = plugins.wanted(forest.input)
    samples = np.stack([wanted.one(Values(row)) for row in values])
    scores = kind_of(forest, plugins).scores(forest, samples).astype(np.int64)
    floats = found.floats.scores(list(values.T))
    if forest.result == LABEL:
        yield from _labels(forest, floats, scores.argmax(axis=1), labels, numbers)
        yield from _close(forest, floats, len(forest.trees), numbers)
    else:
        errors = np.abs(scores * forest.score_scale - floats)
        if forest.result == VECTOR:
            yield from components_agree(forest.labels, errors, floats, "rows")
            return
        yield f"floats and integers differ by {errors.mean():.2g} on average, by {errors.max():.2g} at most"
        yield f"values are in {floats.min():.4g} to {floats.max():.4g}"


def _labels(
    forest: Model, floats: _Floats, given: NDArray[np.intp], labels: tuple[str, ...], numbers: NDArray[np.intp]
) -> Iterator[str]:
    wanted = floats.argmax(axis=1)
    other = np.flatnonzero(wanted != given)
    yield f"floats and integers give the same label for {len(given) - len(other):,} of {len(given):,} rows"
    leads = floats[other, wanted[other]] - floats[other, given[other]]
    for place in np.argsort(-leads, kind="stable")[:_SHOWN]:
        names = (forest.labels[wanted[other[place]]], forest.labels[given[other[place]]])
        row = int(numbers[other[place]]) + 1
        yield f"  row {row:,}: floats {names[0]!r}, integers {names[1]!r}; a lead of {leads[place]:.3g} in floats"
    if len(other) > _SHOWN:
        yield f"  and {len(other) - _SHOWN:,} more, with smaller leads"
    if labels and set(labels) <= set(forest.labels):
        true = np.array([forest.labels.index(label) for label in labels])
        yield f"right: floats {np.mean(wanted == true):.2%}, integers {np.mean(given == true):.2%}"


def _close(forest: Model, floats: _Floats, trees: int, numbers: NDArray[np.intp]) -> Iterator[str]:
    """Rows whose lead is within what two sums in float32 can be off by: each by half a last place of the largest, a tree."""
    noise = trees * np.finfo(np.float32).eps * np.abs(floats).max()
    order = np.argsort(-floats, axis=1, kind="stable")[:, :2]
    best, second = np.take_along_axis(floats, order, axis=1).T
    close = np.flatnonzero(best - second <= noise)
    if len(close):
        yield f"{len(close):,} of them are so close that sums in float32, as of onnxruntime, may give another label"
    for place in close[:_SHOWN]:
        names, lead = [forest.labels[each] for each in order[place]], best[place] - second[place]
        yield f"  row {int(numbers[place]) + 1:,}: {names[0]!r} before {names[1]!r}; a lead of {lead:.3g} in floats"
    if len(close) > _SHOWN:
        yield f"  and {len(close) - _SHOWN:,} more"
