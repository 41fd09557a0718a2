"""The actions ``mark`` and ``priority``: a packet goes on with a number that routing, queues and firewalls read."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnn.errors import UsageError
from ebpfnn.plugin import Action, hookimpl, object_path

_ALL = (1 << 32) - 1
_NUMBER = re.compile(r"0x[0-9a-f]{1,8}|[0-9]{1,10}", re.IGNORECASE)
_HANDLE = re.compile(r"([0-9a-f]{1,4}):([0-9a-f]{0,4})", re.IGNORECASE)


class _Marking(Action):
    triggers = ("tc", "cgroup_skb")
    number: int | None = None
    bits = _ALL

    def object_path(self, trigger: str) -> Path:
        del trigger
        return object_path("mark")

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del trigger, target
        words = {f"ebpfnn_{self.name}": self.number or 0, f"ebpfnn_{self.name}_bits": self.bits}
        return {name: struct.pack("<I", word) for name, word in words.items()}


class Mark(_Marking):
    name = "mark"
    summary = "set the mark of packets, mark:VALUE or mark:VALUE/MASK, which `ip rule` and firewalls read"

    def taking(self, value: str) -> Action:
        number, slash, mask = value.partition("/")
        found, bits = _read(number), _read(mask) if slash else _ALL
        if found is None or bits is None:
            what = f"'{value}' is no mark" if value else "it takes a mark"
            raise UsageError(f"action 'mark': {what}; give 32 bits, as in mark:7, mark:0x10 or mark:0x10/0xff")
        if not bits:
            raise UsageError(f"action 'mark': the mask {mask} has no bits, so nothing would change; give another")
        if found & ~bits:
            raise UsageError(f"action 'mark': {number} has bits outside the mask {mask}; give a mask that covers it")
        made = Mark()
        made.number, made.bits, made.value = found, bits, value
        return made


class Priority(_Marking):
    name = "priority"
    summary = "set the priority of packets, priority:1:10 or priority:NUMBER, which queues read (`tc class`)"

    def taking(self, value: str) -> Action:
        handle = _HANDLE.fullmatch(value)
        found = int(handle[1], 16) << 16 | int(handle[2] or "0", 16) if handle else _read(value)
        if found is None:
            what = f"'{value}' is no priority" if value else "it takes a priority"
            raise UsageError(f"action 'priority': {what}; give a class as tc writes it, priority:1:10, or 32 bits, priority:6")
        made = Priority()
        made.number, made.value = found, value
        return made


def _read(number: str) -> int | None:
    """None for what is not 32 bits."""
    found = int(number, 0 if number[:2] in ("0x", "0X") else 10) if _NUMBER.fullmatch(number) else _ALL + 1
    return found if found <= _ALL else None


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Mark(), Priority()]
