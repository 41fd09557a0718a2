"""The memory that a loaded shell shares with the kernel: a slot for each calling thread, and a batch for whoever takes it."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import abi
from .errors import Error, KernelError, SessionError
from .kernel import NOEXIST, Map
from .network import QuantizedNetwork
from .plugin import Attachment

_UINT8 = np.dtype(np.uint8)

Explain = Callable[["KernelError | int | None"], Error]
"""What to raise for the kernel's refusal, for a status that is not 0, and for an event that ran nothing (None)."""


class Slot:
    """One sample and one result, in memory that the kernel shares: nothing is copied, nothing is allocated.

    ``sample`` is what the kernel gets, to be written: uint8 of the network's input shape, or for a packed network [bytes] as
    :func:`ebpfnn.encoding.encode` makes them. ``scores``, int32 [classes], is what came of it, until the next run.

    It is for the thread that asked for it, and of no use after a fork, or once its session is closed.
    """

    def __init__(self, number: int, slots: Slots) -> None:
        result = slots.results[number : number + 1]
        self.number, self.sample, self.scores = number, slots.samples[number], result["scores"][0, : slots.classes]
        self._sequence_now: Callable[[], int] = result["sequence"].item
        self._status: Callable[[], int] = result["status"].item
        self._label: Callable[[], int] = result["label"].item
        self._elapsed_ns: Callable[[], int] = result["elapsed_ns"].item
        self._sequence = self._sequence_now()
        self._attachment, self._explain = slots.attachment, slots.explain
        self._fire = slots.attachment.prepare(number)

    @property
    def label(self) -> int:
        """The index of the highest score; of equal ones, the first."""
        return self._label()

    @property
    def elapsed_ns(self) -> int:
        """The time in the network, by the kernel's clock; of a batch, that of all its runs."""
        return self._elapsed_ns()

    def run(self) -> None:
        """Runs the network on ``sample``. Raises :class:`SessionError` where the event did not, or the session is closed."""
        try:
            if self._fire():
                self._attachment.fire(self.number)
        except KernelError as refusal:
            raise self._explain(refusal) from None
        self._check()

    def run_batch(self, runs: int) -> None:
        """Runs the network ``runs`` times, on the samples of the session's :class:`Batch` in turn. Raises as :meth:`run`."""
        try:
            self._fire_batch(runs)
        except KernelError as refusal:
            raise self._explain(refusal) from None
        self._check()

    @cached_property
    def _fire_batch(self) -> Callable[[int], None]:
        return self._attachment.prepare_batch(self.number)

    def _check(self) -> None:
        """That the event did run the network: it says so by moving the sequence on, once all else is written."""
        sequence = self._sequence_now()
        if sequence == self._sequence:
            raise self._explain(None)
        self._sequence = sequence
        status = self._status()
        if status:
            raise self._explain(status)


class Batch:
    """The samples that one event computes, and what came of each, in place; whoever uses it holds ``lock``.

    ``samples`` is uint8 [capacity, bytes] as :func:`ebpfnn.encoding.encode` makes them, ``labels`` uint32 [capacity] and
    ``scores`` int32 [capacity, classes].
    """

    def __init__(self, samples: NDArray[np.uint8], outputs: NDArray[Any]) -> None:
        self.samples = samples
        self.labels: NDArray[np.uint32] = outputs["label"]
        self.scores: NDArray[np.int32] = outputs["scores"]
        self.lock = threading.Lock()

    @property
    def capacity(self) -> int:
        return len(self.samples)


class Slots:
    """Gives a thread its slot at its first call, and takes it back when the thread has ended.

    ``batch`` is None where the shell runs one sample an event.
    """

    def __init__(self, network: QuantizedNetwork, maps: Mapping[str, Map], attachment: Attachment, explain: Explain) -> None:
        form, self.classes = network.input, len(network.labels)
        self.attachment, self.explain = attachment, explain
        self.results = _view(maps[abi.RESULTS], abi.RESULT)
        own, shared = np.split(_view(maps[abi.SAMPLES], _UINT8, (form.sample_bytes,)), [len(self.results)])
        self.samples = own if form.packed else _shaped(own, form.shape)
        outputs = maps.get(abi.OUTPUTS)
        self.batch = None if outputs is None else Batch(shared, _view(outputs, abi.output(self.classes)))
        self._callers = maps.get(abi.CALLERS)
        self._process = _process
        self._lock = threading.Lock()
        self._taken: dict[int, Slot] = {}
        self._made: dict[int, Slot] = {}
        self._own = threading.local()

    def mine(self) -> Slot:
        """The calling thread's slot. Raises :class:`SessionError` where none is free, or after a fork."""
        if self._process != _process:
            raise SessionError(f"this session belongs to process {self._process}; open another after a fork")
        slot: Slot | None = getattr(self._own, "slot", None)
        return slot or self._claim(threading.get_native_id())

    def _claim(self, thread: int) -> Slot:
        with self._lock:
            threading.current_thread()  # makes a thread that Python did not start count among the living
            self._give_up_dead_threads()
            free = set(range(len(self.results))) - {slot.number for slot in self._taken.values()}
            if not free:
                raise SessionError(f"all {len(self.results)} slots are taken; call from fewer threads, or open another session")
            number = min(free)
            slot = self._made.get(number) or Slot(number, self)
            if self._callers is not None:
                _register(self._callers, thread, number)
            self._own.slot = self._made[number] = self._taken[thread] = slot
            return slot

    def _give_up_dead_threads(self) -> None:
        living = {thread.native_id for thread in threading.enumerate()}
        for thread in self._taken.keys() - living:
            del self._taken[thread]
            if self._callers is not None:
                self._callers.delete(struct.pack("<I", thread))


_process = os.getpid()  # kept, since to compare it is quicker than to ask for it


def _note_fork() -> None:
    global _process
    _process = os.getpid()


os.register_at_fork(after_in_child=_note_fork)


def _register(callers: Map, thread: int, slot: int) -> None:
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
