"""Infers samples on a network that is loaded with a trigger."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..errors import Error, InputError, KernelError, SessionError
from ..network.encoding import encode
from ..network.inputformat import InputFormat
from ..network.layers import Shape
from ..network.model import Model
from ..plugin import Attachment, Trigger
from .slots import Batch, Slot, Slots, foreign

_ARRAY, _UINT8 = np.ndarray, np.dtype(np.uint8)
_Self = TypeVar("_Self", bound="Runner")


class Served(Protocol):
    """What callers must know of a model. Every :class:`~ebpfnn.network.model.Model` is one."""

    @property
    def name(self) -> str: ...
    @property
    def input(self) -> InputFormat: ...
    @property
    def input_shape(self) -> Shape: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def score_scale(self) -> float: ...
    @property
    def score_scales(self) -> tuple[float, ...]: ...
    @property
    def result(self) -> str: ...
    @property
    def unit(self) -> float | None: ...


@dataclass(eq=False)
class Result:
    """The kernel's result for one sample.

    ``label`` is the index of the highest score, ``scores`` int32 [classes], ``elapsed_ns`` the time inside the network by the
    kernel's clock, None if the trigger does not measure it. ``unit`` is the value of a score of 1, None if results are labels.
    Of a vector, the highest score has no meaning of its own.
    """

    label: int
    scores: NDArray[np.int32]
    elapsed_ns: int | None
    unit: float | None = None

    @property
    def value(self) -> float | None:
        """The value, or the anomaly score: the score times the score scale. None if results are labels or vectors."""
        return None if self.unit is None or len(self.scores) > 1 else int(self.scores[0]) * self.unit

    @property
    def vector(self) -> NDArray[np.float64] | None:
        """The components, float64 [components]: the scores times the score scale. None if results are no vectors."""
        return None if self.unit is None or len(self.scores) == 1 else self.scores * np.float64(self.unit)


@dataclass(eq=False)
class Results:
    """The kernel's results for many samples: ``labels`` uint32 [n], ``scores`` int32 [n, classes].

    ``elapsed_ns`` is the total time inside the network, None if the trigger does not measure it. ``unit`` is as in
    :class:`Result`.
    """

    labels: NDArray[np.uint32]
    scores: NDArray[np.int32]
    elapsed_ns: int | None
    unit: float | None = None

    @property
    def values(self) -> NDArray[np.float64] | None:
        """As :attr:`Result.value`, float64 [n]."""
        return None if self.unit is None or self.scores.shape[1] > 1 else self.scores[:, 0].astype(np.float64) * self.unit

    @property
    def vectors(self) -> NDArray[np.float64] | None:
        """As :attr:`Result.vector`, float64 [n, components]."""
        return None if self.unit is None or self.scores.shape[1] == 1 else self.scores * np.float64(self.unit)


class Runner(ABC):
    """Infers samples on ``network``, which ``trigger`` runs at ``target``. The subclass loads and attaches it."""

    network: Served
    trigger: Trigger
    target: str | None
    _attachment: Attachment
    _slots: Slots | None = None  # the trigger takes its samples from its events
    _closed = True

    def __init__(self) -> None:
        self._process = os.getpid()

    def infer(self, sample: NDArray[np.uint8]) -> Result:
        """Runs the network in the kernel on one sample, uint8 of the network's input shape.

        Raises :class:`InputError` for a sample of another shape or dtype, :class:`SessionError` if the event did not run the
        network or the session is closed, :class:`NotSupported` if the trigger cannot provoke its event.
        """
        form, slots = self.network.input, self._slots
        if not (type(sample) is _ARRAY and sample.dtype is _UINT8 and sample.shape == form.shape):  # the fast path
            _check_sample(sample, self.network, ())
        if slots is None:
            return self._exchange(sample)
        slot = slots.mine()
        slot.sample[...] = encode(form, sample) if form.packed else sample
        slot.run()
        return Result(slot.label, slot.scores.copy(), slot.elapsed_ns, self.network.unit)

    def infer_many(self, samples: NDArray[np.uint8]) -> Results:
        """Runs the network in the kernel on samples, uint8 ``[n, *shape]``: many per event if the trigger can, else one.

        Raises as :meth:`infer`.
        """
        _check_sample(samples, self.network, ("n",))
        classes = len(self.network.labels)
        unit = self.network.unit
        found = Results(np.empty(len(samples), np.uint32), np.empty((len(samples), classes), np.int32), 0, unit)
        batch = self.batch
        if batch is None:
            self._infer_each(samples, found)
        else:
            slot = self.slot()  # first: it refuses in the child of a fork, where the lock may never be released
            with batch.lock:
                self._infer_batches(samples, slot, batch, found)
        return found

    @abstractmethod
    def source(self) -> Model:
        """The network of the last result, for :mod:`ebpfnn.network.reference`."""

    def slot(self) -> Slot:
        """The slot of the calling thread, for the fastest inference. Each call returns the same slot.

        Raises :class:`SessionError` if none is free, after a fork, if the session is closed, or if the trigger takes its
        samples from its events.
        """
        slots = self._slots
        if self._closed:
            raise self._is_closed()
        if slots is None:
            raise SessionError(f"trigger '{self.trigger.name}' takes its samples from its events, not from slots; use infer()")
        return slots.mine()

    @property
    def has_slots(self) -> bool:
        """Whether :meth:`slot` returns a slot. False if the trigger takes its samples from its events."""
        return self._slots is not None

    @property
    def batch(self) -> Batch | None:
        """The memory of :meth:`infer_many`, None if one event computes one sample. Raises as :meth:`slot`."""
        slots = self._slots
        if self._closed:
            raise self._is_closed()
        if self._process != os.getpid():
            raise foreign(self._process)
        return slots.batch if slots else None

    def close(self) -> None:
        """Ends it. May be called twice, and while other threads infer: their calls raise."""
        self._closed, self._slots = True, None  # the maps exist as long as their memory is mapped

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _exchange(self, sample: NDArray[np.uint8]) -> Result:
        """:meth:`infer` if the trigger takes its samples from its events."""
        if self._closed:
            raise self._is_closed()
        if self._process != os.getpid():
            raise foreign(self._process)
        label, scores, elapsed = self._attachment.exchange(encode(self.network.input, sample).tobytes())
        return Result(label, np.array(scores, np.int32), elapsed, self.network.unit)

    def _infer_each(self, samples: NDArray[np.uint8], found: Results) -> None:
        for number, sample in enumerate(samples):
            result = self.infer(sample)
            found.labels[number], found.scores[number] = result.label, result.scores
            found.elapsed_ns = _sum(found.elapsed_ns, result.elapsed_ns)

    def _infer_batches(self, samples: NDArray[np.uint8], slot: Slot, batch: Batch, found: Results) -> None:
        for first in range(0, len(samples), batch.capacity):
            some = samples[first : first + batch.capacity]
            batch.samples[: len(some)] = encode(self.network.input, some)
            slot.run_batch(len(some))
            found.labels[first : first + len(some)] = batch.labels[: len(some)]
            found.scores[first : first + len(some)] = batch.scores[: len(some)]
            found.elapsed_ns = _sum(found.elapsed_ns, slot.elapsed_ns)

    def _explain(self, fault: KernelError | int | None) -> Error:
        """As :data:`ebpfnn.session.slots.Explain`."""
        if self._closed:
            return self._is_closed()
        if isinstance(fault, KernelError):
            return fault
        if fault is not None:
            return SessionError(f"network '{self.network.name}': the kernel side failed with status {fault}; report it")
        where = f"trigger '{self.trigger.name}'" + (f", target '{self.target}'" if self.target else "")
        default = self.trigger.default_target
        remedy = f"try its default target, {default}" if default and default != self.target else "try again, or another trigger"
        return SessionError(f"{where}: the event did not happen in this thread, so the network did not run; {remedy}")

    def _is_closed(self) -> SessionError:
        return SessionError(f"the session of '{self.network.name}' is closed; open another")


def _sum(so_far: int | None, more: int | None) -> int | None:
    return None if so_far is None or more is None else so_far + more


def _check_sample(sample: object, network: Served, in_front: tuple[str, ...]) -> None:
    """Checks that it is an array of the network's samples, with the axes ``in_front`` before those of one sample."""
    shape = network.input.shape
    if isinstance(sample, np.ndarray) and sample.dtype == _UINT8 and sample.shape[len(in_front) :] == shape:
        return
    wanted = f"network '{network.name}' takes a numpy array, uint8 [{', '.join(map(str, (*in_front, *shape)))}]"
    if not isinstance(sample, np.ndarray):
        raise InputError(f"a sample of type {type(sample).__name__}; {wanted}")
    raise InputError(f"a sample of {sample.dtype} {list(sample.shape)}; {wanted}")
