"""Alerts: events that a guard acted on, as its action tells of them through a ring buffer (``alert.h``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import abi
from ..errors import NotSupported, SessionError
from ..events import keys, specfile
from ..events.fields import Field
from ..events.keyparts import decode, shown
from ..events.spec import Spec
from ..events.written import values_of, written
from ..network.events import SPEC
from .about import About
from .layouts import layouts
from .reader import Reader
from .store import ALERTS_LOCK


@dataclass(frozen=True)
class Alert:
    """One event. ``fields`` are those that its shell extracts, as people write them.

    ``time_ns`` is CLOCK_MONOTONIC. ``event`` is the name of the event in the spec, ``trigger`` and ``target`` are its place.
    ``label`` is that of the latest verdict on its key. ``key`` is that key as collected data have it, "" if it has other
    fields. ``margin`` is that of the verdict that is kept of the key while the alert is read, None if there is none.
    """

    time_ns: int
    event: str
    trigger: str
    target: str | None
    label: str
    margin: int | None
    key: str
    fields: Mapping[str, int | str]


@dataclass(frozen=True)
class Told:
    """How many alerts were written so far, were ``suppressed`` by the rate, and were ``lost`` as the ring buffer was full."""

    told: int
    suppressed: int
    lost: int


class AlertWatch(Reader[Alert]):
    """The only reader of the alerts of the instance whose pins are in ``path``: first of those that nobody has read.

    Raises :class:`~ebpfnn.errors.NotSupported` if its action writes none, else as ``Reader``.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, ALERTS_LOCK, abi.ALERTS)
        self._read: tuple[About, Spec, list[tuple[Field, ...]]] | None = None

    def counts(self) -> Told:
        """What was counted since the guard was loaded."""
        found = self._pins.maps[abi.ALERTED].lookup_percpu(bytes(4), abi.TOLD)
        return Told(*(0 if found is None else int(found[name].sum()) for name in ("told", "suppressed", "lost")))

    def _check(self) -> None:
        if abi.ALERTS in self._pins.maps and abi.ALERTED in self._pins.maps:
            return
        action = self.about.guard.get("action")
        fact = f"its action '{action}' tells of no events" if action else "it is no guard"
        raise NotSupported(f"instance '{self.path.name}' has no alerts: {fact}; load it with --action event")

    def _event(self, record: bytes) -> Alert:
        head, data = np.frombuffer(record, abi.ALERT, 1)[0], record[abi.ALERT.itemsize :]
        about, index = self._answered(int(head["network"])), int(head["event"])
        spec, told = self._layout(about)
        if index >= min(len(spec.events), len(told)):
            raise SessionError(f"instance '{self.path.name}' has an alert of an event that its spec has not; load it again")
        event, label = spec.events[index], int(head["label"]) - 1
        key = _key(spec, told[index], data)
        parts = about.parts
        return Alert(
            int(head["time_ns"]),
            event.name,
            event.trigger,
            event.target,
            about.labels[label] if 0 <= label < len(about.labels) else "",
            self._margin(key),
            shown(parts, decode(parts, key)) if key else "",
            written(told[index], data),
        )

    def _layout(self, about: About) -> tuple[Spec, list[tuple[Field, ...]]]:
        """The spec of a network, and the fields that alerts have of each event. The latest is kept: reading it takes time."""
        if self._read is None or self._read[0] is not about:
            self._read = about, specfile.build(about.events[SPEC]), layouts(about.guard)
        return self._read[1:]

    def _margin(self, key: bytes) -> int | None:
        held = self._pins.maps[abi.VERDICTS]
        found = held.lookup(key) if len(key) == held.key_size else None
        return None if found is None else int(np.frombuffer(found, abi.VERDICT, 1)["margin"][0])


def _key(spec: Spec, fields: tuple[Field, ...], data: bytes) -> bytes:
    """The key of the event, b"" if it is made of other fields than those that are told."""
    known = {field.name: field for field in fields}
    names = keys.needed(spec.key) if isinstance(spec.key, str) else spec.key
    if not known.keys() >= set(names):
        return b""
    listed = () if isinstance(spec.key, str) else [known[name] for name in spec.key]
    return keys.packer(spec.key, listed)(values_of(fields, data))
