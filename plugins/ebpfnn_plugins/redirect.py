"""The action ``redirect``: packets leave by another interface."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnn.errors import UsageError
from ebpfnn.kernel import interface_index
from ebpfnn.plugin import Action, Trigger, hookimpl, object_path

_OBJECTS = {"tc": "redirect_tc", "xdp": "redirect_xdp"}


class Redirect(Action):
    """``value`` is the interface, whose index is looked up when a guard is loaded."""

    name = "redirect"
    summary = "send packets out of another interface, redirect:INTERFACE, as they are"
    triggers = tuple(_OBJECTS)

    def __init__(self, interface: str = "") -> None:
        self.value = interface

    def taking(self, value: str) -> Action:
        if not value:
            raise UsageError("action 'redirect': it takes an interface; give redirect:INTERFACE, as in redirect:eth1")
        return Redirect(value)

    def check(self, trigger: Trigger, target: str | None) -> None:
        """Raises :class:`~ebpfnn.errors.KernelError` (ENODEV), with similar names, for an interface that does not exist."""
        if target is not None and interface_index(self.value) == interface_index(target):
            fact = f"action 'redirect': the packets of interface '{target}' would come back to it"
            raise UsageError(f"{fact}; give another interface")
        if trigger.mode(target) == "native":
            fact = "action 'redirect': where XDP runs in the driver, the driver of the other interface must send, and most drop"
            raise UsageError(f"{fact}; give --option mode=generic, or --trigger tc")

    def object_path(self, trigger: str) -> Path:
        return object_path(_OBJECTS[trigger])

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del trigger, target
        return {"ebpfnn_redirected": struct.pack("<I", interface_index(self.value))}


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Redirect()]
