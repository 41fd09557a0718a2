"""Operators of PyTorch that change a value in place. Nodes that use the value later get the changed one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    memory = _Memory()
    for call in calls:
        now = {name: memory.now(name) for name in call.taken}
        for name in now.values():
            changed = memory.changed(name)
            if changed:
                fact = f"takes {name!r}, whose memory {changed!r} changed in place"
                raise ModelError(f"{call.name!r} ({call.op}) {fact}; use the function that is not in place")
        found = replace(call, arguments={key: _renamed(value, now) for key, value in call.arguments.items()})
        own = found.arguments.get("self")
        changes = call.op.endswith("_") and call.op.startswith("aten.")
        if isinstance(own, Ref) and (changes or call.op in _VIEWS):
            memory.give(call.name, own.name, changes=changes)
        yield found


class _Memory:
    """Which values share memory. A value has the version of its memory that was there when it was made."""

    def __init__(self) -> None:
        self._next: dict[str, str] = {}
        self._of: dict[str, tuple[str, int]] = {}
        self._versions: dict[str, list[str]] = {}

    def now(self, name: str) -> str:
        """The value that ``name`` became. What is passed on the way is remembered, so that a long way is gone once."""
        passed = []
        while name in self._next:
            passed.append(name)
            name = self._next[name]
        self._next |= dict.fromkeys(passed, name)
        return name

    def changed(self, name: str) -> str:
        """What changed the memory of ``name`` since that was made, if anything did."""
        whose, version = self._of.get(name, (name, 0))
        changes = self._versions.get(whose, [])
        return changes[-1] if len(changes) > version else ""

    def give(self, name: str, own: str, *, changes: bool) -> None:
        """``name`` is the value ``own`` seen otherwise, or after it ``changes``."""
        whose, _ = self._of.setdefault(own, (own, 0))
        versions = self._versions.setdefault(whose, [])
        if changes:
            versions.append(name)
            self._next[own] = name
        self._of[name] = whose, len(versions)


def _renamed(value: Any, now: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_renamed(each, now) for each in value]
    return Ref(now[value.name]) if isinstance(value, Ref) else value
