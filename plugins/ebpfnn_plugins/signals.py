"""The ``signal`` action: the process that an event happens in gets a signal."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from signal import Signals

from ebpfnn.errors import UsageError
from ebpfnn.plugin import Action, hookimpl, nearest, object_path

NAMES = ("STOP", "TERM", "KILL", "INT", "HUP", "QUIT", "ABRT", "TSTP", "USR1", "USR2")
_EACH = ", ".join(f"signal:{name}" for name in NAMES)


class Signal(Action):
    name = "signal"
    summary = f"send a signal to the process of the thread, signal:NAME ({', '.join(NAMES)})"
    triggers = ("tracepoint", "raw_tracepoint", "kprobe", "kretprobe", "uprobe", "fentry", "fexit", "perf", "lsm")

    def taking(self, value: str) -> Action:
        name = value.upper().removeprefix("SIG")
        if name not in NAMES:
            fact = f"action 'signal' sends no signal '{value}'" if value else "action 'signal' needs the name of a signal"
            raise UsageError(f"{fact}{nearest(name, NAMES) or f'; give one of {_EACH}'}")
        taken = Signal()
        taken.value = name
        return taken

    def object_path(self, trigger: str) -> Path:
        del trigger
        return object_path("signal")

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del trigger, target
        return {"ebpfnn_signal": struct.pack("<I", Signals[f"SIG{self.value}"])}


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Signal()]
