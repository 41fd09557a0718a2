"""Watches an instance: reports every inference of any process as it happens, through a ring buffer in the kernel."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from .. import abi
from ..network.cascades import one_unit
from ..session.verdicts import Verdict, told
from .reader import Reader
from .store import WATCH_LOCK

_AHEAD_NS = 3_000_000_000  # the kernel reports to a watcher that died for this long
_RENEWED_NS = 1_000_000_000
_Told = TypeVar("_Told")


@dataclass(frozen=True)
class Event:
    """One inference. ``label`` is '' if ``status`` is not 0, a negative errno. ``score`` is the score of the label.

    ``time_ns`` is CLOCK_MONOTONIC when the network started, ``elapsed_ns`` the time in it. ``source`` says where the sample is
    from: a slot, or what the trigger documents. ``network`` is the name of the network that answered; ``score * score_scale``
    is its logit. ``score_scale`` is None for a cascade of networks with different ones: which of them decided is not told.
    ``value`` is that product if results are values or anomaly scores, else None; None too if ``status`` is not 0.
    """

    time_ns: int
    elapsed_ns: int
    source: int
    status: int
    label: str
    index: int
    score: int
    score_scale: float | None
    network: str
    value: float | None = None


class Watcher(Reader[_Told]):
    """The only watcher of the instance whose pins are in ``path``. The watch ends when it is closed or the process ends.

    Call :meth:`read` at least every three seconds, else the kernel stops reporting. Raises as :class:`Reader`.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, WATCH_LOCK, abi.EVENTS)

    @property
    def lost(self) -> int:
        """The number of inferences that were not reported because the ring buffer was full."""
        return int(self._watched["lost"][0]) - self._lost_before

    def _begin(self, held: ExitStack) -> None:
        self._watched = np.ndarray(1, abi.WATCHED, buffer=self._pins.maps[abi.WATCH].mmap())
        for _former in self._ring.views():  # left by a watcher that died
            pass
        self._lost_before, self._until_ns = int(self._watched["lost"][0]), 0
        held.callback(self._stop)
        self._renew()

    def _renew(self) -> None:
        now = time.monotonic_ns()
        if now > self._until_ns - _AHEAD_NS + _RENEWED_NS:
            self._until_ns = now + _AHEAD_NS
            self._watched["until_ns"][0] = self._until_ns

    def _stop(self) -> None:
        if self._process == os.getpid():
            self._watched["until_ns"][0] = 0


class Watch(Watcher[Event]):
    """Watches an instance that callers give samples."""

    def _event(self, record: bytes) -> Event:
        return self._told(np.frombuffer(record, abi.EVENT, 1)[0])

    def _told(self, record: np.void) -> Event:
        index, status = int(record["label"]), int(record["status"])
        about = self._answered(int(record["network"]))
        label = about.labels[index] if not status and index < len(about.labels) else ""
        time_ns, elapsed_ns, source = (int(record[name]) for name in ("time_ns", "elapsed_ns", "source"))
        scale = one_unit(about.score_scales)
        score = int(record["score"])
        value = None if status or about.unit is None else score * about.unit
        return Event(time_ns, elapsed_ns, source, status, label, index, score, scale, about.network, value)


class VerdictWatch(Watcher[Verdict]):
    """Watches an instance that observes events: every verdict as it is made."""

    def _event(self, record: bytes) -> Verdict:
        number = int(np.frombuffer(record, abi.VERDICT, 1)["network"][0])
        unit = self._answered(number).unit
        return told(self.about.labels, self.about.parts, record, {number: unit})  # no swap changes labels and key
