"""A session: one network behind one trigger."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from .compiler import Body
from .encoding import encode
from .errors import Error, InputError, KernelError, NotSupported, SessionError
from .kernel import Object
from .loading import default_batch, load
from .network import QuantizedNetwork
from .plugin import Attachment, Trigger, why_not
from .slots import Batch, Slot, Slots, has_slots
from .target import compile_here

_UINT8 = np.dtype(np.uint8)


@dataclass(eq=False)
class Result:
    """What the kernel made of one sample.

    ``label`` is the index of the highest score, ``scores`` int32 [classes], ``elapsed_ns`` the time inside the network by the
    kernel's clock, 0 where the trigger does not tell it.
    """

    label: int
    scores: NDArray[np.int32]
    elapsed_ns: int


@dataclass(eq=False)
class Results:
    """What the kernel made of many samples: ``labels`` uint32 [n], ``scores`` int32 [n, classes].

    ``elapsed_ns`` is the time inside the network, of all of them.
    """

    labels: NDArray[np.uint32]
    scores: NDArray[np.int32]
    elapsed_ns: int


class Session(AbstractContextManager["Session"]):
    """Loads ``network`` behind ``trigger`` and attaches it to ``target``; closing it detaches and unloads.

    Any thread may call it; up to 64 threads get a slot each. ``body`` is what defines ``ebpfnn_infer``, for None the network
    compiled for this kernel. ``batch`` is how many samples one event can compute, where the trigger can compute many, and
    ``repeats`` how often over.

    Raises :class:`~ebpfnn.errors.Error`: what the trigger cannot do here, what the compiler cannot take, or what the kernel
    refuses.
    """

    def __init__(
        self,
        network: QuantizedNetwork,
        trigger: Trigger,
        target: str | None = None,
        body: Body | None = None,
        *,
        batch: int | None = None,
        repeats: int = 1,
    ) -> None:
        reason = why_not(trigger)
        if reason:
            raise NotSupported(f"trigger '{trigger.name}': {reason}")
        self.network, self.trigger, self.target = network, trigger, target or trigger.default_target
        self.body = body or compile_here(network)
        self._slots: Slots | None = None
        self._closed = True
        with ExitStack() as held:
            capacity = batch or default_batch(network.input)
            self._loaded = held.enter_context(load(network, trigger, self.body, target, batch=capacity, repeats=repeats))
            attachment: Attachment = held.enter_context(trigger.attach(self._loaded, target))
            self._attachment = attachment
            slots = Slots(network, self._loaded.maps, attachment, self._explain) if has_slots(self._loaded.maps) else None
            self._held, self._slots, self._closed = held.pop_all(), slots, False

    def infer(self, sample: NDArray[np.uint8]) -> Result:
        """Runs the network in the kernel on one sample, uint8 of the network's input shape.

        Raises :class:`InputError` for a sample of another shape or dtype, :class:`SessionError` where the event did not run
        the network or the session is closed, :class:`NotSupported` where the trigger cannot provoke its event.
        """
        _check_sample(sample, self.network, ())
        form = self.network.input
        if self._slots is None and not self._closed:
            label, scores = self._attachment.exchange(encode(form, sample).tobytes())
            return Result(label, np.array(scores, np.int32), 0)
        slot = self.slot()
        slot.sample[...] = encode(form, sample) if form.packed else sample
        slot.run()
        return Result(slot.label, slot.scores.copy(), slot.elapsed_ns)

    def infer_many(self, samples: NDArray[np.uint8]) -> Results:
        """Runs the network in the kernel on samples, uint8 [n, *shape]: many an event where the trigger can, else one by one.

        Raises as :meth:`infer`.
        """
        _check_sample(samples, self.network, ("n",))
        classes = len(self.network.labels)
        found = Results(np.empty(len(samples), np.uint32), np.empty((len(samples), classes), np.int32), 0)
        batch = self.batch
        if batch is None:
            self._infer_each(samples, found)
        else:
            with batch.lock:
                self._infer_batches(samples, self.slot(), batch, found)
        return found

    def slot(self) -> Slot:
        """The calling thread's own slot, for the shortest way there and back; the same at every call.

        Raises :class:`SessionError` where none is free, after a fork, where the session is closed, or where the trigger takes
        its samples from its events.
        """
        slots = self._slots
        if self._closed:
            raise self._is_closed()
        if slots is None:
            raise SessionError(f"trigger '{self.trigger.name}' takes its samples from its events, not from slots; use infer()")
        return slots.mine()

    @property
    def batch(self) -> Batch | None:
        """The memory of :meth:`infer_many`, None where one event computes one sample. Raises as :meth:`slot`."""
        if self._closed:
            raise self._is_closed()
        return self._slots.batch if self._slots else None

    @property
    def loaded(self) -> Object:
        """The maps and programs in the kernel."""
        return self._loaded

    def close(self) -> None:
        """Detaches and unloads. May be called twice, and while other threads infer: they are told."""
        self._closed, self._slots = True, None  # the maps live as long as their memory is mapped
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _infer_each(self, samples: NDArray[np.uint8], found: Results) -> None:
        for number, sample in enumerate(samples):
            result = self.infer(sample)
            found.labels[number], found.scores[number] = result.label, result.scores
            found.elapsed_ns += result.elapsed_ns

    def _infer_batches(self, samples: NDArray[np.uint8], slot: Slot, batch: Batch, found: Results) -> None:
        for first in range(0, len(samples), batch.capacity):
            some = samples[first : first + batch.capacity]
            batch.samples[: len(some)] = encode(self.network.input, some)
            slot.run_batch(len(some))
            found.labels[first : first + len(some)] = batch.labels[: len(some)]
            found.scores[first : first + len(some)] = batch.scores[: len(some)]
            found.elapsed_ns += slot.elapsed_ns

    def _explain(self, fault: KernelError | int | None) -> Error:
        """What :data:`ebpfnn.slots.Explain` says."""
        if self._closed:
            return self._is_closed()
        if isinstance(fault, KernelError):
            return fault
        if fault is not None:
            return SessionError(f"network '{self.network.name}': the kernel side failed with status {fault}; report it")
        where = f"trigger '{self.trigger.name}'" + (f", target '{self.target}'" if self.target else "")
        default = f"; try its default target, {self.trigger.default_target}" if self.trigger.default_target else ""
        return SessionError(f"{where}: the event did not happen in this thread, so the network did not run{default}")

    def _is_closed(self) -> SessionError:
        return SessionError(f"the session of '{self.network.name}' is closed; open another")


def _check_sample(sample: object, network: QuantizedNetwork, in_front: tuple[str, ...]) -> None:
    """That it is an array of the network's samples, with the axes ``in_front`` before those of one."""
    shape = network.input.shape
    if isinstance(sample, np.ndarray) and sample.dtype == _UINT8 and sample.shape[len(in_front) :] == shape:
        return
    wanted = f"network '{network.name}' takes a numpy array, uint8 [{', '.join(map(str, (*in_front, *shape)))}]"
    if not isinstance(sample, np.ndarray):
        raise InputError(f"a sample of type {type(sample).__name__}; {wanted}")
    raise InputError(f"a sample of {sample.dtype} {list(sample.shape)}; {wanted}")
