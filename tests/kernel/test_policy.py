"""Policies in the kernel, and their twin, held to their definition, written down anew: event by event, at every corner."""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from networks import dense, network
from rigs import Rig, rig
from test_observer_verdicts import options_for

from ebpfnn import abi
from ebpfnn.errors import ModelError
from ebpfnn.events.conditions import written
from ebpfnn.events.guarding import Case, Guarding
from ebpfnn.events.policy import Policy, entry
from ebpfnn.obj import ObjectSpec
from ebpfnn.preparation.columns import read
from ebpfnn.session import cases

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
SECOND = 1 << 30
KEPT = 1023
"""So many cases can be read: the place of the next one of 1,024 may be being written."""
LAYOUT = struct.Struct("<IIQ8s3QIiII")
REASONS = ("acted", "audited", "paused", "capped")
SCORES = {"benign": "u32", "scan": "u64", "flood": "s32"}
COLUMNS = [{"name": name, "type": "integer", "encode": "bins", "bounds": list(range(1, 201))} for name in SCORES]
SPEC: dict[str, Any] = {
    "key": ["u8"],
    "at": {"when": ["u16 == 1"]},
    "end": ["s8 == 1"],
    "column": [
        {"name": each["name"], "reduce": "last", "of": of} for each, of in zip(COLUMNS, ("u32", "u64", "s32"), strict=True)
    ],
}
"""An event with u16 == 1 gives a verdict, whose scores are its fields u32, u64 and s32; one with s8 == 1 ends the state."""


class Oracle:
    """docs/guards.md, for one CPU."""

    def __init__(self, policy: Policy, allow: Callable[[Mapping[str, int]], bool] = lambda values: False) -> None:
        self.policy, self.allow = policy, allow
        self.labels: dict[int, int] = {}
        self.kept: dict[int, list[int]] = {}
        self.window = [-1, 0, 0]
        self.until = self.paused = self.observed = 0
        self.counts: dict[tuple[str, int], int] = {}
        self.verdict: tuple[int, int] | None = None
        """The label and the margin that the last event gave."""
        self.numbers: dict[int, int] = {}
        self.cases: list[tuple[Any, ...]] = []
        """Time, number, the key's bytes, the results, label plus 1, margin, reason."""

    def observe(self, values: Mapping[str, int]) -> tuple[int, bool]:
        """The label plus 1, and whether the event is acted on."""
        key, time = values["u8"], values["time"]
        self.observed, self.verdict = self.observed + 1, None
        if self.allow(values):
            self.count("allowed", 0)
            return 0, False
        self.numbers[key] = self.numbers.get(key, 0) + 1
        began = False
        if values.get("u16") == 1:
            was = self.kept.get(key, [0, 0])[0]
            self.judge(key, time, [min(max(values.get(name, 0), 0), 200) for name in ("u32", "u64", "s32")])
            began = was <= time < self.kept.get(key, [0, 0])[0]
        label = self.labels.get(key, 0)
        before = self.counts.copy()
        acted = self.decide(key, time, label)
        if began:
            ((reason, _),) = (each for each in self.counts if self.counts[each] != before.get(each))
            results = tuple(max(values.get(name, 0), 0) for name in ("u32", "u64", "s32"))
            known = bytes([key]) + bytes(7)
            self.cases.append(
                (time, self.numbers[key], known, results, label, self.verdict[1] if self.verdict else None, reason)
            )
        if values.get("s8") == 1:
            del self.numbers[key]
        return label, acted

    def judge(self, key: int, time: int, scores: list[int]) -> None:
        label = scores.index(max(scores))
        first, second = sorted(scores, reverse=True)[:2]
        self.labels[key] = label + 1
        self.verdict = label, first - second
        if label != self.policy.spared and first - second >= self.policy.margin:
            kept = self.kept.setdefault(key, [0, 0])
            kept[1] = min(kept[1] + 1, self.policy.after)
            if kept[1] == self.policy.after:
                kept[0] = time + self.policy.lasting
        elif key in self.kept:
            self.kept[key][1] = 0
            if label == self.policy.spared:
                self.kept[key][0] = 0

    def decide(self, key: int, time: int, label: int) -> bool:
        if label in (0, self.policy.spared + 1) or key not in self.kept or time >= self.kept[key][0]:
            return False
        number = time // SECOND
        if number != self.window[0]:
            self.window = [number, self.observed - 1, 0]
        if self.window[2] * 65536 >= int(self.policy.most * 65536) * (self.observed - self.window[1]):
            return self.count("capped", label)
        self.window[2] += 1
        if self.paused:
            return self.count("paused", label)
        if time >= self.until:
            return self.count("audited", label)
        self.count("acted", label)
        return True

    def count(self, reason: str, label: int) -> bool:
        self.counts[reason, label] = self.counts.get((reason, label), 0) + 1
        return False


