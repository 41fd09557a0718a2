"""Cases of guards in the kernel: on several CPUs and events, with wide keys and rows, and read while they are written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from networks import dense, network
from rigs import Rig, rig
from test_observer_verdicts import options_for
from test_policy import COLUMNS, SPEC

from ebpfnn.events.keyparts import Part
from ebpfnn.events.policy import Policy
from ebpfnn.obj import ObjectSpec
from ebpfnn.preparation.columns import read as read_columns
from ebpfnn.session import cases

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
EVERY = Policy(0, 1, after=1, lasting=1, most=1)
"""Each verdict of another label makes its key due, if time passes between them."""


@contextmanager
def loaded(build_spec: Build, spec: Mapping[str, Any], each: int = 1024) -> Iterator[Rig]:
    net = network([dense(np.eye(3, dtype=int), np.zeros(3, int))])
    options = options_for(read_columns({"columns": COLUMNS}), net)
    with rig(build_spec, {**SPEC, **spec}, **options, policy=EVERY, cases=each) as made:
        yield made


def due(made: Rig, time: int, event: int = 0, **fields: int) -> None:
    made.run({"u16": 1, "u64": 100, "u32": time & 0x3F, "time": time, **fields}, event)


def two_cpus() -> tuple[int, int]:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("there is one CPU")
    return allowed[0], allowed[1]


def test_cpus_and_events_are_merged_by_time(build_spec: Build) -> None:
    cpus = two_cpus()
    spec = {"event": [{"trigger": "xdp", "name": name} for name in ("first", "second", "third")]}
    with loaded(build_spec, spec, 8) as made:
        for time in range(1, 200):
            os.sched_setaffinity(0, {cpus[time % 2]})
            due(made, time, time % 3, u8=time)
        found = cases.read(made.maps, 8, 3)
        assert [(case.time, case.event, case.key[0]) for case in found] == [(n, n % 3, n) for n in range(158, 200)]
        assert {case.results for case in found} == {(n & 0x3F, 100, 0) for n in range(158, 200)}
        told = cases.latest(made.maps, ("a", "b", "c"), [Part("u8", "u8")], ("first", "second", "third"), ("x", "y", "z"), 2)
        assert [(case.shown, case.event, case.label, case.margin, case.reason) for case in told] == [
            ("u8=199", "second", "b", 93, "audited"),
            ("u8=198", "first", "b", 94, "audited"),
        ]
        assert told[0].columns == {"x": 7, "y": 100, "z": 0}


def test_a_key_of_forty_bytes_and_a_row_of_many_results(build_spec: Build) -> None:
    many = [{"name": f"c{number}", "reduce": "first", "of": "u64", "n": 64} for number in range(7)]
    key = ["u64", "s64", "comm", "comm_rest", "u32", "s32"]
    with loaded(build_spec, {"key": key, "column": [*SPEC["column"], *many]}) as made:
        due(made, 5, s64=-1, comm=int.from_bytes(b"sshd\0\0\0\0", "little"), comm_rest=1 << 63, s32=-2)
        (case,) = cases.read(made.maps, 40, 451)
        assert case.key == b"".join(
            n.to_bytes(size, "little")
            for n, size in ((100, 8), ((1 << 64) - 1, 8), (0x64687373, 8), (1 << 63, 8), (5, 4), ((1 << 32) - 2, 4))
        )
        assert case.results == (5, 100, 0, *([100] + [0] * 63) * 7)


def test_what_is_read_while_it_is_written_is_whole(build_spec: Build) -> None:
    reader, writer = two_cpus()
    with loaded(build_spec, {}, 4) as made:
        child = os.fork()
        if not child:
            status = 1
            try:
                os.sched_setaffinity(0, {writer})
                for time in range(1, 20_000):
                    due(made, time, u8=time & 0xFF, u64=100 + (time << 8))
                status = 0
            finally:
                os._exit(status)  # a child that failed must not go on as a second run of all tests
        os.sched_setaffinity(0, {reader})
        read = 0
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            found = cases.read(made.maps, 8, 3)
            assert len({case.time for case in found}) == len(found) <= 3
            for case in found:
                assert (case.key[0], case.results[:2]) == (case.time & 0xFF, (case.time & 0x3F, 100 + (case.time << 8)))
                read += 1
        assert ended == (child, 0)
        assert read
        assert [case.time for case in cases.read(made.maps, 8, 3)] == [19_997, 19_998, 19_999]
