"""Random events for a spec, at the corners: few keys with many events, one event a key, equal ends, and what time may do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from . import frames
from .meaning import nanoseconds
from .worlds import FLOW, NAMES, World

_LAST = 2**64 - 1
_BOTH = ("", "_high", "_low", "_port")


@dataclass(frozen=True)
class Event:
    """``values`` are those of all fields of the kind of event ``index``; ``frame`` is what a hook for packets is given."""

    index: int
    values: dict[str, int]
    frame: bytes = b""


def events(world: World, spec: Mapping[str, Any], random: Random) -> list[Event]:
    count = random.choice([20, 60, 120, 250])
    clock = _Clock(spec, random)
    if world.kind == "packets":
        return [_packet(world, clock, random) for _ in range(count)]
    actors = [_drawn(world, random) for _ in range(random.choice([1, 1, 2, 5, 20, count]))]
    return [_own(world, spec, clock, random.choice(actors), random) for _ in range(count)]


def _packet(world: World, clock: _Clock, random: Random) -> Event:
    index = random.randrange(len(world.events))
    frame = random.choice(world.frames)
    return Event(index, {**frames.fields(frame, world.events[index].made_by), "time": clock.next()}, frame)


def _own(world: World, spec: Mapping[str, Any], clock: _Clock, actor: Mapping[str, int], random: Random) -> Event:
    """One of ``actor``: with its values in the fields of the key, and others in the others."""
    index = random.randrange(len(world.events))
    key = FLOW if isinstance(spec["key"], str) else spec["key"]
    drawn = {**_drawn(world, random), **{name: actor[name] for name in key}}
    if spec["key"] == "flow" and random.random() < 0.4:
        _turn(drawn)
    values = {name: _fit(drawn[name], type_) for name, type_ in world.events[index].types.items()}
    return Event(index, {**values, "time": clock.next()})


def _drawn(world: World, random: Random) -> dict[str, int]:
    found = {name: random.choice(pool) for name, pool in world.pools.items()}
    if "comm" in found:
        text = random.choice(NAMES).encode().ljust(16, b"\0")
        found |= {"comm": int.from_bytes(text[:8], "little"), "comm_rest": int.from_bytes(text[8:], "little")}
    if "source" in found and random.random() < 0.1:
        found |= {f"source{each}": found[f"destination{each}"] for each in _BOTH}
    return found


def _turn(values: dict[str, int]) -> None:
    for each in _BOTH:
        here, there = f"source{each}", f"destination{each}"
        values[here], values[there] = values[there], values[here]


def _fit(value: int, type_: str) -> int:
    """``value`` in the bits of a type, as C casts it."""
    bits = int(type_[1:])
    value %= 1 << bits
    return value - (1 << bits) if type_[0] == "s" and value >> bits - 1 else value


class _Clock:
    """Time that goes on, mostly, by steps around the durations of the spec; else it stands still, goes back or jumps."""

    def __init__(self, spec: Mapping[str, Any], random: Random) -> None:
        self.random = random
        self.now = random.choice([0, 1, 10**9, 2**32 - 1, 2**62, 2**63, _LAST - 1000, random.randrange(2**64)])
        told = [
            spec.get("state", {}).get("idle"),
            spec.get("at", {}).get("after"),
            *(each.get("period") for each in spec["column"]),
        ]
        around = [nanoseconds(each) + step for each in told if each is not None for step in (-1, 0, 1)]
        self.steps = [0, 1, random.choice([5, 1000, 10**6, 10**10]), *random.sample(around, min(len(around), 4))]
        self.wild = random.choice([0, 0, 0.05, 0.4])

    def next(self) -> int:
        random = self.random
        self.now += random.choice(self.steps)
        if random.random() < self.wild:
            step = random.choice(self.steps)
            self.now = random.choice([self.now - step, self.now - 3 * step, self.now - 1, 0, _LAST, self.now + 2**63])
        self.now = min(max(self.now, 0), _LAST)
        return self.now