class Guarded:
    """A rig with a policy, and its oracle."""

    def __init__(self, made: Rig, oracle: Oracle) -> None:
        self.made, self.oracle, self.twin = made, oracle, Guarding(oracle.policy, made.bound)
        self.control = np.ndarray(1, abi.CONTROLLED, buffer=made.maps[abi.CONTROL].mmap())

    def set(self, until: int, paused: int = 0) -> None:
        self.control["until_ns"][0], self.control["paused"][0] = until, paused
        self.oracle.until, self.oracle.paused = until, paused
        self.twin.until, self.twin.paused = until, bool(paused)

    def check(self, **values: int) -> bool:
        """Has an event observed by both. Returns whether it is acted on."""
        returned, (label, acted) = self.made.run(values), self.oracle.observe(values)
        assert (returned & 0xFFFF, returned & abi.ACT != 0) == (label, acted), values
        fields = {name: values.get(name, 0) for name in self.made.bound.events[0].fields}
        if self.twin.accept(0, fields):
            row = self.made.twin.observe(0, fields)
            assert (row is None) == (self.oracle.verdict is None)
            assert (self.twin.decide(0, fields, self.oracle.verdict, row) == "acted") == acted, values
        return acted

    def check_counts(self) -> None:
        found = {}
        for label in range(abi.MAX_SCORES + 1):
            each = self.made.maps[abi.ACTIONS].lookup_percpu(struct.pack("<I", label), abi.ACTED)
            assert each is not None
            found |= {(reason, label): int(each[reason].sum()) for reason in abi.REASONS if each[reason].sum()}
        assert found == self.oracle.counts == +self.twin.counts
        assert [told(each) for each in self.twin.cases] == self.oracle.cases
        assert self.held() == self.oracle.cases[-KEPT:]
        assert len(cases.read(self.made.maps, 8, 3)) == min(len(self.oracle.cases), KEPT)

    def held(self) -> list[tuple[Any, ...]]:
        """The cases in the kernel, by the layout of abi.h, in the order in which they came: one CPU had all events."""
        (cpu,) = os.sched_getaffinity(0)
        recorded = self.made.maps[abi.RECORDED].lookup_percpu(bytes(4), np.uint64)
        assert recorded is not None
        found = []
        for number in range(max(0, int(recorded[cpu]) - KEPT), int(recorded[cpu])):
            values = self.made.maps[abi.CASES].lookup_percpu(struct.pack("<I", number % 1024), np.dtype("V64"))
            assert values is not None
            event, place, time, key, *results, label, margin, network, reason = LAYOUT.unpack(bytes(values[cpu]))
            assert (event, network) == (0, 0)
            found.append((time, place, key, tuple(results), label, margin, REASONS[reason]))
        return found


def told(case: Case) -> tuple[Any, ...]:
    row = case.row
    return row.time, row.number, row.key, row.results, case.label + 1, case.margin, case.reason


@contextmanager
def guarded(
    build_spec: Build,
    policy: Policy,
    allow: Callable[[Mapping[str, int]], bool] = lambda values: False,
    spec: Mapping[str, Any] = SPEC,
) -> Iterator[Guarded]:
    net = network([dense(np.eye(3, dtype=int), np.zeros(3, int))])
    with rig(build_spec, spec, **options_for(read({"columns": COLUMNS}), net), policy=policy) as made:
        yield Guarded(made, Oracle(policy, allow))


def verdict(scan: int, benign: int = 0, flood: int = 0) -> dict[str, int]:
    return {"u16": 1, "u32": benign, "u64": scan, "s32": flood}


def test_audit_acts_on_nothing_and_counts_what_it_would(build_spec: Build) -> None:
    with guarded(build_spec, Policy(0, 50, after=1, most=1)) as guard:
        for time in range(10):
            assert not guard.check(u8=1, time=time, **verdict(100))
        assert guard.oracle.counts == {("audited", 2): 10}
        guard.check_counts()


