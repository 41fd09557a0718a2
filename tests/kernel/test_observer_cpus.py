"""One key on two CPUs at the same time: what is added atomically is exact, and all of it is if the state is locked."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from rigs import Rig, rig

from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
RUNS = 3_000_000  # takes longer than to start both, by far
COLUMNS: list[dict[str, Any]] = [
    {"name": "count", "reduce": "count"},
    {"name": "sum", "reduce": "sum", "of": "u8"},
    {"name": "mean", "reduce": "mean", "of": "u8"},
    {"name": "grams", "reduce": "ngram", "of": "u8", "n": 1, "buckets": 2},
    {"name": "number", "reduce": "last", "of": "number"},
]


def run_on_every_cpu(made: Rig) -> int:
    """Runs the program ``RUNS`` times on each of two CPUs at once. Returns how often it ran."""
    cpus = sorted(os.sched_getaffinity(0))[:2]
    if len(cpus) < 2:
        pytest.skip("there is one CPU")
    made.run({"u8": 3, "time": 1})  # fields that stay as they are
    children = []
    for cpu in cpus:
        child = os.fork()
        if not child:
            status = 1
            try:
                os.sched_setaffinity(0, {cpu})
                made.objects[0].programs["on_event"].run(data=bytes(64), repeat=RUNS)
                status = 0
            finally:
                os._exit(status)  # a child that failed must not go on as a second run of all tests
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    return 2 * RUNS + 1


@pytest.mark.parametrize("state", [{}, {"map": "hash", "locked": True}], ids=["lru", "locked"])
def test_sums(build_spec: Build, state: dict[str, Any]) -> None:
    never = {"count": [4_000_000_000], "when": ["u16 == 9"]}
    with rig(build_spec, {"key": ["u32"], "column": COLUMNS, "state": state, "at": never}) as made:
        ran = run_on_every_cpu(made)
        assert made.counts["observed"] == ran
        made.run({"u8": 3, "time": 1, "u16": 9})
        (row,) = made.rows()
        count, total, mean, *grams, number = row.results
        assert (count, total) == (ran + 1, 3 * (ran + 1))
        if state:
            assert (mean, sorted(grams), number) == (3, [0, ran + 1], ran + 1)
