"""The memory that a loaded shell shares with the kernel: a slot for each calling thread, and a batch."""

from __future__ import annotations

import errno
import os
import struct
import threading
import time
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from .. import abi
from ..errors import Error, KernelError, SessionError
from ..kernel import NOEXIST, Map
from ..kernel.threads import current, is_ours
from ..network.inputformat import InputFormat
from ..obj.uapi import MapType
from ..plugin import Attachment

_UINT8 = np.dtype(np.uint8)
# Offsets of the 64-bit words of a result. Status and label are one word, on the little-endian machines that ebpfnn supports.
_SEQUENCE, _ELAPSED_NS, _OUTCOME = (abi.offset(name) // 8 for name in ("sequence", "elapsed_ns", "status"))
_STATUS, _LABEL_AT = 0xFFFFFFFF, 32
_COUNT = abi.CHECKED - 1  # the bits of a sequence number that count

Explain = Callable[["KernelError | int | None"], Error]
"""The error for the kernel's refusal, for a nonzero status, and for an event that ran nothing (None)."""


Ready = Callable[[int], None]


class Claims(Protocol):
    """Decides which slot a thread gets."""

    def claim(self, thread: int, ready: Ready) -> int:
        """A slot that no living thread has. From now on it belongs to ``thread``, the caller. Calls must not overlap.

        ``ready`` is called with its number before events are answered in it. Raises :class:`SessionError` if none is free.
        """


class OwnClaims:
    """The slots of a network that only this process calls. ``callers`` is None if events give the slot themselves."""

    def __init__(self, count: int, callers: Map | None) -> None:
        self._count, self._callers = count, callers
        self._taken: dict[int, tuple[int, threading.Thread]] = {}

    def claim(self, thread: int, ready: Ready) -> int:
        self._give_up_dead_threads()
        known = self._taken.get(
            thread
        )  # known: Python did not start the thread, and forgets it after one call; or the id was reused
        number = known[0] if known else self._free()
        ready(number)
        if self._callers is not None and not known:
            register(self._callers, thread, number)
        self._taken[thread] = number, threading.current_thread()
        return number

    def _free(self) -> int:
        free = set(range(self._count)) - {number for number, _ in self._taken.values()}
        if not free:
            raise SessionError(f"all {self._count} slots are taken; call from fewer threads, or open another session")
        return min(free)

    def _give_up_dead_threads(self) -> None:
        for thread, (_, owner) in [*self._taken.items()]:
            if owner.is_alive() and is_ours(thread):  # the former: Python did not start it; the latter: after join()
                continue
            if self._callers is not None:
                self._callers.delete(struct.pack("<I", thread))
            del self._taken[thread]


class Slot:
    """One sample and one result, in memory that is shared with the kernel. Nothing is copied or allocated.

    Write the sample to ``sample``: uint8 of the network's input shape, or for a packed network [bytes] as
    :func:`ebpfnn.network.encoding.encode` makes them. ``memory`` is the same memory, flat: ``memory[:] = bytes`` takes half the
    time.

    The result is in ``scores``, int32 [classes], until the next run, and in ``label``, the index of the highest score; of equal
    ones, the first.

    Only the thread that requested the slot may use it. In the child of a fork, and after its session is closed, a run raises.
    What a child writes to ``sample`` changes the parent's memory.
    """

    def __init__(self, number: int, slots: Slots) -> None:
        self.number, self.sample, self.label = number, slots.samples[number], 0
        self.memory = memoryview(self.sample.reshape(-1))
        self.scores: NDArray[np.int32] = slots.results["scores"][number, : slots.classes]
        self._words = slots.words(number)
        self._attachment, self._explain = slots.attachment, slots.explain
        self._fire, self._happened = slots.attachment.prepare(number), False
        if slots.attachment.patience:
            self._fire = partial(self._fire_until_it_ran, self._fire)

    @property
    def elapsed_ns(self) -> int:
        """The time in the network, by the kernel's clock, in ns. For a batch, the total time of all its runs."""
        return self._words[_ELAPSED_NS]

    def run(self) -> None:
        """Runs the network on ``sample``. Raises :class:`SessionError` if the event did not run it or the session is closed."""
        words = self._words
        before = words[_SEQUENCE]  # earlier runs had another sample, or another thread's
        try:
            self._fire()
        except KernelError as refusal:
            raise self._explain(refusal) from None
        if words[_SEQUENCE] == before and not self._happened:  # it changes after everything else was written
            raise self._nothing_ran()
        outcome = words[_OUTCOME]
        if outcome & _STATUS:
            raise self._explain((outcome & _STATUS) - (1 << 32))
        self.label = outcome >> _LABEL_AT

    def run_batch(self, runs: int) -> None:
        """Runs the network ``runs`` times, on the samples of the session's :class:`Batch` in turn. Raises as :meth:`run`."""
        own, self._fire, self._happened = self._fire, partial(self._fire_batch, runs), False
        try:
            self.run()
        finally:
            self._fire = own

    def _fire_until_it_ran(self, fire: Callable[[], object]) -> None:
        """Fires until the network has run. Runs that began before the sample was complete do not count.

        What was seen here is kept: at the next event, which may follow at once, a check's sequence has its former value again.
        """
        before, deadline = self._words[_SEQUENCE], time.monotonic() + self._attachment.patience
        while not (happened := self._words[_SEQUENCE] != before) and time.monotonic() < deadline:
            fire()
        self._happened = happened

    def leave(self, process: int) -> None:
        """In the child of a fork: refuses every run from now on, since the slot belongs to ``process``."""

        def refused(_runs: int = 1) -> None:
            raise foreign(process)

        self._fire = self._fire_batch = refused

    def _nothing_ran(self) -> Error:
        """The error: the kernel's refusal, which the fast path does not report, or that the event did not happen."""
        try:
            self._attachment.fire(self.number)
        except KernelError as refusal:
            return self._explain(refusal)
        return self._explain(None)

    @cached_property
    def _fire_batch(self) -> Callable[[int], None]:
        return self._attachment.prepare_batch(self.number)


class Batch:
    """The samples that one event computes, and the result of each, in place. The user of it holds ``lock``.

    ``samples`` is uint8 [capacity, bytes] as :func:`ebpfnn.network.encoding.encode` makes them, ``labels`` uint32 [capacity]
    and ``scores`` int32 [capacity, classes].
    """

    def __init__(self, samples: NDArray[np.uint8], outputs: NDArray[Any]) -> None:
        self.samples = samples
        self.labels: NDArray[np.uint32] = outputs["label"]
        self.scores: NDArray[np.int32] = outputs["scores"]
        self.lock = threading.Lock()

    @property
    def capacity(self) -> int:
        return len(self.samples)


def has_slots(maps: Mapping[str, Map]) -> bool:
    """Whether a shell's samples are in slots. False if its events bring the samples."""
    return maps[abi.SAMPLES].type == MapType.ARRAY


class Slots:
    """Gives a thread its slot at its first call, and frees the slot when the thread has ended.

    ``claims`` chooses the slot; None chooses among the threads of this process only. ``batch`` is None if the shell runs one
    sample per event. While ``checking`` is set, runs in slots that are given are neither counted as answers nor reported to
    watchers. The next claim of such a slot sets its mark again.
    """

    def __init__(
        self,
        form: InputFormat,
        classes: int,
        maps: Mapping[str, Map],
        attachment: Attachment,
        explain: Explain,
        claims: Claims | None = None,
    ) -> None:
        self.classes, self.attachment, self.explain = classes, attachment, explain
        self.results = _view(maps[abi.RESULTS], abi.RESULT)
        own, shared = np.split(_view(maps[abi.SAMPLES], _UINT8, (form.sample_bytes,)), [len(self.results)])
        self.samples = own if form.packed else _shaped(own, form.shape)
        outputs = maps.get(abi.OUTPUTS)
        self.batch = None if outputs is None else Batch(shared, _view(outputs, abi.output(self.classes)))
        self.checking = False
        self._claims = claims or OwnClaims(len(self.results), maps.get(abi.CALLERS))
        self._process = _process
        self._lock = threading.Lock()
        self._made: dict[int, Slot] = {}
        self._own = threading.local()
        _all.add(self)

    def words(self, number: int) -> memoryview:
        """The 64-bit words before a result's scores. Reading one is several times faster than reading an array item."""
        words: NDArray[np.uint64] = np.lib.stride_tricks.as_strided(
            self.results["sequence"], (len(self.results), _OUTCOME + 1), (self.results.strides[0], 8)
        )
        return memoryview(words[number]).cast("B").cast("Q")

    def mine(self) -> Slot:
        """The slot of the calling thread. Raises :class:`SessionError` if none is free, or after a fork."""
        if self._process != _process:
            raise foreign(self._process)
        slot: Slot | None = getattr(self._own, "slot", None)
        return slot or self._claim(current())

    def leave(self) -> None:
        """In the child of a fork: disables the slots that were given."""
        for slot in self._made.values():
            slot.leave(self._process)

    def _claim(self, thread: int) -> Slot:
        with self._lock:
            number = self._claims.claim(thread, partial(self._mark, checking=self.checking))
            self._own.slot = self._made[number] = self._made.get(number) or Slot(number, self)
            return self._made[number]

    def _mark(self, number: int, *, checking: bool) -> None:
        """Sets whether runs in that slot are checks. The previous user may have been killed during a check."""
        words = self.words(number)
        words[_SEQUENCE] = words[_SEQUENCE] & _COUNT | (abi.CHECKING if checking else 0)


_process = os.getpid()  # kept, since comparing it is faster than requesting it
_all: WeakSet[Slots] = WeakSet()


def foreign(process: int) -> SessionError:
    """The error for the child of a fork that uses the session of ``process``."""
    return SessionError(f"this session belongs to process {process}; open another after a fork")


def _note_fork() -> None:
    global _process
    _process = os.getpid()
    for slots in _all:
        slots.leave()


os.register_at_fork(after_in_child=_note_fork)


def register(callers: Map, thread: int, slot: int) -> None:
    """Registers ``thread`` for ``slot``. Raises :class:`SessionError` if its events are already answered in a slot."""
    try:
        callers.update(struct.pack("<I", thread), struct.pack("<I", slot), NOEXIST)
    except KernelError as refusal:
        if refusal.errno == errno.EEXIST:
            raise SessionError(f"thread {thread} has a slot already; use one session a thread on one loaded network") from None
        raise


def _view(held: Map, dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> NDArray[Any]:
    """An array of slots over the map's own memory. The kernel reads what is written here, and vice versa."""
    strides = (held.element_stride, *np.empty(shape, dtype).strides)
    slots: NDArray[Any] = np.ndarray((held.max_entries, *shape), dtype, buffer=held.mmap(), strides=strides)
    return slots


def _shaped(slots: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """``slots``, uint8 [slots, bytes], as [slots, *shape], in place. There may be a gap between two slots."""
    strides = (slots.strides[0], *np.empty(shape, np.uint8).strides)
    return np.lib.stride_tricks.as_strided(slots, (len(slots), *shape), strides)