def test_after_some_verdicts_in_a_row(build_spec: Build) -> None:
    with guarded(build_spec, Policy(0, 50, after=3, lasting=100, most=1)) as guard:
        guard.set(1 << 62)
        acted = [guard.check(u8=1, time=1, **verdict(scan)) for scan in (100, 100, 49, 100, 100, 100)]
        assert acted == [False] * 5 + [True]
        assert guard.check(u8=1, time=100)  # another event of the key
        assert not guard.check(u8=2, time=100)  # another key
        assert not guard.check(u8=1, time=101)  # the time is over
        assert guard.check(u8=1, time=102, **verdict(50))  # the row goes on
        guard.check(u8=1, time=103, **verdict(20))
        assert guard.check(u8=1, time=104)  # a weak verdict ends the row, not the time
        assert not guard.check(u8=1, time=105, **verdict(1, benign=9))  # one of the spared label ends both
        assert not guard.check(u8=1, time=106, **verdict(100))
        guard.check_counts()


def test_a_state_that_ended_is_acted_on_all_the_same(build_spec: Build) -> None:
    with guarded(build_spec, Policy(0, 50, after=1, most=1)) as guard:
        guard.set(1 << 62)
        assert guard.check(u8=7, time=1, s8=1, **verdict(100))
        assert guard.made.states() == 0
        assert guard.check(u8=7, time=2, s8=1)
        guard.check_counts()


def test_the_time_of_enforcement_and_the_pause(build_spec: Build) -> None:
    with guarded(build_spec, Policy(0, 50, after=1, most=1)) as guard:
        guard.set(1000)
        acted = [guard.check(u8=1, time=time, **verdict(100)) for time in (0, 999, 1000, 1001)]
        assert acted == [True, True, False, False]
        guard.set(1 << 62, paused=1)
        assert not guard.check(u8=1, time=1002)
        guard.set(1 << 62)
        assert guard.check(u8=1, time=1003)
        guard.check_counts()


def test_each_key_that_becomes_due_is_a_case_with_its_reason(build_spec: Build) -> None:
    with guarded(build_spec, Policy(0, 50, after=2, lasting=100, most=0.5)) as guard:
        guard.set(1 << 62)
        for time in (SECOND, SECOND + 1, SECOND + 2, SECOND + 3):  # the second one makes it due, the others find it due
            guard.check(u8=1, time=time, **verdict(100))
        assert [case[-1] for case in guard.oracle.cases] == ["acted"]
        guard.check(u8=1, time=SECOND + 103, **verdict(77))  # the time is over, not the row: due anew
        guard.check(u8=2, time=SECOND + 104, **verdict(100), s8=1)
        guard.check(u8=2, time=SECOND + 105, **verdict(0, flood=60), s8=1)  # its state ended, what is kept of it did not
        guard.set(1 << 62, paused=1)
        guard.check(u8=1, time=SECOND + 110, **verdict(0, benign=60))
        for time in (SECOND + 111, SECOND + 112, SECOND + 113):
            guard.check(u8=1, time=time, **verdict(0xFFFF_FFFF_FFFF))  # what the encoder cuts is in the case
        guard.set(0)
        for time in (2 * SECOND, 2 * SECOND + 1):
            guard.check(u8=3, time=time, u16=1, s32=-9, u32=1, u64=200)
        for _ in range(9):
            guard.check(u8=3, time=2 * SECOND + 2)
        for time in (2 * SECOND + 3, 2 * SECOND + 4):
            guard.check(u8=4, time=time, **verdict(100))
        assert [case[-1] for case in guard.oracle.cases] == ["acted", "capped", "acted", "paused", "audited", "audited"]
        guard.check_counts()


def test_of_many_cases_the_latest_are_kept(build_spec: Build) -> None:
    with guarded(build_spec, Policy(0, 50, after=1, lasting=1, most=1)) as guard:
        guard.check_counts()  # none
        for time in range(2100):
            guard.check(u8=time % 250, time=time, **verdict(50 + time % 100))
            if time in (1022, 1023, 1024):
                guard.check_counts()
        assert len(guard.oracle.cases) == 2100
        guard.check_counts()


@pytest.mark.parametrize("most", [1.0, 0.5, 0.25, 1 / 65536])
def test_the_cap_holds_in_every_window(build_spec: Build, most: float) -> None:
    with guarded(build_spec, Policy(0, 50, after=1, most=most)) as guard:
        guard.set(1 << 62)
        for window in range(3):
            acted = [guard.check(u8=1, time=window * SECOND + place, **verdict(100)) for place in range(200)]
            assert sum(acted) <= max(1, most * 200)
            for place in range(100):
                guard.check(u8=2, time=window * SECOND + 300 + place)
            assert guard.check(u8=1, time=window * SECOND + 500) == (most >= 0.25)
        guard.check_counts()


