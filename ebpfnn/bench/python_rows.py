"""Rows that are called from Python, and timed there: what a caller waits for one sample."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bodies import AnyKind
from ..network.encoding import encode
from ..network.model import Model
from ..session import Result, Session
from .runner import Runner

Infer = Callable[[int], Any]
"""Infers the sample of that number. What it returns is made scores of once the clock has stopped."""
Opened = Callable[[], Session]
"""The session to infer on, opened by now."""


class PythonRunner(Runner):
    """A loop over calls, of which a turn costs some 30 ns. The clock is this thread's time, which others do not lengthen."""

    def load(self, samples: NDArray[np.uint8]) -> None:
        self._infer = self.prepare(samples)
        self._found: list[Any] = [None] * len(samples)
        self._index = 0

    def run(self, runs: int) -> float:
        infer, found, count = self._infer, self._found, len(self._found)
        begun = time.thread_time_ns()
        for _ in range(runs // count):
            for index in range(count):
                found[index] = infer(index)
        for index in range(runs % count):
            found[index] = infer(index)
        return float(time.thread_time_ns() - begun)

    def aim(self, index: int) -> None:
        self._index = index

    def run_one(self) -> float:
        begun = time.perf_counter_ns()
        self._found[self._index] = self._infer(self._index)
        return float(time.perf_counter_ns() - begun)

    def scores(self, count: int) -> NDArray[Any]:
        return np.stack([self.as_scores(found) for found in self._found[:count]])

    @abstractmethod
    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        """What infers one of ``samples``, uint8 [n, *shape] of pixels."""

    def as_scores(self, found: Any) -> NDArray[Any]:
        """The scores, [classes], in what the call returned."""
        return np.asarray(found).reshape(self.classes)


class InferRunner(PythonRunner):
    """``session.infer(sample)``: the sample is checked and encoded, and the result is a new object."""

    cold = False

    def __init__(self, session: Opened, classes: int, through: str = "") -> None:
        super().__init__(f"session.infer{through}", classes)
        self._open = session

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        infer, given = self._open().infer, list(samples)
        return lambda index: infer(given[index])

    def as_scores(self, found: Result) -> NDArray[np.int32]:
        return found.scores

    def labels(self, count: int) -> NDArray[np.intp]:
        return np.array([result.label for result in self._found[:count]])


class SlotRunner(PythonRunner):
    """``slot.memory[:] = sample; slot.run(); slot.label``, of samples that were made bytes beforehand."""

    cold = False

    def __init__(self, session: Opened, classes: int, through: str = "") -> None:
        super().__init__(f"slot.run{through}", classes)
        self._open = session

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        session = self._open()
        self._slot = slot = session.slot()
        given = [sample.tobytes() for sample in encode(session.network.input, samples)]
        memory, run = slot.memory, slot.run

        def infer(index: int) -> int:
            memory[:] = given[index]
            run()
            return slot.label

        return infer

    def scores(self, count: int) -> NDArray[np.int32]:
        """Of a second pass, since a slot keeps the scores of one sample alone."""
        return np.array([self._scores_again(index) for index in range(count)], np.int32)

    def labels(self, count: int) -> NDArray[np.intp]:
        return np.array(self._found[:count])

    def _scores_again(self, index: int) -> list[int]:
        self._infer(index)
        scores: list[int] = self._slot.scores.tolist()
        return scores


class InferManyRunner(PythonRunner):
    """``session.infer_many(samples)`` of all samples: the share of one."""

    cold = False

    def __init__(self, session: Session) -> None:
        super().__init__("session.infer_many", len(session.network.labels))
        self._session = session

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        self._samples = samples
        return lambda index: self._session.infer(samples[index])

    def run(self, runs: int) -> float:
        times = max(runs // len(self._samples), 1)
        begun = time.thread_time_ns()
        for _ in range(times):
            self._found = [self._session.infer_many(self._samples)]
        elapsed = time.thread_time_ns() - begun
        return elapsed * runs / (times * len(self._samples))

    def scores(self, count: int) -> NDArray[np.int32]:
        scores: NDArray[np.int32] = self._found[0].scores[:count]
        return scores

    def labels(self, count: int) -> NDArray[np.uint32]:
        labels: NDArray[np.uint32] = self._found[0].labels[:count]
        return labels


class ReferenceRunner(PythonRunner):
    """The reference of a kind of models, in numpy: one sample a call."""

    cold = False

    def __init__(self, model: Model, kind: AnyKind) -> None:
        super().__init__("reference", len(model.labels))
        self._model, self._kind = model, kind

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        scores, model = self._kind.scores, self._model
        return lambda index: scores(model, samples[index])
