"""A session: one network behind one trigger."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from ..compiler import Body
from ..errors import NotSupported
from ..kernel import Object
from ..network import QuantizedNetwork
from ..plugin import Attachment, Trigger, why_not
from .compiling import compile_here
from .loading import default_batch, load
from .runner import Result, Results, Runner
from .slots import Slots, has_slots

__all__ = ["Result", "Results", "Session"]


_LOG = logging.getLogger(__name__)


class Session(Runner):
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
        super().__init__()
        reason = why_not(trigger)
        if reason:
            raise NotSupported(f"trigger '{trigger.name}': {reason}")
        self.network = self._network = network
        self.trigger, self.target = trigger, target or trigger.default_target
        self.body = body or compile_here(network)
        with ExitStack() as held:
            capacity = batch or default_batch(network.input)
            self._loaded = held.enter_context(load(network, trigger, self.body, target, batch=capacity, repeats=repeats))
            attachment: Attachment = held.enter_context(trigger.attach(self._loaded, target))
            self._attachment = attachment
            _LOG.info("trigger '%s' attached to %s", trigger.name, self.target or "no event")
            maps, classes = self._loaded.maps, len(network.labels)
            slots = Slots(network.input, classes, maps, attachment, self._explain) if has_slots(maps) else None
            self._held, self._slots, self._closed = held.pop_all(), slots, False

    def source(self) -> QuantizedNetwork:
        return self._network

    @property
    def loaded(self) -> Object:
        """The maps and programs in the kernel."""
        return self._loaded

    def close(self) -> None:
        """Detaches and unloads. May be called twice, and while other threads infer: they are told."""
        super().close()
        self._held.close()
