"""Random specs as plain dicts, valid by docs/events.md: every key, reducer, option, condition and bound on values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address
from random import Random
from typing import Any

from . import reducers
from .machine import event_name
from .meaning import FLAGS, all_hold
from .worlds import FLOW, NAMES, World, span

DERIVED = {"number": 32, "gap": 64, "age": 64, "reply": 1}
WORDS = {
    **dict.fromkeys(("count", "sum", "last", "max"), lambda options: 1),
    **dict.fromkeys(("min", "mean", "period", "ewma"), lambda options: 2),
    **dict.fromkeys(("deviation", "peak"), lambda options: 3),
    "first": lambda options: options.get("n", 1) + 1,
    "recent": lambda options: options.get("n", 1),
    "distinct": lambda options: 1 + options.get("bits", 256) // 64,
    "ngram": lambda options: 2 + options.get("buckets", 16),
}
"""*Limits*"""
MOST_WORDS, MOST_RESULTS, MOST_COLUMNS = 480, 512, 256
_THIRTY_TWO = ("sum", "mean", "deviation", "period", "peak")
DURATIONS = (1, 2, 7, 100, 1000, "1us", "250us", "3ms", "1s", "90s", "2m", "1h", 2**32, 2**40 + 1, 2**62)


class Spec:
    """Makes one spec for ``world``."""

    def __init__(self, world: World, random: Random) -> None:
        self.world, self.random = world, random
        self.all = range(len(world.events))
        self.key = self._key()

    def make(self) -> dict[str, Any]:
        random = self.random
        made: dict[str, Any] = {"name": random.choice(["a", "Z.9_-", "f" * 64, "flow", "0"]), "key": self.key}
        made["event"] = [self._event(index) for index in self.all]
        made["column"] = self._columns(made["event"])
        if random.random() < 0.4:
            made["where"] = self._conditions(_own(self.world.common), self.all, 2)
        if random.random() < 0.3:
            made["end"] = self._conditions(self._with_derived(self._of_some()), self.all, 2)
        if random.random() < 0.7:
            made["at"] = self._at()
        made["state"] = self._state(sum(WORDS[each["reduce"]](each) for each in made["column"]))
        return made

    def _key(self) -> str | list[str]:
        random, common = self.random, self.world.common
        if set(FLOW) <= set(common) and random.random() < 0.7:
            return random.choice(["flow", "flow", "flow", "flow.directed", "source", "destination"])
        types = [each.types for each in self.world.events]
        same = [name for name in _own(common) if len({each[name] for each in types}) == 1 and name != "time"]
        random.shuffle(same)
        found: list[str] = []
        for name in same[: random.choice([1, 1, 2, 3, 8, 20])]:
            if sum(int(types[0][each][1:]) // 8 for each in [*found, name]) <= 40:
                found.append(name)
        return found

    def _event(self, index: int) -> dict[str, Any]:
        found = dict(self.world.events[index].table)
        if self.random.random() < 0.2:
            found["where"] = self._conditions(_own(self.world.events[index].types), [index], 1)
        return found

    def _of_some(self) -> list[str]:
        """The fields that all events have, or those of one, which others may lack."""
        return self.random.choice([self.world.common, list(self.random.choice(self.world.events).types)])

    def _with_derived(self, names: Sequence[str]) -> list[str]:
        derived = [name for name in DERIVED if name != "reply" or self.key == "flow"]
        return [*_own(names), *derived, *derived]

    def _columns(self, events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        random, found = self.random, list[dict[str, Any]]()
        words = results = 0
        count = random.choice([1, 1, 2, 3, 5, 8, 12, 20, 40] + ([200, MOST_COLUMNS] if random.random() < 0.05 else []))
        for place in range(count):
            column = self._column(f"{random.choice(['c', 'C.', 'long_-' * 9])}{place}", events)
            words += WORDS[column["reduce"]](column)
            results += len(reducers.names(column))
            if words > MOST_WORDS or results > MOST_RESULTS:
                break
            found.append(column)
        return found

    def _column(self, name: str, events: Sequence[dict[str, Any]]) -> dict[str, Any]:
        random, which = self.random, list(self.all)
        column: dict[str, Any] = {"name": name, "reduce": random.choice(list(WORDS))}
        if random.random() < 0.3:
            which = sorted(random.sample(which, random.randint(1, len(which))))
            names = [event_name(events[each]) for each in which]
            column["event"] = names[0] if len(names) == 1 and random.random() < 0.5 else names
        self._options(column)
        shared = self.world.shared(which)
        if column["reduce"] != "count":
            self._value(column, shared, which)
        if random.random() < 0.3:
            column["when"] = self._conditions(self._with_derived(shared), which, 2)
        return column

    def _options(self, column: dict[str, Any]) -> None:
        random, reducer = self.random, column["reduce"]
        if reducer in ("period", "peak"):
            column["period"] = random.choice(DURATIONS)
        options = {
            "first": {"n": [1, 2, 3, 8, 64]},
            "recent": {"n": [1, 2, 3, 7, 16]},
            "ewma": {"power": [1, 2, 3, 8, 16]},
            "distinct": {"bits": [64, 128, 256, 512, 1024]},
            "ngram": {"n": [1, 2, 3, 4], "buckets": [2, 4, 8, 16, 32, 64]},
        }
        for name, values in options.get(reducer, {}).items():
            if random.random() < 0.75:
                column[name] = random.choice(values)

    def _value(self, column: dict[str, Any], shared: Sequence[str], which: Sequence[int]) -> None:
        random = self.random
        bits = 1
        if random.random() < 0.93:
            column["of"] = of = random.choice(self._with_derived(shared))
            bits = self._bits(of, which)
        kind = random.random()
        if kind < 0.4:
            column["shift"] = max(bits - 64, random.choice([0, 1, 3, 8, 31, 32, 33, 63, -1, -8, -31, -32]), -32)
        bits = max(0, bits - column.get("shift", 0))
        most = 32 if column["reduce"] in _THIRTY_TWO else 63 - column.get("power", 3) if column["reduce"] == "ewma" else 64
        if bits > most or random.random() < 0.2:
            most = min(most, 63)
            column["clip"] = random.choice([0, 1, 7, (1 << most) - 1, (1 << most - 1), (1 << random.randint(1, most)) - 1])

    def _bits(self, of: str, which: Sequence[int]) -> int:
        if of in DERIVED:
            return DERIVED[of]
        types = [self.world.events[each].types[of] for each in which]
        return max(int(each[1:]) - (each[0] == "s") for each in types)

    def _conditions(self, names: Sequence[str], which: Sequence[int], most: int) -> list[str]:
        """Of a few, those that hold for some of the values and not for others."""
        found = []
        for _ in range(self.random.randint(0 if self.random.random() < 0.05 else 1, most)):
            tries = [self._condition(names, which) for _ in range(4)]
            found.append(max(tries, key=lambda each: self._share(each, which)))
        return found

    def _share(self, condition: str, which: Sequence[int]) -> float:
        values: dict[str, Sequence[int]] = {
            **self.world.pools,
            "number": range(1, 20),
            "gap": (0, 1, 100, 2**33),
            "reply": (0, 1),
        }
        values["age"] = values["gap"]
        drawn = [{name: self.random.choice(pool) for name, pool in values.items() if pool} for _ in range(12)]
        share = sum(all_hold([condition], each) for each in drawn) / len(drawn)
        return share if share < 0.95 or self.random.random() < 0.2 else 0.3

    def _condition(self, names: Sequence[str], which: Sequence[int]) -> str:
        random, name = self.random, self.random.choice(names)
        if name == "comm" and "comm_rest" in names and random.random() < 0.7:
            return f'comm {random.choice(["==", "!="])} "{random.choice([*NAMES, "", "fifteen lettera"])}"'
        if name in ("source", "destination") and random.random() < 0.6:
            return f"{name} {random.choice(['in', 'not in'])} {self._prefix(name, which)}"
        if name in DERIVED:
            low, high = 0, 2 ** DERIVED[name] - 1
            pool = {"number": [1, 2, 3, 7], "reply": [0, 1]}.get(name, [0, 1, 2, 99, 1000, 2**32, high])
        else:
            which = [each for each in which if name in self.world.events[each].types]
            spans = [span(self.world.events[each].types[name]) for each in which]
            low, high = max(least for least, _ in spans), min(most for _, most in spans)
            pool = self.world.pool(name, which)
        operator = random.choice(["==", "!=", "<", "<=", ">", ">=", "&", "!&"])
        value = random.choice([random.choice(pool), random.choice(pool), random.choice(pool) + random.choice([-1, 1])])
        if operator in ("&", "!&") and random.random() < 0.6:
            value = random.choice([1, 2, 3, 0x10, 0x80, high, 1 << random.randrange(high.bit_length())])
        return self._spelled(name, operator, min(max(value, low), high))

    def _spelled(self, name: str, operator: str, value: int) -> str:
        random, space = self.random, self.random.choice([" ", " ", "  "])
        flags = [flag for place, flag in enumerate(FLAGS) if value >> place & 1]
        told = str(value)
        if name == "tcp_flags" and 0 < value < 256 and random.random() < 0.7:
            told = "|".join(flags)
        elif value >= 0 and random.random() < 0.2:
            told = hex(value)
        return f"{name}{space}{operator}{space}{told}"

    def _prefix(self, name: str, which: Sequence[int]) -> str:
        bits = self.random.choice([0, 1, 8, 24, 30, 31, 32])
        address = self.random.choice(self.world.pool(name, which))
        return f"{IPv4Address(address >> 32 - bits << 32 - bits)}/{bits}"

    def _at(self) -> dict[str, Any]:
        random, found = self.random, dict[str, Any]()
        if random.random() < 0.05:
            return {"count": []}
        if random.random() < 0.5:
            found["count"] = random.sample([1, 2, 3, 4, 5, 8, 13, 16, 40, 100, 2**31, 2**32 - 2], random.choice([1, 2, 6, 12]))
        if random.random() < 0.4:
            found["every"] = random.choice([1, 2, 3, 4, 7, 8, 50, 2**31 - 1])
        if random.random() < 0.3:
            found["when"] = self._conditions(self._with_derived(self._of_some()), self.all, 2)
        if random.random() < 0.3:
            found["after"] = random.choice(DURATIONS)
        return found

    def _state(self, words: int) -> dict[str, Any]:
        random, found = self.random, dict[str, Any]()
        if random.random() < 0.5:
            found["map"] = "hash"
            found["entries"] = random.choice([1, 2, 5, 16, 512, 2048])
            if random.random() < 0.6 and self.world.locks:
                found["locked"] = random.choice([True, True, False])
        elif words > 20 or random.random() < 0.6:
            found["entries"] = random.choice([2048, 4096])
            if random.random() < 0.3:
                found["map"] = "lru"
        if random.random() < 0.4:
            found["idle"] = random.choice(DURATIONS)
        return found


def _own(names: Iterable[str]) -> list[str]:
    """Those that no derived field hides."""
    return [name for name in names if name not in DERIVED]


def spec(world: World, random: Random) -> dict[str, Any]:
    """One that docs/events.md takes."""
    return Spec(world, random).make()
