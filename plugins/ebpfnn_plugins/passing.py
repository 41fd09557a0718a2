"""The actions ``pass`` and ``event``: the event goes on. They act at every trigger whose events can be acted on."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnn.errors import UsageError
from ebpfnn.plugin import Action, hookimpl, object_path

_RATE, _MOST = 100, 1_000_000


class Pass(Action):
    name = "pass"
    summary = "do nothing, but count the events"
    triggers = None

    def object_path(self, trigger: str) -> Path:
        del trigger
        return object_path("pass")


class Event(Action):
    """``value`` is the number of alerts a second that each CPU may write."""

    name = "event"
    summary = f"tell of events (`ebpfnn alerts`), at most {_RATE} or event:RATE a second on each CPU; they pass"
    triggers = None

    def __init__(self, rate: int | None = None) -> None:
        self.rate, self.value = _RATE if rate is None else rate, "" if rate is None else str(rate)

    def taking(self, value: str) -> Action:
        if not value:
            return Event()
        if not (value.isascii() and value.isdecimal() and len(value) < 8 and 1 <= int(value) <= _MOST):
            raise UsageError(f"action 'event': '{value}' is no rate; give 1 to {_MOST} events a second, as in event:20")
        return Event(int(value))

    def object_path(self, trigger: str) -> Path:
        del trigger
        return object_path("event")

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del trigger, target
        return {"ebpfnn_alert_rate": struct.pack("<I", self.rate)}


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Pass(), Event()]
