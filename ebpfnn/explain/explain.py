"""Says which columns of a row spoke for what a model gives. docs/evaluation.md, *Explain*, defines every number."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..bodies import kind_of
from ..errors import NotSupported
from ..network.layers import INT32_MAX
from ..network.model import LABEL, VECTOR, Model
from ..plugin import Plugins
from .levels import Levels, Number
from .path import Condition, path

Scores = Callable[[NDArray[np.uint8]], NDArray[np.int64]]
_CHUNK_BYTES = 1 << 22
Interval = tuple[Number | None, Number | None]
"""The least value, and the least one above; None without a limit."""


@dataclass(frozen=True)
class Flip:
    """The outcome changes to ``label`` if the column is in the interval from ``low`` to below ``high``, the next one that does.

    ``counts`` is false if its margin is too small to count.
    """

    low: Number | None
    high: Number | None
    label: str
    counts: bool


@dataclass(frozen=True)
class Column:
    """What one column carries: ``carried`` is by how much the lead falls if it alone is typical.

    ``interval`` are the values that the model cannot tell from ``value``, ``typical`` those of its median. ``below`` and
    ``above`` are the next intervals on either side with another outcome, None if there is none.
    """

    name: str
    value: Number
    interval: Interval
    typical: Interval
    carried: int
    below: Flip | None
    above: Flip | None


@dataclass(frozen=True)
class Explanation:
    """What a model gives for a row. ``label`` is that of the highest score, ``margin`` as a verdict has it.

    ``lead`` is the score of the label minus that of the label ``against``: the spared one of a calibrated model, or the second
    best. Of a value or an anomaly score it is the score, and ``against`` is "". ``counts`` says whether the verdict counts,
    None without a calibration. ``typical_lead`` is the lead if all columns are typical. ``columns`` are sorted by what they
    carry, the most first; ``together`` names the first of them, as few as give another outcome if all of these are typical, ()
    if not even all columns do. ``path`` has the conditions that the row met in a single tree.
    """

    label: str
    index: int
    margin: int
    against: str
    lead: int
    counts: bool | None
    typical_lead: int
    columns: tuple[Column, ...]
    together: tuple[str, ...]
    path: tuple[Condition, ...]


def explain(
    model: Model, levels: Levels, values: Sequence[Number], typical: Sequence[int], plugins: Plugins | None = None
) -> Explanation:
    """Explains what ``model`` gives for the ``values`` of its columns, ``levels``, beside ``typical`` levels.

    Raises :class:`NotSupported` for a cascade whose networks' scores have different units, and for results that are vectors.
    """
    if model.result == VECTOR:
        raise NotSupported(f"model '{model.name}' gives vectors; only labels, values and anomaly scores can be explained")
    if len(set(model.score_scales)) > 1:
        fact = f"network '{model.name}' is a cascade, and the scores of its networks have different units"
        raise NotSupported(f"{fact}; explain one of its networks")
    return _Row(model, levels, values, typical, plugins).explained()


class _Row:
    """A row of a model, and what becomes of it if some of its levels are others."""

    def __init__(
        self, model: Model, levels: Levels, values: Sequence[Number], typical: Sequence[int], plugins: Plugins | None
    ) -> None:
        self.model, self.levels, self.values, self.typical = model, levels, values, typical
        self.now, self._kind = levels.of(values), kind_of(model, plugins)
        self.sample = levels.sample(self.now)
        (scores,) = self._scores(self.sample[None])
        self.label = int(scores.argmax())
        self.against = self._against(scores)
        self.lead, self.margin = self._lead(scores), self._margin(scores)
        self.outcome = self._outcome(scores)

    def explained(self) -> Explanation:
        model, labels = self.model, self.model.labels
        (usual,) = self._scores(self.levels.sample(self.typical)[None])
        columns = sorted(map(self._column, range(len(self.now))), key=lambda column: -column.carried)
        return Explanation(
            labels[self.label],
            self.label,
            self.margin,
            "" if self.against is None else labels[self.against],
            self.lead,
            self._counts(self.label, self.margin) if model.calibration else None,
            self._lead(usual),
            tuple(columns),
            self._together([column.name for column in columns]),
            path(model, self.levels, self.sample),
        )

    def _column(self, place: int) -> Column:
        level, usual = self.now[place], self.typical[place]
        (scores,) = self._scores(self._changed(place, [usual]))
        return Column(
            self.levels.columns[place].name,
            self.values[place],
            self.levels.interval(place, level),
            self.levels.interval(place, usual),
            self.lead - self._lead(scores),
            self._flip(place, -1),
            self._flip(place, 1),
        )

    def _together(self, names: Sequence[str]) -> tuple[str, ...]:
        """The first of ``names`` that give another outcome if all of them are typical."""
        places = {column.name: place for place, column in enumerate(self.levels.columns)}
        levels = list(self.now)
        for count, name in enumerate(names if self.model.result == LABEL else (), 1):
            levels[places[name]] = self.typical[places[name]]
            (scores,) = self._scores(self.levels.sample(levels)[None])
            if self._outcome(scores) != self.outcome:
                return tuple(names[:count])
        return ()

    def _flip(self, place: int, step: int) -> Flip | None:
        """The next level with another outcome. Results that are numbers have none."""
        if self.model.result != LABEL:
            return None
        others = self.levels.others(place, self.now[place], step)
        while levels := list(islice(others, max(1, _CHUNK_BYTES // self.sample.size))):
            for level, scores in zip(levels, self._scores(self._changed(place, levels)), strict=True):
                outcome = self._outcome(scores)
                if outcome != self.outcome:
                    return Flip(*self.levels.interval(place, level), self.model.labels[outcome[0]], outcome[1])
        return None

    def _changed(self, place: int, levels: Sequence[int]) -> NDArray[np.uint8]:
        """The samples, uint8 [levels, inputs], in which column ``place`` alone has another level."""
        samples = np.repeat(self.sample[None], len(levels), axis=0)
        column, where = self.levels.columns[place], self.levels.places[place]
        samples[:, where] = np.frombuffer(b"".join(map(column.at, levels)), np.uint8).reshape(len(levels), -1)
        return samples

    def _scores(self, samples: NDArray[np.uint8]) -> NDArray[np.int64]:
        shape = self.model.input_shape
        return self._kind.scores(self.model, samples.reshape(-1, *shape)).astype(np.int64)

    def _against(self, scores: NDArray[np.int64]) -> int | None:
        if self.model.result != LABEL or len(scores) < 2:
            return None
        calibration = self.model.calibration
        if calibration and calibration.spared != self.model.labels[self.label]:
            return self.model.labels.index(calibration.spared)
        return max((number for number in range(len(scores)) if number != self.label), key=lambda number: int(scores[number]))

    def _lead(self, scores: NDArray[np.int64]) -> int:
        return int(scores[self.label]) - (0 if self.against is None else int(scores[self.against]))

    def _margin(self, scores: NDArray[np.int64]) -> int:
        """As ``struct ebpfnn_verdict`` has it."""
        if self.model.result != LABEL:
            return int(scores[0])
        ordered = sorted(map(int, scores), reverse=True)
        return min(ordered[0] - ordered[1], INT32_MAX) if len(ordered) > 1 else INT32_MAX

    def _outcome(self, scores: NDArray[np.int64]) -> tuple[int, bool]:
        label = int(scores.argmax())
        return label, self._counts(label, self._margin(scores))

    def _counts(self, label: int, margin: int) -> bool:
        calibration = self.model.calibration
        return calibration is None or self.model.labels[label] == calibration.spared or margin >= calibration.margin


def told(explanation: Explanation) -> Iterator[Column]:
    """The columns that carry something, or can change the outcome."""
    return (column for column in explanation.columns if column.carried or column.below or column.above)
