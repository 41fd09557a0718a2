"""A session: one network with one trigger."""

from __future__ import annotations

import logging
from contextlib import ExitStack

from ..compiler import Body
from ..errors import NotSupported
from ..kernel import Object
from ..network.model import Model
from ..plugin import Attachment, Plugins, Trigger, why_not
from .compiling import compile_here
from .loading import default_batch, load
from .runner import Result, Results, Runner
from .slots import Slots, has_slots

__all__ = ["Result", "Results", "Session"]


_LOG = logging.getLogger(__name__)


class Session(Runner):
    """Loads ``network`` with ``trigger`` and attaches it to ``target``. Closing detaches and unloads it.

    Any thread may call it; up to 64 threads get a slot each. ``body`` is the code that defines ``ebpfnn_infer``; None compiles
    the network for this kernel. ``batch`` is the number of samples that one event can compute, if the trigger can compute
    several, and ``repeats`` how often it computes them. ``plugins`` have the kinds of models that are not built in; the default
    is the installed ones.

    Raises :class:`~ebpfnn.errors.Error`: the trigger cannot run here, the network cannot be compiled, or the kernel refuses.
    """

    def __init__(
        self,
        network: Model,
        trigger: Trigger,
        target: str | None = None,
        body: Body | None = None,
        *,
        batch: int | None = None,
        repeats: int = 1,
        plugins: Plugins | None = None,
    ) -> None:
        super().__init__()
        reason = why_not(trigger)
        if reason:
            raise NotSupported(f"trigger '{trigger.name}': {reason}")
        self.network = self._network = network
        self.trigger, self.target = trigger, target or trigger.default_target
        self.body = body or compile_here(network, plugins=plugins)
        with ExitStack() as held:
            capacity = batch or default_batch(network.input)
            self._loaded = held.enter_context(load(network, trigger, self.body, target, batch=capacity, repeats=repeats))
            attachment: Attachment = held.enter_context(trigger.attach(self._loaded, target))
            self._attachment = attachment
            _LOG.info("trigger '%s' attached to %s", trigger.name, self.target or "no event")
            maps, classes = self._loaded.maps, len(network.labels)
            slots = Slots(network.input, classes, maps, attachment, self._explain) if has_slots(maps) else None
            self._held, self._slots, self._closed = held.pop_all(), slots, False

    def source(self) -> Model:
        return self._network

    @property
    def loaded(self) -> Object:
        """The maps and programs in the kernel."""
        return self._loaded

    def close(self) -> None:
        """Detaches and unloads. May be called twice, and while other threads infer: their calls raise."""
        super().close()
        self._held.close()
