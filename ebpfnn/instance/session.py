"""A session on an instance: inference from this process or another one."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import abi
from ..bodies import modelfile
from ..errors import Error, KernelError, ModelError, SessionError
from ..kernel import Map
from ..network.model import Model
from ..plugin import Plugins, Trigger
from ..session.loading import pid_namespace
from ..session.runner import Result, Results, Runner
from ..session.slots import Slots, has_slots
from .about import About, digest
from .claims import SharedClaims
from .pins import Pins
from .store import CALLERS_LOCK, LOCKS

_ONLY = bytes(4)


class InstanceSession(Runner):
    """Infers on the instance that is pinned at ``path``. Closing frees the slots of its threads and leaves the instance.

    ``network`` is the :class:`About` of the network that answered last. ``plugins`` are those of
    :func:`ebpfnn.bodies.kind_of`.

    Raises :class:`SessionError` if the instance was loaded in another PID namespace, :class:`~ebpfnn.errors.DetachedError` if
    its target is gone, else the errors of opening the pins.
    """

    def __init__(self, path: Path, trigger: Trigger, plugins: Plugins | None = None) -> None:
        super().__init__()
        self.trigger, self._plugins = trigger.resident(), plugins
        self._source: tuple[str, Model] | None = None
        self.network: About
        with ExitStack() as held:
            pins = held.enter_context(Pins(path))
            self._pins = pins
            self._count, self.network = pins.current()
            check_takes_samples(path.name, self.network)
            self.target = self.network.target
            check_namespace(self.network)
            pins.check_attached(self.network)
            program = held.enter_context(pins.program(self.trigger.program()))
            self._attachment = held.enter_context(self.trigger.attached(program, self.target))
            self._slots = self._claimed_slots(held, path) if has_slots(pins.maps) else None
            self._held, self._closed = held.pop_all(), False

    def infer(self, sample: NDArray[np.uint8]) -> Result:
        """As :meth:`ebpfnn.session.Session.infer`. If a swap happens meanwhile, infers again, so that the network is known."""
        while True:
            result = super().infer(sample)
            if self._pins.swaps[0] == self._count:
                return result
            self._count, self.network = self._pins.current()

    def infer_many(self, samples: NDArray[np.uint8]) -> Results:
        """As :meth:`ebpfnn.session.Session.infer_many`. If a swap happens meanwhile, starts again: one network answers all."""
        while True:
            count, found = self._count, super().infer_many(samples)
            if count == self._count:
                return found

    def _exchange(self, sample: NDArray[np.uint8]) -> Result:
        """As :meth:`Runner._exchange`. BPF_PROG_RUN also runs detached programs, so the attachment is checked too."""
        with self._pins.in_place():
            result = super()._exchange(sample)
        self._pins.check_attached(self.network)
        return result

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Meanwhile, inferences of this thread are neither counted nor reported to watchers.

        Enter it before the thread has a slot. Events in that slot stay uncounted until the session is closed, since a timer
        goes on.
        """
        marks = self._pins.maps.get(abi.CHECK)
        if self._slots is not None:
            self._slots.checking = True
            yield
        elif marks is None:  # its shell does not include packet.h
            yield
        else:
            yield from self._marked(marks)

    def source(self) -> Model:
        """As :meth:`ebpfnn.session.Session.source`, from its file. Raises :class:`ModelError` if the file has changed."""
        about = self.network
        if self._source is None or self._source[0] != about.digest:
            network = modelfile.load(about.file, self._plugins) if about.file else None
            if network is None or digest(network, self._plugins) != about.digest:
                fact = f"network '{about.network}' is not what lies in '{about.file}' now"
                raise ModelError(f"{fact}, so its scores cannot be compared with the reference; leave the comparison out")
            self._source = about.digest, network
        return self._source[1]

    def close(self) -> None:
        super().close()
        self._held.close()

    def _marked(self, marks: Map) -> Iterator[None]:
        self._attachment.check = secrets.randbits(32) | 1
        marks.update(_ONLY, struct.pack(">I", self._attachment.check))  # as in a packet
        try:
            yield
        finally:
            self._attachment.check = 0
            marks.update(_ONLY, bytes(4))

    def _claimed_slots(self, held: ExitStack, path: Path) -> Slots:
        pins = self._pins
        claims = SharedClaims(pins.maps[abi.CALLERS], path / LOCKS / CALLERS_LOCK)
        held.callback(claims.close)
        maps = {name: each for name, each in pins.maps.items() if name != abi.OUTPUTS}
        return Slots(self.network.input, len(self.network.labels), maps, self._attachment, self._explain, claims)

    def _explain(self, fault: KernelError | int | None) -> Error:
        if fault is None and not self._closed:
            try:
                self._pins.check_attached(self.network)
            except Error as gone:
                return gone
        return super()._explain(fault)


def check_takes_samples(name: str, about: About) -> None:
    """Raises :class:`SessionError` if the instance ``name`` observes events itself."""
    if about.observes:
        fact = f"instance '{name}' observes events of {about.trigger} itself, and takes no samples"
        raise SessionError(f"{fact}; `ebpfnn watch {name}` and `ebpfnn verdicts {name}` show what it finds")


def check_namespace(about: About) -> None:
    """Raises :class:`SessionError` if this process is in another PID namespace than the one that loaded the instance."""
    if about.namespace != pid_namespace():
        remedy = "infer from the namespace that loaded it, or load another instance here"
        raise SessionError(
            f"network '{about.network}' was loaded in another PID namespace, where threads have other ids; {remedy}"
        )
