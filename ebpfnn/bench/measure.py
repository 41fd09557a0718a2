"""One run over many rows: each takes its turn in every round, so that all see the same machine, and ratios are of one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bodies import kind_of
from ..network import QuantizedNetwork
from ..network.cascades import deciding
from ..network.model import Model
from ..plugin import Plugins, Trigger
from ..session import Session
from ..trees import Forest
from .float_rows import float_runners
from .inputs import DRAWN, Inputs
from .kernel_rows import COMPILED, KernelRunner, kernel_runners
from .native import native_runners
from .native_tables import table_runners
from .python_rows import InferManyRunner, InferRunner, ReferenceRunner, SlotRunner
from .rows import Row
from .runner import Runner
from .table_rows import table_rows
from .tree_native import tree_runners
from .tree_rows import tree_rows

RUNS = 6144
"""Inferences of a long call, of as many samples. Short calls read higher: each begins with cold branches and caches."""
FEW = 512
"""So many samples are learned by a branch predictor when they run twelve times: they flatter code that branches on them."""
_LONGEST_CALL_NS = 250_000_000  # rows that would take longer run fewer samples, FEW at least
_EVICTING = 96 << 20  # bytes that are walked to empty the caches: three times the last level of the machines measured
_CACHE_LINE = 64
_LINE = np.dtype({"names": ["first"], "formats": [np.uint64], "itemsize": _CACHE_LINE})
_COLD_SAMPLES = 32


@dataclass
class _Entry:
    row: Row
    runner: Runner
    inputs: Inputs
    expected: NDArray[np.int32]
    most: int
    """Runs that a call may make."""
    cold: bool
    """Whether these inputs are measured with cold caches."""


class Bench(ExitStack):
    """Everything that is measured in one run: networks with their inputs are added, and then timed as often as one likes.

    ``only`` names rows; without it, all that this machine has. ``event`` is a trigger with its target, through which single
    samples are inferred too. ``plugins`` are those of :func:`ebpfnn.bodies.kind_of`. Closing it unloads what was loaded.
    """

    def __init__(
        self,
        trigger: Trigger,
        only: Sequence[str] = (),
        event: tuple[Trigger, str] | None = None,
        plugins: Plugins | None = None,
    ) -> None:
        super().__init__()
        self._plugins = plugins
        self._trigger, self._only, self._event = trigger, only, event
        self._entries: list[_Entry] = []
        self.left_out: dict[tuple[str, str], str] = {}
        """Why a row does not exist, by its network and name."""
        self._held_at_event = self.enter_context(ExitStack())
        self._at_event: Session | None = None
        self.names: dict[str, None] = {}
        """The rows that this machine has, in order."""

    @property
    def rows(self) -> list[Row]:
        """Those that were measured."""
        return [entry.row for entry in self._entries if entry.row.rounds]

    def add(self, network: Model, inputs: Sequence[Inputs]) -> None:
        """Loads every row of ``network``. The first of ``inputs`` has the most samples.

        Raises as :class:`~ebpfnn.session.Session` does, and what :mod:`ebpfnn.bench.native` raises of the C compiler.
        """
        kind = kind_of(network, self._plugins)
        known = [(given, kind.scores(network, given.samples), on_the_way(network, given.samples)) for given in inputs]
        images = len(inputs[0].samples)
        for runner in self._runners(network, images):
            self.names[runner.name] = None
            if self._only and runner.name not in self._only:
                continue
            code = runner.code()
            for given, scores, goes_on in known:
                row = Row(runner.name, network.name, given.kind, given=len(scores), takes=runner.takes)
                row.goes_on, row.code = goes_on, code
                cold = given is inputs[0] or given.kind.startswith(DRAWN)
                self._entries.append(_Entry(row, runner, given, scores, images * _repeats(images), cold))

    def warm(self, rounds: Iterable[object]) -> None:
        """A round is one long call of every row."""
        for _ in rounds:
            for entry in self._entries:
                entry.runner.load(entry.inputs.samples)
                mean, ran = time_warm(entry.runner, len(entry.inputs.samples), entry.most)
                entry.row.rounds.append(mean)
                entry.row.samples = max(entry.row.samples, ran)
                _compare(entry, ran)

    def cold(self, rounds: Iterable[object]) -> None:
        """A round is single runs, before each of which a walk through a buffer empties the caches; they are rows apart.

        They are of the data alone, and of every kind of samples that are drawn where there are none: each takes a second.
        """
        cold: list[_Entry] = []
        for entry in self._entries:
            if entry.runner.cold and entry.cold:
                few = min(_COLD_SAMPLES, entry.row.given)
                row = replace(entry.row, cache="cold", given=few, samples=few, rounds=[], exact=None, agreement=None)
                cold.append(replace(entry, row=row))
        self._entries += cold
        for _ in rounds:
            for entry in cold:
                entry.runner.load(entry.inputs.samples)
                (mean,) = time_cold(entry.runner, entry.row.given, 1)
                entry.row.rounds.append(mean)
                _compare(entry, entry.row.given)

    def _attached(self, beside: Session, trigger: Trigger, target: str) -> Session:
        """The network of ``beside``, attached to an event, and no other with it: each event would run them all."""
        if self._at_event is None or self._at_event.body is not beside.body:
            self._held_at_event.close()
            self._at_event = self._held_at_event.enter_context(Session(beside.source(), trigger, target, beside.body))
        return self._at_event

    def _runners(self, network: Model, images: int) -> Iterator[Runner]:
        compiled: KernelRunner | None = None
        left_out: dict[str, str] = {}
        loaded = kernel_runners(network, self._trigger, images, _repeats(images), self, left_out, self._plugins)
        for runner in loaded:
            compiled = runner if runner.name == COMPILED else compiled
            yield runner
        if compiled:
            session, classes = compiled.session, len(network.labels)
            yield InferManyRunner(session)
            yield from (kind(lambda: session, classes) for kind in (SlotRunner, InferRunner))
            if self._event:
                attached = partial(self._attached, session, *self._event)
                yield from (kind(attached, classes, f":{self._event[0].name}") for kind in (SlotRunner, InferRunner))
        if isinstance(network, QuantizedNetwork):
            yield from float_runners(network, left_out)
            yield from table_rows(network, left_out)
            yield from native_runners(network, left_out)
            yield from table_runners(network, left_out)
        else:
            yield ReferenceRunner(network, kind_of(network, self._plugins))
        if isinstance(network, Forest):
            yield from tree_rows(network, left_out)
            yield from tree_runners(network, left_out)
        self.left_out.update({(network.name, name): reason for name, reason in left_out.items()})


def time_warm(runner: Runner, count: int, most: int = RUNS) -> tuple[float, int]:
    """Nanoseconds an inference, in one long call over ``count`` samples, and how many of them it ran: all, if it is quick.

    Each was run once before. The call makes at most ``most`` runs, but a run of each sample.
    """
    first = min(count, FEW)
    in_time = int(_LONGEST_CALL_NS * first // max(runner.run(first), 1))
    count = max(first, min(count, in_time))
    if count > first:
        runner.run(count)
    runs = max(min(most, in_time) // count, 1) * count
    return runner.run(runs) / runs, count


def _repeats(images: int) -> int:
    """How often a call may run ``images`` samples."""
    return max(RUNS // images, 1)


def on_the_way(network: Model, samples: NDArray[np.uint8]) -> tuple[float, ...]:
    """The share of ``samples`` that reaches each following network of a cascade, 0..1."""
    stage = deciding(network, samples)
    return tuple(float((stage >= number).mean()) for number in range(1, len(network.stages)))


def time_cold(runner: Runner, count: int, rounds: int) -> list[float]:
    """Nanoseconds an inference, as the mean of some of ``count`` samples, for each of ``rounds``."""
    walked = lines()
    samples = range(min(_COLD_SAMPLES, count))
    return [sum(_run_cold(runner, index, walked) for index in samples) / len(samples) for _ in range(rounds)]


def lines() -> NDArray[Any]:
    """A buffer that empties the caches when ``["first"]`` is changed: a word of each of its lines."""
    return np.zeros(_EVICTING // _CACHE_LINE, _LINE)


def _run_cold(runner: Runner, index: int, walked: NDArray[Any]) -> float:
    runner.aim(index)
    walked["first"] += 1
    return runner.run_one()


def _compare(entry: _Entry, count: int) -> None:
    """Holds the scores of the first samples against the reference and the labels."""
    row, runner = entry.row, entry.runner
    if runner.exact is None:
        return
    labels, expected = runner.labels(count), entry.expected[:count]
    row.agreement = float(np.mean(labels == expected.argmax(axis=1)))
    if runner.exact:
        equal = row.agreement == 1 and np.array_equal(runner.scores(count), expected)
        row.exact = row.exact is not False and bool(equal)
    if entry.inputs.labels is not None:
        row.accuracy = float(np.mean(labels == entry.inputs.labels[:count]))
