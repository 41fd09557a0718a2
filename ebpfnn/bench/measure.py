"""One run over many rows: each takes its turn in every round, so that all see the same machine, and ratios are of one run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network import QuantizedNetwork, reference
from ..plugin import Trigger
from ..session import Session
from .float_rows import float_runners
from .inputs import Inputs
from .kernel_rows import COMPILED, KernelRunner, kernel_runners
from .native import native_runners
from .python_rows import InferManyRunner, InferRunner, SlotRunner
from .rows import Row
from .runner import Runner

RUNS = 6144
"""Inferences of a long call: 12 times 512 samples. Short calls read higher, since each begins with cold branches and caches."""
_LONGEST_CALL_NS = 250_000_000  # rows that would take longer make fewer runs, of every sample once at least
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


class Bench(ExitStack):
    """Everything that is measured in one run: networks with their inputs are added, and then timed as often as one likes.

    ``only`` names rows; without it, all that this machine has. ``event`` is a trigger with its target, through which single
    samples are inferred too. Closing it unloads what was loaded.
    """

    def __init__(self, trigger: Trigger, only: Sequence[str] = (), event: tuple[Trigger, str] | None = None) -> None:
        super().__init__()
        self._trigger, self._only, self._event = trigger, only, event
        self._entries: list[_Entry] = []
        self._held_at_event = self.enter_context(ExitStack())
        self._at_event: Session | None = None
        self.names: dict[str, None] = {}
        """The rows that this machine has, in order."""

    @property
    def rows(self) -> list[Row]:
        """Those that were measured."""
        return [entry.row for entry in self._entries if entry.row.rounds]

    def add(self, network: QuantizedNetwork, inputs: Sequence[Inputs]) -> None:
        """Loads every row of ``network``; all of ``inputs`` hold as many samples.

        Raises as :class:`~ebpfnn.session.Session` does, and what :mod:`ebpfnn.bench.native` raises of the C compiler.
        """
        expected = [reference.scores(network, given.samples) for given in inputs]
        for runner in self._runners(network, len(inputs[0].samples)):
            self.names[runner.name] = None
            if self._only and runner.name not in self._only:
                continue
            for given, scores in zip(inputs, expected, strict=True):
                self._entries.append(_Entry(Row(runner.name, network.name, given.kind), runner, given, scores))

    def warm(self, rounds: Iterable[object]) -> None:
        """A round is one long call of every row."""
        for _ in rounds:
            for entry in self._entries:
                entry.runner.load(entry.inputs.samples)
                entry.row.rounds.append(time_warm(entry.runner, len(entry.inputs.samples)))
                _compare(entry, len(entry.inputs.samples))

    def cold(self, rounds: Iterable[object]) -> None:
        """A round is single runs, before each of which a walk through a buffer empties the caches; they are rows apart."""
        cold = [replace(entry, row=replace(entry.row, cache="cold", rounds=[])) for entry in self._entries if entry.runner.cold]
        self._entries += cold
        for _ in rounds:
            for entry in cold:
                entry.runner.load(entry.inputs.samples)
                (mean,) = time_cold(entry.runner, len(entry.inputs.samples), 1)
                entry.row.rounds.append(mean)
                _compare(entry, min(_COLD_SAMPLES, len(entry.inputs.samples)))

    def _attached(self, beside: Session, trigger: Trigger, target: str) -> Session:
        """The network of ``beside``, attached to an event, and no other with it: each event would run them all."""
        if self._at_event is None or self._at_event.body is not beside.body:
            self._held_at_event.close()
            self._at_event = self._held_at_event.enter_context(Session(beside.source(), trigger, target, beside.body))
        return self._at_event

    def _runners(self, network: QuantizedNetwork, images: int) -> Iterator[Runner]:
        compiled: KernelRunner | None = None
        for runner in kernel_runners(network, self._trigger, images, RUNS // images + 1, self):
            compiled = runner if runner.name == COMPILED else compiled
            yield runner
        if compiled:
            session, classes = compiled.session, len(network.labels)
            yield InferManyRunner(session)
            yield from (kind(lambda: session, classes) for kind in (SlotRunner, InferRunner))
            if self._event:
                attached = partial(self._attached, session, *self._event)
                yield from (kind(attached, classes, f":{self._event[0].name}") for kind in (SlotRunner, InferRunner))
        yield from float_runners(network)
        yield from native_runners(network)


def time_warm(runner: Runner, count: int) -> float:
    """Nanoseconds an inference, in one long call over ``count`` samples, each of which was run once before."""
    turns = min(RUNS // count, int(_LONGEST_CALL_NS // max(runner.run(count), 1)))
    runs = max(turns, 1) * count
    return runner.run(runs) / runs


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
