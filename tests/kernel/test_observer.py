"""Observers of every part of a spec in the kernel, by BPF_PROG_RUN: their rows are those of the twin."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rigs import Rig, rig

from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
WORD = (1 << 64) - 1
CORNERS = (0, 1, 2, 3, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, WORD - 1, WORD)
EVERY: list[dict[str, Any]] = [
    {"name": "count", "reduce": "count"},
    {"name": "sum", "reduce": "sum", "of": "u32"},
    {"name": "last", "reduce": "last", "of": "u64"},
    {"name": "first", "reduce": "first", "of": "u64"},
    {"name": "first-64", "reduce": "first", "of": "u64", "n": 64},
    {"name": "recent", "reduce": "recent", "of": "u64"},
    {"name": "recent-16", "reduce": "recent", "of": "u64", "n": 16},
    {"name": "min", "reduce": "min", "of": "u64"},
    {"name": "max", "reduce": "max", "of": "u64"},
    {"name": "mean", "reduce": "mean", "of": "u32"},
    {"name": "deviation", "reduce": "deviation", "of": "u32"},
    *({"name": f"ewma-{p}", "reduce": "ewma", "of": "u64", "shift": p + 1, "power": p} for p in (1, 3, 16)),
    {"name": "period", "reduce": "period", "of": "u32", "period": 1000},
    {"name": "peak", "reduce": "peak", "of": "u32", "period": 1000},
    {"name": "period-long", "reduce": "period", "of": "u32", "period": 1 << 62},
    {"name": "peak-short", "reduce": "peak", "of": "u32", "period": 1},
    *({"name": f"distinct-{b}", "reduce": "distinct", "of": "u64", "bits": b} for b in (64, 128, 256, 512, 1024)),
    *({"name": f"ngram-{n}", "reduce": "ngram", "of": "u64", "n": n, "buckets": 1 << n} for n in (1, 2, 3, 4)),
    {"name": "ngram-64", "reduce": "ngram", "of": "u16", "n": 2, "buckets": 64},
]


@pytest.fixture(scope="module", params=["lru", "hash", "locked"])
def every(request: pytest.FixtureRequest, build_spec: Build) -> Iterator[Rig]:
    """Every reducer, the state in maps of every kind."""
    state: dict[str, Any] = {"map": "lru"} if request.param == "lru" else {"map": "hash", "locked": request.param == "locked"}
    with rig(build_spec, {"key": ["u8"], "state": state, "column": EVERY}) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("corner", CORNERS)
def test_a_corner_over_and_over(every: Rig, corner: int) -> None:
    """Every value the same, in a state of its own; 70 events, so that the longest reducer fills."""
    for time in range(70):
        values = {"u64": corner, "u32": corner & 0xFFFFFFFF, "u16": corner & 0xFFFF}
        every.check({"u8": CORNERS.index(corner), "time": 990 + time, **values})


def test_random_values_and_times(every: Rig) -> None:
    """Of every size, and times that also go back, over several keys."""
    choose = random.Random(1)
    time = 1 << 40
    for _ in range(1500):
        value = choose.choice(CORNERS) if choose.random() < 0.2 else choose.getrandbits(choose.randint(1, 64))
        time += choose.choice((0, 1, 999, 1000, 1001, 10**9, -500, -5000))
        values = {"u64": value, "u32": value >> choose.randint(0, 32) & 0xFFFFFFFF, "u16": value & 0xFFFF}
        every.check({"u8": choose.randint(100, 104), "time": time, **values})


def test_times_at_the_ends_of_the_clock(every: Rig) -> None:
    for time in (0, 1, 0, WORD, WORD - 1, WORD, 0, 1 << 63, 999, 1000, 1001):
        every.check({"u8": 200, "time": time, "u64": 1, "u32": 7, "u16": 3})


def test_one_event_and_no_event(build_spec: Build) -> None:
    """The results of a column of which no event is one are 0."""
    never = [{**column, "name": f"never-{column['name']}", "when": ["u8 == 9"]} for column in EVERY]
    small = [each for each in never if not each["name"].endswith("-64")]
    with rig(build_spec, {"key": ["u8"], "column": small}) as made:
        row = made.check({"time": 5, "u64": WORD, "u32": 1 << 31})
        assert row is not None
        assert set(row.results) == {0}


OPERATORS = ("==", "!=", "<", "<=", ">", ">=")


@pytest.mark.slow
@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("field", ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"])
def test_comparisons(build_spec: Build, field: str, operator: str) -> None:
    """Around values of either sign, by the corners of the type."""
    bits, signed = int(field[1:]), field.startswith("s")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    bounds = {low, low + 1, high - 1, high, 5, min(high, (1 << 31) - 1), min(high, 1 << 31), -3 if signed else 3}
    columns = [
        {"name": f"c{place}", "reduce": "count", "when": [f"{field} {operator} {bound}"]}
        for place, bound in enumerate(sorted(bounds))
    ]
    with rig(build_spec, {"key": ["u8" if field != "u8" else "u16"], "column": columns}) as made:
        for bound in sorted(bounds):
            for value in (bound - 1, bound, bound + 1):
                if low <= value <= high:
                    made.check({field: value})


@pytest.mark.parametrize("place", ["where", "when"])
def test_bits_prefixes_and_names(build_spec: Build, place: str) -> None:
    conditions = [
        ["u64 & 0x8000000000000000"],
        ["u64 !& 0x8000000000000000"],
        ["u32 & 0x80000001"],
        ["u32 !& 0x80000001"],
        ["tcp_flags & fin|rst"],
        ["tcp_flags !& fin|rst"],
        ["source in 10.0.0.0/8"],
        ["source not in 10.0.0.0/8"],
        ["source in 192.168.1.0/24", "u8 == 3"],
        ["source in 0.0.0.0/0"],
        ["source in 255.255.255.255/32"],
        ["destination not in 128.0.0.0/1"],
        ['comm == "exact"'],
        ['comm != "exact"'],
        ['comm == "fifteen-letters"'],
        ['comm != "fifteen-letters"'],
    ]
    names = [
        (int.from_bytes(t.ljust(16, b"\0")[:8], "little"), int.from_bytes(t.ljust(16, b"\0")[8:], "little"))
        for t in (b"exact", b"exact2", b"fifteen-letters", b"fifteen-", b"")
    ]
    events = [{"u64": value & WORD, "u32": value & 0xFFFFFFFF} for value in (0, 1, 1 << 31, 1 << 63, WORD, 6)]
    events += [{"tcp_flags": flags} for flags in (0, 1, 2, 4, 5, 18, 255)]
    events += [
        {"source": a, "u8": 3} for a in (0, 0x0A000000, 0x0AFFFFFF, 0x09FFFFFF, 0x0B000000, 0xC0A80101, 0xC0A80200, 0xFFFFFFFF)
    ]
    events += [{"destination": a} for a in (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)]
    events += [{"comm": one, "comm_rest": other} for one, other in names]
    count = [{"name": "count", "reduce": "count"}]
    if place == "when":
        columns = [{"name": f"c{n}", "reduce": "count", "when": each} for n, each in enumerate(conditions)]
        with rig(build_spec, {"key": ["version"], "column": columns}) as made:
            for event in events:
                made.check(event)
        return
    for each in conditions:
        with rig(build_spec, {"key": ["version"], "where": each, "column": count}) as made:
            for event in events:
                made.check(event)


def test_values(build_spec: Build) -> None:
    """Signs, shifts and clips."""
    columns = [
        {"name": f"{field}.{shift}.{clip}", "reduce": "last", "of": field, "shift": shift}
        | ({} if clip is None else {"clip": clip})
        for field in ("s8", "s16", "s32", "s64", "u8", "u16", "u32", "u64")
        for shift in (0, 3, 63, *((-7,) if int(field[1:]) < 57 else ()))
        for clip in (None, 0, 100, (1 << 31) + 5, (1 << 63) - 1)
    ]
    columns += [{"name": "one", "reduce": "sum", "shift": -3, "clip": 5}, {"name": "gone", "reduce": "sum", "shift": 1}]
    choose = random.Random(2)
    with rig(build_spec, {"key": ["version"], "column": columns}) as made:
        for turn in range(150):
            value = choose.choice(CORNERS) if turn % 3 else choose.getrandbits(64)
            wide = {f"u{bits}": value & (1 << bits) - 1 for bits in (8, 16, 32, 64)}
            signed = {f"s{bits}": (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for bits in (8, 16, 32, 64)}
            made.check({**wide, **signed})
