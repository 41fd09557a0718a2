"""The memory that a loaded shell shares with the kernel: a slot for each calling thread, and a batch for whoever takes it."""

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
from ..network.layers import InputFormat
from ..obj.uapi import MapType
from ..plugin import Attachment

_UINT8 = np.dtype(np.uint8)
# Where the 64-bit words of a result lie; status and label are one, on the little-endian machines that ebpfnn knows.
_SEQUENCE, _ELAPSED_NS, _OUTCOME = (abi.offset(name) // 8 for name in ("sequence", "elapsed_ns", "status"))
_STATUS, _LABEL_AT = 0xFFFFFFFF, 32
_COUNT = abi.CHECKED - 1  # the bits of a sequence that count

Explain = Callable[["KernelError | int | None"], Error]
"""What to raise for the kernel's refusal, for a status that is not 0, and for an event that ran nothing (None)."""


Ready = Callable[[int], None]


class Claims(Protocol):
    """Who decides which slot a thread gets."""

    def claim(self, thread: int, ready: Ready) -> int:
        """A slot that no living thread has, from now on that of ``thread``, which calls; one call at a time.

        ``ready`` is called with its number before events are answered in it. Raises :class:`SessionError` where there is none.
        """


class OwnClaims:
    """The slots of a network that this process alone calls; ``callers`` is None where events tell the slot themselves."""

    def __init__(self, count: int, callers: Map | None) -> None:
        self._count, self._callers = count, callers
        self._taken: dict[int, tuple[int, threading.Thread]] = {}

    def claim(self, thread: int, ready: Ready) -> int:
        self._give_up_dead_threads()
        known = self._taken.get(
            thread
        )  # of a thread that Python did not start, and knows for one call alone; or a number again
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
            if owner.is_alive() and is_ours(thread):  # the former of one that Python did not start, the latter after join()
                continue
            if self._callers is not None:
                self._callers.delete(struct.pack("<I", thread))
            del self._taken[thread]


class Slot:
    """One sample and one result, in memory that the kernel shares: nothing is copied, nothing is allocated.

    ``sample`` is what the kernel gets, to be written: uint8 of the network's input shape, or for a packed network [bytes] as
    :func:`ebpfnn.network.encoding.encode` makes them. ``memory`` is the same, flat: ``memory[:] = bytes`` takes half the time.

    What came of it: ``scores``, int32 [classes], until the next run, and ``label``, the index of the highest; of equal ones,
    the first.

    It is for the thread that asked for it. In the child of a fork, and once its session is closed, running it raises; what a
    child writes into ``sample`` the parent has there.
    """

    def __init__(self, number: int, slots: Slots) -> None:
        self.number, self.sample, self.label = number, slots.samples[number], 0
        self.memory = memoryview(self.sample.reshape(-1))
        self.scores: NDArray[np.int32] = slots.results["scores"][number, : slots.classes]
        self._words = slots.words(number)
        self._attachment, self._explain = slots.attachment, slots.explain
        self._fire = slots.attachment.prepare(number)
        if slots.attachment.patience:
            self._fire = partial(self._fire_until_it_ran, self._fire)

    @property
    def elapsed_ns(self) -> int:
        """The time in the network, by the kernel's clock; of a batch, that of all its runs."""
        return self._words[_ELAPSED_NS]

    def run(self) -> None:
        """Runs the network on ``sample``. Raises :class:`SessionError` where the event did not, or the session is closed."""
        words = self._words
        before = words[_SEQUENCE]  # what ran until now had another sample, or another's
        try:
            self._fire()
        except KernelError as refusal:
            raise self._explain(refusal) from None
        if words[_SEQUENCE] == before:  # it moves once all else is written
            raise self._nothing_ran()
        outcome = words[_OUTCOME]
        if outcome & _STATUS:
            raise self._explain((outcome & _STATUS) - (1 << 32))
        self.label = outcome >> _LABEL_AT

    def run_batch(self, runs: int) -> None:
        """Runs the network ``runs`` times, on the samples of the session's :class:`Batch` in turn. Raises as :meth:`run`."""
        own, self._fire = self._fire, partial(self._fire_batch, runs)
        try:
            self.run()
        finally:
            self._fire = own

    def _fire_until_it_ran(self, fire: Callable[[], object]) -> None:
        """Fires as long as it takes: what ran before the sample was whole does not count."""
        before, deadline = self._words[_SEQUENCE], time.monotonic() + self._attachment.patience
        while self._words[_SEQUENCE] == before and time.monotonic() < deadline:
            fire()

    def leave(self, process: int) -> None:
        """In the child of a fork: every run from now on is refused, since the slot is that of ``process``."""

        def refused(_runs: int = 1) -> None:
            raise foreign(process)

        self._fire = self._fire_batch = refused

    def _nothing_ran(self) -> Error:
        """Why: the kernel's refusal, which the quick way does not tell, or the event did not happen."""
        try:
            self._attachment.fire(self.number)
        except KernelError as refusal:
            return self._explain(refusal)
        return self._explain(None)

    @cached_property
    def _fire_batch(self) -> Callable[[int], None]:
        return self._attachment.prepare_batch(self.number)


class Batch:
    """The samples that one event computes, and what came of each, in place; whoever uses it holds ``lock``.

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
    """Whether a shell's samples lie in slots: they do not where its events bring them."""
    return maps[abi.SAMPLES].type == MapType.ARRAY


class Slots:
    """Gives a thread its slot at its first call, and takes it back when the thread has ended.

    ``claims`` decides which, for None among the threads of this process alone. ``batch`` is None where the shell runs one
    sample an event. Where ``checking`` is set, runs in slots that are given from then on are neither counted as answers nor
    told to watchers; whoever claims a slot next marks it anew.
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
        """The 64-bit words in front of a result's scores: to read one is several times quicker than an item of an array."""
        words: NDArray[np.uint64] = np.lib.stride_tricks.as_strided(
            self.results["sequence"], (len(self.results), _OUTCOME + 1), (self.results.strides[0], 8)
        )
        return memoryview(words[number]).cast("B").cast("Q")

    def mine(self) -> Slot:
        """The calling thread's slot. Raises :class:`SessionError` where none is free, or after a fork."""
        if self._process != _process:
            raise foreign(self._process)
        slot: Slot | None = getattr(self._own, "slot", None)
        return slot or self._claim(current())

    def leave(self) -> None:
        """In the child of a fork: slots that were handed out are of no use there."""
        for slot in self._made.values():
            slot.leave(self._process)

    def _claim(self, thread: int) -> Slot:
        with self._lock:
            number = self._claims.claim(thread, partial(self._mark, checking=self.checking))
            self._own.slot = self._made[number] = self._made.get(number) or Slot(number, self)
            return self._made[number]

    def _mark(self, number: int, *, checking: bool) -> None:
        """Whether runs in that slot are checks; whoever had it may have been killed while checking."""
        words = self.words(number)
        words[_SEQUENCE] = words[_SEQUENCE] & _COUNT | (abi.CHECKING if checking else 0)


_process = os.getpid()  # kept, since to compare it is quicker than to ask for it
_all: WeakSet[Slots] = WeakSet()


def foreign(process: int) -> SessionError:
    """What to raise where the child of a fork uses the session of ``process``."""
    return SessionError(f"this session belongs to process {process}; open another after a fork")


def _note_fork() -> None:
    global _process
    _process = os.getpid()
    for slots in _all:
        slots.leave()


os.register_at_fork(after_in_child=_note_fork)


def register(callers: Map, thread: int, slot: int) -> None:
    """Has events of ``thread`` answered in ``slot``. Raises :class:`SessionError` where they are answered in one already."""
    try:
        callers.update(struct.pack("<I", thread), struct.pack("<I", slot), NOEXIST)
    except KernelError as refusal:
        if refusal.errno == errno.EEXIST:
            raise SessionError(f"thread {thread} has a slot already; use one session a thread on one loaded network") from None
        raise


def _view(held: Map, dtype: np.dtype[Any], shape: tuple[int, ...] = ()) -> NDArray[Any]:
    """An array of slots over the map's own memory: what is written here the kernel reads, and the other way round."""
    strides = (held.element_stride, *np.empty(shape, dtype).strides)
    slots: NDArray[Any] = np.ndarray((held.max_entries, *shape), dtype, buffer=held.mmap(), strides=strides)
    return slots


def _shaped(slots: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """``slots``, uint8 [slots, bytes], as [slots, *shape]: in place, where between two slots there may be a gap."""
    strides = (slots.strides[0], *np.empty(shape, np.uint8).strides)
    return np.lib.stride_tricks.as_strided(slots, (len(slots), *shape), strides)
