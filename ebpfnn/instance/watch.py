"""Watches an instance: reports every inference of any process as it happens, through a ring buffer in the kernel."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

import numpy as np

from .. import abi
from ..errors import SessionError
from ..kernel import RingBuffer
from ..network.cascades import one_unit
from ..session.verdicts import Verdict, told
from .about import About
from .locks import try_lock
from .pins import ABOUT, Pins
from .store import LOCKS, WATCH_LOCK

_AHEAD_NS = 3_000_000_000  # the kernel reports to a watcher that died for this long
_RENEWED_NS = 1_000_000_000


_Told = TypeVar("_Told")
_Self = TypeVar("_Self", bound="Watcher[Any]")


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


class Watcher(ABC, Generic[_Told]):
    """The only watcher of the instance whose pins are in ``path``. The watch ends when it is closed or the process ends.

    ``about`` describes the instance. Raises :class:`SessionError` if another watcher exists, and
    :class:`~ebpfnn.errors.KernelError` if the instance may not be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._closed, self._process = path, False, os.getpid()
        self._described: tuple[int, list[About | None]] = -1, []
        with ExitStack() as held:
            if not held.enter_context(try_lock(path / LOCKS / WATCH_LOCK)):
                raise SessionError(
                    f"instance '{path.name}' is watched by another process, and only one can watch at a time; end that first"
                )
            self._pins = held.enter_context(Pins(path))
            self.about = self._pins.current()[1]
            self._ring = held.enter_context(RingBuffer(self._pins.maps[abi.EVENTS]))
            memory = self._pins.maps[abi.WATCH].mmap()
            self._watched = np.ndarray(1, abi.WATCHED, buffer=memory)
            for _former in self._ring.views():  # left by a watcher that died
                pass
            self._lost_before, self._until_ns = int(self._watched["lost"][0]), 0
            held.callback(self._stop)
            self._renew()
            self._held = held.pop_all()

    @property
    def lost(self) -> int:
        """The number of inferences that were not reported because the ring buffer was full."""
        return int(self._watched["lost"][0]) - self._lost_before

    def read(self, timeout: float = 0.2) -> Iterator[_Told]:
        """The events since the last call. If there are none, waits for up to ``timeout`` seconds, at most one.

        Call it at least every three seconds, else the kernel stops reporting. Raises :class:`SessionError` if the instance was
        unloaded or detached, and after :meth:`close`.
        """
        if self._closed:
            raise SessionError(f"the watch of instance '{self.path.name}' is closed; begin another")
        self._pins.check_attached(self.about)
        self._renew()
        for record in self._ring.poll(min(timeout, 1)):
            yield self._event(record)

    def __iter__(self) -> Iterator[_Told]:
        """Every inference from now on. When the instance is unloaded, it raises as :meth:`read` does."""
        while True:
            yield from self.read()

    def close(self) -> None:
        """Stops the reports of the kernel. May be called twice. In the child of a fork the parent's watch goes on."""
        self._closed = True
        self._held.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _renew(self) -> None:
        now = time.monotonic_ns()
        if now > self._until_ns - _AHEAD_NS + _RENEWED_NS:
            self._until_ns = now + _AHEAD_NS
            self._watched["until_ns"][0] = self._until_ns

    def _stop(self) -> None:
        if self._process == os.getpid():
            self._watched["until_ns"][0] = 0

    def _answered(self, number: int) -> About:
        """The description of the network with that number, read again after a swap."""
        swaps = self._pins.swaps[0]
        if self._described[0] != swaps:
            self._described = swaps, [None, None]
        known = self._described[1]
        about = known[number & 1]
        if about is None:
            found = self._pins.maps[ABOUT].lookup((number & 1).to_bytes(4, "little")) or b""
            about = known[number & 1] = About.decode(found)
        return about

    @abstractmethod
    def _event(self, record: bytes) -> _Told:
        """What one record of the ring buffer tells."""


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
