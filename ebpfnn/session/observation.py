"""A network that observes events for one process: attached while a with-block runs."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import MappingProxyType, TracebackType

import numpy as np

from .. import abi
from ..compiler import Body
from ..errors import SessionError
from ..kernel import RingBuffer
from ..network.model import Model
from ..plugin import Plugins, Trigger
from . import cases, verdicts
from .cases import Case
from .compiling import compile_here
from .guarding import Brakes, Guard
from .observed import observe
from .observing import load_observed
from .verdicts import MOST, Verdict

_AHEAD_NS = 3_000_000_000
_NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


class Observation(AbstractContextManager["Observation"]):
    """Loads ``network``, which carries a spec, and attaches it to the events of its spec. Closing detaches and unloads it.

    The arguments are those of :meth:`ebpfnn.instance.Instance.load`. Nothing is checked with made-up events. A ``guard``
    begins in audit: see :attr:`brakes`.

    Raises :class:`~ebpfnn.errors.Error`: the network carries no spec, its events differ from those of its data, or the kernel
    refuses.
    """

    def __init__(
        self,
        network: Model,
        trigger: Trigger,
        target: str | None = None,
        *,
        options: Mapping[str, str] = _NO_OPTIONS,
        filters: Sequence[str] = (),
        any_mode: bool = False,
        body: Body | None = None,
        plugins: Plugins | None = None,
        guard: Guard | None = None,
    ) -> None:
        if not network.events:
            raise SessionError(f"network '{network.name}' carries no spec of events; give it samples, in ebpfnn.Session")
        known = plugins or Plugins.installed()
        found = observe(network, trigger, target, options, filters, plugins=known, any_mode=any_mode, guard=guard)
        self.network, self._bound, self._key, self._units = network, found.bound, found.key, {0: network.unit}
        with ExitStack() as held:
            loaded = [held.enter_context(each) for each in load_observed(found, body or compile_here(network, plugins=known))]
            self._maps = loaded[0].maps
            self._ring = held.enter_context(RingBuffer(self._maps[abi.EVENTS]))
            self._watched = np.ndarray(1, abi.WATCHED, buffer=self._maps[abi.WATCH].mmap())
            for each, one, place in zip(loaded, found.triggers, found.targets, strict=True):
                held.enter_context(one.attach(each, place))
            self._held, self._closed = held.pop_all(), False

    def verdicts(self, most: int = MOST, label: str | None = None) -> list[Verdict]:
        """The latest ``most`` verdicts, one for each key, the latest first; only those of ``label`` if it is given."""
        self._check_open()
        return verdicts.latest(self._maps[abi.VERDICTS], self.network.labels, self._key, most, label, self._units)

    def read(self, timeout: float = 0.2) -> Iterator[Verdict]:
        """Every verdict since the last call, waiting up to ``timeout`` seconds for one. Call it at least every three seconds.

        The first call begins: what was found before is in :meth:`verdicts`.
        """
        self._check_open()
        self._watched["until_ns"][0] = time.monotonic_ns() + _AHEAD_NS
        for record in self._ring.poll(timeout):
            yield verdicts.told(self.network.labels, self._key, record, self._units)

    def counts(self) -> dict[str, int]:
        """What was counted so far: :data:`ebpfnn.abi.COUNTED` by name."""
        self._check_open()
        return verdicts.counts(self._maps[abi.COUNTS])

    def cases(self, most: int = cases.MOST) -> list[Case]:
        """The latest ``most`` cases of its guard, the latest first. Raises as :attr:`brakes`."""
        self._check_open()
        events = [event.name for event in self._bound.events]
        return cases.latest(self._maps, self.network.labels, self._key, events, self._bound.names, most)

    @property
    def brakes(self) -> Brakes:
        """The brakes of its guard. Raises :class:`~ebpfnn.errors.NotSupported` if it has none."""
        self._check_open()
        return Brakes(self._maps)

    def close(self) -> None:
        """Detaches and unloads. May be called twice."""
        self._closed = True
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SessionError("this observation is closed; open another")
