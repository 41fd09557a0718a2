"""Operators of PyTorch that change a value in place: whoever takes it later takes what they made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from ..errors import ModelError
from .aten_operators import RESHAPES, SAME
from .program import Call, Ref

_VIEWS = RESHAPES | (SAME - {"aten.clone", "aten._to_copy"}) | {"aten.permute", "aten.transpose", "aten.t", "aten.dropout"}
"""What may give the memory of its ``self``."""


def without(calls: Iterable[Call]) -> Iterator[Call]:
    """``calls`` in their order, each of which takes values by the name that they have by then.

    Raises :class:`ModelError` where one takes a value of which a view was changed, or a view of a changed one.
    """
    now: dict[str, str] = {}
    memory: dict[str, str] = {}
    stale: dict[str, str] = {}
    for call in calls:
        for name in call.taken:
            if name in stale and now.get(name, name) == name:
                fact = f"takes {name!r}, whose memory {stale[name]!r} changed in place"
                raise ModelError(f"{call.name!r} ({call.op}) {fact}; use the function that is not in place")
        found = replace(call, arguments={key: _renamed(value, now) for key, value in call.arguments.items()})
        own = found.arguments.get("self")
        changes = call.op.endswith("_") and call.op.startswith("aten.")
        if isinstance(own, Ref) and (changes or call.op in _VIEWS):
            whose = memory.setdefault(own.name, own.name)
            if changes:
                now = {old: call.name if new == own.name else new for old, new in now.items()} | {own.name: call.name}
                others = (name for name, held in memory.items() if held == whose and name != own.name)
                stale |= {name: call.name for name in others if name not in now}
            memory[call.name] = whose
        yield found


def _renamed(value: Any, now: dict[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(each, now) for each in value]
    return Ref(now.get(value.name, value.name)) if isinstance(value, Ref) else value
