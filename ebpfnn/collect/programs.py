"""The programs of a spec in the kernel: event shells with observers, which share their maps, attached or run by hand."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from .. import abi
from ..errors import PermissionDenied, VerifierError
from ..kernel import Map, Object
from ..kernel.privilege import lack
from ..obj import ObjectSpec, link
from ..observer import Mode, check_locks, compile_observer
from .sources import Source, Sources

SHARED = (abi.STATES, abi.ROWS, abi.COUNTS, abi.CLOCK)
"""The maps that the programs of one spec share."""
RING_BYTES = 16 << 20
"""The size of the ring buffer of records and rows, if none is given."""


@dataclass(frozen=True)
class Counts:
    """Events and rows so far.

    ``lost`` are rows or records for which the ring buffer had no room, ``unstored`` events of new keys that the map of states
    had no room for.
    """

    observed: int = 0
    created: int = 0
    restarted: int = 0
    ended: int = 0
    unstored: int = 0
    frozen: int = 0
    rows: int = 0
    lost: int = 0


class Programs(AbstractContextManager["Programs"]):
    """The programs of ``sources``, loaded. Closing detaches and unloads them."""

    def __init__(self, sources: Sources, mode: Mode, *, replaying: bool = False, ring_bytes: int = RING_BYTES) -> None:
        """Raises what :func:`check_locks` and :meth:`Object.load` raise, and leaves nothing behind then."""
        self.sources = sources
        self._links = ExitStack()
        self.objects: list[Object] = []
        self._maps: dict[str, Map] = {}
        with ExitStack() as held:
            for index, source in enumerate(sources.events):
                spec = _linked(sources, index, mode, replaying=replaying, ring_bytes=ring_bytes)
                loaded = held.enter_context(_load(source, spec, self._maps))
                self._maps = {name: loaded.maps[name] for name in SHARED if name in loaded.maps} | self._maps
                self.objects.append(loaded)
            self._held = held.pop_all()

    @property
    def ring(self) -> Map:
        return self._maps[abi.ROWS]

    @property
    def clock(self) -> Map:
        return self._maps[abi.CLOCK]

    def attach(self) -> None:
        """Attaches every program. Raises what :meth:`Trigger.attach` raises, and leaves none attached then."""
        with ExitStack() as links:
            for source, loaded in zip(self.sources.events, self.objects, strict=True):
                links.enter_context(source.trigger.attach(loaded, source.target))
            self._links = links.pop_all()

    def detach(self) -> None:
        """Detaches all; what the ring buffer has can still be read."""
        self._links.close()

    def counts(self) -> Counts:
        """The sums over all events, each of which has an element of the map, and all CPUs."""
        held = self._maps[abi.COUNTS]
        each = [held.lookup_percpu(struct.pack("<I", index), np.uint64) for index in range(held.max_entries)]
        sums = dict(zip(abi.COUNTED, sum(values.sum(axis=0) for values in each if values is not None), strict=True))
        return Counts(**{name: int(sums[name]) for name in Counts.__dataclass_fields__})

    def close(self) -> None:
        """May be called twice."""
        self._links.close()
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _linked(sources: Sources, index: int, mode: Mode, *, replaying: bool, ring_bytes: int) -> ObjectSpec:
    source = sources.events[index]
    shell = ObjectSpec.from_file(source.trigger.object_path())
    shell.keep_programs(source.trigger.program())
    if mode is not Mode.RECORD:
        check_locks(sources.bound, index, shell)
    for name, value in source.trigger.variables().items():
        shell.set_variable(name, value)
    source.trigger.prepare(shell, source.target)
    if replaying:
        shell.set_variable(abi.REPLAYING, struct.pack("<I", 1))
    return link(shell, compile_observer(sources.bound, index, mode, ring_bytes=ring_bytes))


def _load(source: Source, spec: ObjectSpec, maps: Mapping[str, Map]) -> Object:
    try:
        return Object.load(spec, maps={name: maps[name] for name in maps.keys() & spec.maps})
    except (PermissionDenied, VerifierError) as refused:
        remedy = lack(needed=("CAP_BPF", *source.trigger.capabilities))
        if not remedy:
            raise
        raise PermissionDenied(f"{str(refused).partition('; ')[0]}; {remedy}", refused.errno) from None