@pytest.mark.parametrize("after", [1, 2, 65536])
@pytest.mark.parametrize("margin", [0, 1, (1 << 31) - 1])
def test_numbers_at_their_ends(build_spec: Build, after: int, margin: int) -> None:
    with guarded(build_spec, Policy(2, margin, after=after, lasting=1 << 62, most=1)) as guard:
        guard.set((1 << 64) - 1)
        for scores in ((0, 0, 0), (0, 1, 0), (9, 9, 9), (0, 200, 0), (0, 0, 200), (200, 0, 0)):
            guard.check(u8=3, time=(1 << 61), **verdict(scores[1], scores[0], scores[2]))
        guard.check_counts()


def test_what_is_allowed_is_not_observed(build_spec: Build) -> None:
    policy = Policy(0, 50, after=1, most=1, allowed=(entry("s64 == -5 and s16 > 3"), entry("source in 10.0.0.0/8")))

    def allow(values: Mapping[str, int]) -> bool:
        return (values.get("s64", 0) == -5 and values.get("s16", 0) > 3) or values.get("source", 0) >> 24 == 10

    with guarded(build_spec, policy, allow) as guard:
        guard.set(1 << 62)
        for more in ({"s64": -5, "s16": 4}, {"s64": -5, "s16": 3}, {"s16": 4}, {"source": 0x0A000001}, {"source": 0x0B000001}):
            acted = guard.check(u8=1, time=5, **verdict(100), **more)
            assert acted != allow(more)
        assert guard.oracle.counts["allowed", 0] == 2
        guard.check_counts()


def test_a_name_in_quotes_may_hold_the_word_that_joins() -> None:
    found = entry('comm == "this and that" and u8 == 3')
    assert [written(each) for each in found] == ['comm == "this and that"', "u8 == 3"]
    assert entry(" and ".join(map(written, found))) == found
    with pytest.raises(ModelError, match="has 1030 characters; give at most 1024"):
        entry("u8 == 3" + " " * 1023)


@pytest.mark.parametrize("seed", range(12))
def test_random_events(build_spec: Build, seed: int) -> None:
    choose = random.Random(seed)
    policy = Policy(
        choose.randrange(3),
        choose.choice([0, 1, 30, 100, 200, 201]),
        after=choose.choice([1, 1, 2, 3, 5]),
        lasting=choose.choice([1, 1000, SECOND, 1 << 62]),
        most=choose.choice([1.0, 0.5, 0.1, 0.001]),
        allowed=choose.choice([(), (entry("u8 == 3"),)]),
    )
    spec = {**SPEC, "state": {"map": "hash", "entries": 64}}
    with guarded(build_spec, policy, lambda values: bool(policy.allowed) and values["u8"] == 3, spec) as guard:
        time = 0
        for _ in range(1500):
            time += choose.choice([0, 1, 1000, SECOND // 7])
            if choose.random() < 0.02:
                guard.set(choose.choice([0, time, time + 1, time + SECOND, (1 << 64) - 1]), choose.choice([0, 0, 1]))
            scores = {name: choose.choice([0, 1, 99, 100, 200, 255]) for name in ("u32", "u64", "s32")}
            given = choose.choice([{}, {"u16": 1}, {"u16": 1}, {"s8": 1}])
            guard.check(u8=choose.randrange(6), time=time, **scores, **given)
        guard.check_counts()


@pytest.mark.parametrize(
    ("changed", "fact"),
    [
        ({"spared": -1}, "no label is spared"),
        ({"margin": -1}, "margin -1 is not in"),
        ({"margin": 1 << 31}, "is not in 0"),
        ({"after": 0}, "0 verdicts in a row"),
        ({"lasting": 0}, "lasts 0 ns"),
        ({"lasting": (1 << 62) + 1}, "give 1 to 2"),
        ({"most": 0}, "more than 0"),
        ({"most": 1.1}, "at most 1"),
        ({"allowed": ((),)}, "holds for every event"),
    ],
)
def test_policies_that_are_none(changed: dict[str, Any], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        Policy(**{"spared": 0, "margin": 1, **changed})


def test_a_label_and_a_field_that_are_not_there(build_spec: Build) -> None:
    for policy, fact in (
        (Policy(3, 1), "a policy spares label 3 of 3"),
        (Policy(0, 1, allowed=(entry("nothing == 1"),)), "event 'xdp' has no field 'nothing'"),
        (Policy(0, 1, allowed=(entry("gap == 1"),)), "'gap' is not known before the state of the key"),
    ):
        with pytest.raises(ModelError, match=fact), guarded(build_spec, policy):
            pass
