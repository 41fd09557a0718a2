"""A session: one network behind one trigger, and the slots through which samples go in and results come out."""

from __future__ import annotations

import copy
import errno
import os
import struct
import threading
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import abi
from .compiler import build_twin, workspace_size
from .errors import InputError, KernelError, NotSupported, SessionError
from .kernel import NOEXIST, Map, Object
from .network import QuantizedNetwork
from .obj import ObjectSpec, link
from .plugin import Attachment, Trigger


@dataclass(frozen=True, eq=False)
class Result:
    """What the kernel made of one sample.

    ``label`` is the index of the highest score, ``scores`` int32 [classes], ``elapsed_ns`` the time inside the network by the
    kernel's clock.
    """

    label: int
    scores: NDArray[np.int32]
    elapsed_ns: int


class Session(AbstractContextManager["Session"]):
    """Loads ``network`` behind ``trigger`` and attaches it to ``target``; closing it detaches and unloads.

    Any thread may call :meth:`infer`; up to 64 threads get a slot each. ``body`` overrides the object that defines
    ``ebpfnn_infer``, the C twin of the network where it is None.

    Raises :class:`~ebpfnn.errors.Error`: what the trigger cannot do here, or what the kernel refuses.
    """

    def __init__(
        self, network: QuantizedNetwork, trigger: Trigger, target: str | None = None, *, body: ObjectSpec | None = None
    ) -> None:
        reason = trigger.supported()
        if reason:
            raise NotSupported(f"trigger '{trigger.name}': {reason}")
        self.network, self.trigger = network, trigger
        self._lock = threading.Lock()
        self._slots: dict[int, int] = {}
        self._closed = False
        with ExitStack() as held:
            self._loaded = held.enter_context(Object.load(_link(network, trigger, body or build_twin(network))))
            self._samples = _view(self._loaded.maps[abi.SAMPLES], np.dtype(np.uint8), network.input_shape)
            self._results = _view(self._loaded.maps[abi.RESULTS], abi.RESULT)
            self._attachment: Attachment = held.enter_context(trigger.attach(self._loaded, target))
            self._held = held.pop_all()

    def infer(self, sample: NDArray[np.uint8]) -> Result:
        """Runs the network in the kernel on one sample, uint8 of the network's input shape.

        Raises :class:`InputError` for a sample of another shape or dtype, :class:`SessionError` where the event did not run
        the network or the session is closed, :class:`NotSupported` where the trigger cannot provoke its event.
        """
        if self._closed:
            raise SessionError(f"the session of '{self.network.name}' is closed; open another")
        if sample.dtype != np.uint8 or sample.shape != self.network.input_shape:
            wanted = f"uint8 {list(self.network.input_shape)}"
            raise InputError(f"a sample of {sample.dtype} {list(sample.shape)}; '{self.network.name}' takes {wanted}")
        slot = self._slot()
        self._samples[slot] = sample
        result = self._results[slot]
        before = int(result["sequence"])
        self._attachment.fire(slot)
        if int(result["sequence"]) == before:
            raise SessionError(
                f"trigger '{self.trigger.name}': the event did not run the network; "
                "another BPF program may be in its way, or the event did not happen in this thread"
            )
        if result["status"]:
            raise SessionError(f"network '{self.network.name}': the kernel side failed with status {result['status']}")
        scores = result["scores"][: len(self.network.labels)].copy()
        return Result(int(result["label"]), scores, int(result["elapsed_ns"]))

    @property
    def loaded(self) -> Object:
        """The maps and programs in the kernel."""
        return self._loaded

    def close(self) -> None:
        """Detaches and unloads. May be called twice."""
        self._closed = True
        self._held.close()
        # The maps live as long as their memory is mapped.
        self._samples = self._results = np.empty(0)

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _slot(self) -> int:
        """The calling thread's slot, claimed at its first call."""
        thread = threading.get_native_id()
        slot = self._slots.get(thread)
        return self._claim(thread) if slot is None else slot

    def _claim(self, thread: int) -> int:
        with self._lock:
            self._give_up_dead_threads()
            free = set(range(abi.MAX_SLOTS)) - set(self._slots.values())
            if not free:
                raise SessionError(f"all {abi.MAX_SLOTS} slots are taken; call from fewer threads, or open another session")
            callers = self._loaded.maps.get(abi.CALLERS)
            if callers is not None:
                _register(callers, thread, min(free))
            self._slots[thread] = min(free)
            return self._slots[thread]

    def _give_up_dead_threads(self) -> None:
        for thread in [thread for thread in self._slots if not os.path.exists(f"/proc/self/task/{thread}")]:  # noqa: PTH110
            del self._slots[thread]
            callers = self._loaded.maps.get(abi.CALLERS)
            if callers is not None:
                callers.delete(struct.pack("<I", thread))


def _link(network: QuantizedNetwork, trigger: Trigger, body: ObjectSpec) -> ObjectSpec:
    """The trigger's shell with the network in it, its slots sized for the network."""
    shell = copy.copy(ObjectSpec.from_file(trigger.object_path()))
    shell.keep_programs(trigger.program())
    shell.resize_map(abi.SAMPLES, value_size=(network.input_size + 7) // 8 * 8)
    shell.resize_map(abi.RESULTS, value_size=(abi.RESULT.itemsize + workspace_size(network) + 7) // 8 * 8)
    for name, value in trigger.variables().items():
        shell.set_variable(name, value)
    return link(shell, body)


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
