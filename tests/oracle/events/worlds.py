"""Events to write specs for: which fields they have, and values of them that are worth a try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from . import frames
from .machine import Types

FLOW = {
    **dict.fromkeys(("source_high", "source_low", "destination_high", "destination_low"), "u64"),
    "source": "u32",
    "destination": "u32",
    "source_port": "u16",
    "destination_port": "u16",
    "version": "u8",
    "protocol": "u8",
}
ONE: dict[str, str] = {
    "time": "u64",
    "comm": "u64",
    "comm_rest": "u64",
    "big": "u64",
    "deep": "s64",
    **FLOW,
    "word": "u32",
    "less": "s32",
    "half": "u16",
    "below": "s16",
    "tcp_flags": "u8",
    "tiny": "u8",
    "byte": "s8",
}
"""A struct that is no hook's: members in this order."""
OTHER: dict[str, str] = {
    "byte": "s8",
    "word": "u16",
    "number": "u16",
    "tiny": "s64",
    "tcp_flags": "u8",
    **dict(reversed(FLOW.items())),
    "deep": "s64",
    "less": "s32",
    "below": "s16",
    "gap": "s8",
    "time": "u64",
}
"""Some of the same names at other places, some of them wider or narrower, and two that are derived fields' too."""
ARGUMENTS: dict[str, tuple[int, str]] = {
    "deep": (0, "s64"),
    "big": (8, "u64"),
    "word": (16, "u32"),
    "less": (28, "s32"),
    "half": (32, "u16"),
    "below": (46, "s16"),
    "tiny": (48, "u8"),
    "byte": (63, "s8"),
    "event_pid": (64, "u32"),
    "far": (88, "u64"),
}
"""A raw tracepoint's, if one had these: offset and type."""
THREAD = {
    **dict.fromkeys(("time", "cgroup", "comm", "comm_rest"), "u64"),
    **dict.fromkeys(("pid", "tgid", "uid", "gid", "cpu"), "u32"),
}
NAMES = ("a", "sh", "kworker/0:1", "eight888", "fifteen letters")
"""Of threads."""
_KINDS = ("own", "own", "own", "packets", "packets", "threads")


@dataclass(frozen=True)
class Kind:
    """One kind of event: its table in the spec, what its fields are, and what makes it."""

    table: Mapping[str, Any]
    types: Types
    made_by: str


@dataclass(frozen=True)
class World:
    kind: str
    events: Sequence[Kind]
    pools: Mapping[str, Sequence[int]]
    frames: Sequence[bytes] = ()

    @property
    def locks(self) -> bool:
        """Whether the kernel lets all these programs take locks: in no socket filter, and at no tracepoint (Linux 6.18)."""
        return not any(each.made_by in ("raw", "socket-filter") for each in self.events)

    @property
    def common(self) -> list[str]:
        """The fields that all events have."""
        return self.shared(range(len(self.events)))

    def shared(self, which: Sequence[int]) -> list[str]:
        return [name for name in self.events[which[0]].types if all(name in self.events[each].types for each in which)]

    def pool(self, name: str, which: Sequence[int]) -> list[int]:
        """Values of ``name`` that all these events can have."""
        ends = [span(self.events[each].types[name]) for each in which]
        low, high = max(low for low, _ in ends), min(high for _, high in ends)
        return [each for each in self.pools.get(name, (0, 1)) if low <= each <= high] or [0]


def world(random: Random, kind: str | None = None) -> World:
    kind = kind or random.choice(_KINDS)
    if kind == "packets":
        return _packets(random)
    if kind == "threads":
        types = {**{name: type_ for name, (_, type_) in ARGUMENTS.items()}, **THREAD}
        table = {"trigger": "raw_tracepoint", "target": random.choice(["sched/sys_enter", "sys_enter"])}
        return World(kind, [Kind(table, types, "raw")], _pools(types, random))
    chosen = random.choice([["one"], ["one"], ["other"], ["one", "other"], ["one", "one", "other"]])
    made = [_own(place, name) for place, name in enumerate(chosen)]
    pools: dict[str, list[int]] = {}
    for each in made:
        for name, pool in _pools(each.types, random).items():
            pools.setdefault(name, []).extend(pool)
    return World(kind, made, pools)


def span(type_: str) -> tuple[int, int]:
    """The least and the greatest value of a type."""
    bits = int(type_[1:])
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if type_[0] == "s" else (0, (1 << bits) - 1)


def corners(type_: str, random: Random) -> list[int]:
    """The ends of a type, powers of two and their neighbors, small numbers, and any."""
    low, high = span(type_)
    power = 1 << random.randrange(int(type_[1:]))
    found = {0, 1, 2, 3, random.randrange(60), low, low + 1, high - 1, high, power - 1, power, power + 1, -1, -power}
    found |= {random.randint(low, high) for _ in range(3)}
    return sorted(each for each in found if low <= each <= high)


def _own(place: int, name: str) -> Kind:
    return Kind({"trigger": "mine", "target": f"group:{name}{place}"}, {"one": ONE, "other": OTHER}[name], name)


def _pools(types: Types, random: Random) -> dict[str, list[int]]:
    """Few values of each field, or all corners."""
    pools = {}
    for name, type_ in types.items():
        every = corners(type_, random)
        pools[name] = random.sample(every, min(len(every), random.choice([1, 2, 3, 5, 99])))
    for name in ("source_port", "destination_port"):
        pools[name] = [80, *pools.get(name, ())]
    pools["version"] = random.choice([[4], [4, 4, 6], [6], [4, 6, 0, 7]])
    texts = [name.encode().ljust(16, b"\0") for name in NAMES]
    pools["comm"] = [int.from_bytes(text[:8], "little") for text in texts]
    pools["comm_rest"] = [int.from_bytes(text[8:], "little") for text in texts]
    return pools


def _packets(random: Random) -> World:
    hooks = random.choice([["xdp"], ["tc"], ["cgroup-skb"], ["socket-filter"], ["xdp", "tc"], list(frames.HOOKS)[:4]])
    events = []
    for hook in hooks:
        table = {"trigger": hook, **random.choice([{}, {"target": f"a:{hook}"}, {"target": "a/b", "name": f"{hook}.1"}])}
        events.append(Kind(table, frames.TYPES, random.choice([each for each in frames.HOOKS if each.startswith(hook)])))
    made = frames.some(random, random.choice([2, 6, 20, 60]))
    seen = [frames.fields(frame, event.made_by) for frame in made for event in events]
    pools = {name: sorted({each[name] for each in seen}) for name in frames.NAMES}
    pools["time"] = corners("u64", random)
    return World("packets", events, pools, made)
