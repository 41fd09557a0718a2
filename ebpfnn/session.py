"""A session: one network behind one trigger."""

from __future__ import annotations

import errno
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from . import abi
from .compiler import build_twin, workspace_size
from .errors import InputError, KernelError, NotSupported, SessionError, VerifierError
from .kernel import Object
from .network import QuantizedNetwork
from .obj import ObjectSpec, link
from .plugin import Attachment, Trigger, why_not
from .slots import Slots


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
        reason = why_not(trigger)
        if reason:
            raise NotSupported(f"trigger '{trigger.name}': {reason}")
        self.network, self.trigger, self.target = network, trigger, target or trigger.default_target
        self._slots: Slots | None = None
        with ExitStack() as held:
            self._loaded = held.enter_context(_load(network, trigger, body or build_twin(network)))
            slots = Slots(self._loaded.maps, network.input_shape)
            self._attachment: Attachment = held.enter_context(trigger.attach(self._loaded, target))
            self._held, self._slots = held.pop_all(), slots

    def infer(self, sample: NDArray[np.uint8]) -> Result:
        """Runs the network in the kernel on one sample, uint8 of the network's input shape.

        Raises :class:`InputError` for a sample of another shape or dtype, :class:`SessionError` where the event did not run
        the network or the session is closed, :class:`NotSupported` where the trigger cannot provoke its event.
        """
        slots = self._slots
        if slots is None:
            raise self._closed()
        _check_sample(sample, self.network)
        slot = slots.mine()
        slots.samples[slot] = sample
        result = slots.results[slot]
        before = int(result["sequence"])
        self._fire(slot)
        if int(result["sequence"]) == before:
            raise self._silent()
        if result["status"]:
            raise SessionError(
                f"network '{self.network.name}': the kernel side failed with status {result['status']}; report it"
            )
        scores = result["scores"][: len(self.network.labels)].copy()
        return Result(int(result["label"]), scores, int(result["elapsed_ns"]))

    @property
    def loaded(self) -> Object:
        """The maps and programs in the kernel."""
        return self._loaded

    def close(self) -> None:
        """Detaches and unloads. May be called twice, and while other threads infer: they are told."""
        self._slots = None  # the maps live as long as their memory is mapped
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _fire(self, slot: int) -> None:
        try:
            self._attachment.fire(slot)
        except KernelError:
            if self._slots is None:
                raise self._closed() from None
            raise

    def _silent(self) -> SessionError:
        """Why an event left no result."""
        if self._slots is None:
            return self._closed()
        where = f"trigger '{self.trigger.name}'" + (f", target '{self.target}'" if self.target else "")
        default = f"; try its default target, {self.trigger.default_target}" if self.trigger.default_target else ""
        return SessionError(f"{where}: the event did not happen in this thread, so the network did not run{default}")

    def _closed(self) -> SessionError:
        return SessionError(f"the session of '{self.network.name}' is closed; open another")


def _check_sample(sample: object, network: QuantizedNetwork) -> None:
    wanted = f"network '{network.name}' takes a numpy array, uint8 {list(network.input_shape)}"
    if not isinstance(sample, np.ndarray):
        raise InputError(f"a sample of type {type(sample).__name__}; {wanted}")
    if sample.dtype != np.uint8 or sample.shape != network.input_shape:
        raise InputError(f"a sample of {sample.dtype} {list(sample.shape)}; {wanted}")


def _load(network: QuantizedNetwork, trigger: Trigger, body: ObjectSpec) -> Object:
    try:
        return Object.load(_link(network, trigger, body))
    except VerifierError as refusal:
        if refusal.errno != errno.E2BIG:
            raise
        fact = f"network '{network.name}' ({network.architecture}) is more than this kernel's verifier walks"
        raise VerifierError(f"{fact}; use narrower layers, or fewer inputs", refusal.errno, refusal.log) from refusal


def _link(network: QuantizedNetwork, trigger: Trigger, body: ObjectSpec) -> ObjectSpec:
    """The trigger's shell with the network in it, its slots sized for the network."""
    shell = ObjectSpec.from_file(trigger.object_path())
    shell.keep_programs(trigger.program())
    shell.resize_map(abi.SAMPLES, value_size=abi.padded(network.input_size))
    shell.resize_map(abi.RESULTS, value_size=abi.padded(abi.RESULT.itemsize + workspace_size(network)))
    for name, value in trigger.variables().items():
        shell.set_variable(name, value)
    return link(shell, body)
