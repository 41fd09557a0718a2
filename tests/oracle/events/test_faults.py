"""That the judge of specs would see a fault: in the BPF half of each reducer, in an observer, in the twin, in a clock."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ebpfnn_plugins import reducers

from ebpfnn.events import Replay
from ebpfnn.events.reducer import Reducer
from ebpfnn.obj.asm import Assembler
from ebpfnn.observer import Mode, compile_observer, keys, samples, state, verdicts, writer
from ebpfnn.observer.layout import NUMBER

from . import edges, judge
from .kernel import one_thread
from .tell import Tally

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
BY_NAME: dict[str, Reducer] = {each.name: each for each in reducers.ALL}
COLUMNS = [
    *({"name": each, "reduce": each, "of": "deep", "clip": 2**32 - 1} for each in ("sum", "mean", "deviation", "ewma")),
    *({"name": each, "reduce": each, "of": "big"} for each in ("last", "min", "max", "distinct", "ngram")),
    *({"name": each, "reduce": each, "of": "big", "n": 3} for each in ("first", "recent")),
    *({"name": each, "reduce": each, "of": "word", "period": 1000} for each in ("period", "peak")),
    {"name": "count", "reduce": "count", "when": ["byte < 0", "source in 128.0.0.0/1"]},
    *({"name": each, "reduce": "recent", "of": each, "n": 2} for each in ("gap", "age", "number", "reply")),
]
EMITS = [  # reducer, half, instruction, operator, and the one that stands there instead
    ("sum", "emit_step", "add_atomically", "u64", "u32"),
    ("mean", "emit_read", "alu", "/=", "%="),
    ("deviation", "emit_step", "alu", "s>>=", ">>="),
    ("ewma", "emit_step", "alu", "-=", "+="),
    ("min", "emit_step", "jump_if", "<=", "s<="),
    ("max", "emit_step", "jump_if", ">=", "s>="),
    ("period", "emit_step", "jump_if", "==", "!="),
    ("peak", "emit_step", "jump_if", ">=", "<"),
    ("first", "emit_step", "jump_if", ">", ">="),
    ("distinct", "emit_step", "alu", "|=", "^="),
    ("ngram", "emit_step", "jump_if", "<", "<="),
]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


def judged(directory: Path, way: str, columns: list[dict[str, Any]] = COLUMNS, **members: Any) -> Tally:
    """What one way of judging says of one spec, by a few sequences of events."""
    tally = Tally()
    for seed in range(4):
        world = edges.world(1)
        spec = {
            "name": "x",
            "key": "flow",
            "event": [dict(world.events[0].table)],
            "column": columns,
            "state": {"entries": 512},
        }
        found = judge.Judge(seed, tally, directory, world, {**spec, **members})
        with one_thread():
            found.hold(way)
        if tally.differences:
            break
    return tally


def instead(instruction: str, operator: str, other: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Writes ``instruction`` with ``other`` for ``operator``."""
    right = getattr(Assembler, instruction)

    def wrong(self: Assembler, *given: Any) -> None:
        right(self, *(other if each == operator else each for each in given))

    return lambda patch: patch.setattr(Assembler, instruction, wrong)


@pytest.mark.parametrize(("reducer", "half", "instruction", "operator", "other"), EMITS)
def test_a_reducer_that_emits_another_instruction_is_seen(
    objects: Path, monkeypatch: pytest.MonkeyPatch, reducer: str, half: str, instruction: str, operator: str, other: str
) -> None:
    emit = getattr(BY_NAME[reducer], half)

    def emit_wrongly(self: Reducer, *given: Any) -> None:
        with pytest.MonkeyPatch.context() as patch:
            instead(instruction, operator, other)(patch)
            emit(*given)

    monkeypatch.setattr(type(BY_NAME[reducer]), half, emit_wrongly)
    columns = [each for each in COLUMNS if each["reduce"] == reducer]
    (found,) = judged(objects, "rows", columns).differences
    assert found.way == "rows"
    assert "must be" in found.fact
    assert found.events <= 12  # the fewest


@pytest.mark.parametrize(
    ("where", "name", "value", "way"),
    [
        (keys, "_MAPPED", 0, "rows"),
        (state, "LAST", state.FIRST, "rows"),
        (state, "NUMBER", state.SIDE, "rows"),
        (writer.Writer, "load_time", lambda self, to: self.mov(to, 7), "rows"),
        (verdicts, "_MOST", 5, "verdicts"),
    ],
)
def test_an_observer_that_is_wrong_is_seen(
    objects: Path, monkeypatch: pytest.MonkeyPatch, where: Any, name: str, value: Any, way: str
) -> None:
    assert hasattr(where, name)
    monkeypatch.setattr(where, name, value)
    (found,) = judged(objects, way).differences
    assert "must be" in found.fact


def test_signs_that_are_lost_are_seen(objects: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    instead("alu", "s>>=", ">>=")(monkeypatch)
    (found,) = judged(objects, "records").differences
    assert "must be" in found.fact


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("its number", lambda row: row._replace(number=row.number + 1)),
        ("its time", lambda row: row._replace(time=row.time + 1)),
        ("its key", lambda row: row._replace(key=row.key[::-1])),
        ("a result", lambda row: row._replace(results=(row.results[0] ^ 1, *row.results[1:]))),
    ],
)
def test_a_twin_that_is_wrong_is_seen(objects: Path, monkeypatch: pytest.MonkeyPatch, what: str, change: Any) -> None:
    right = Replay.observe

    def wrong(self: Replay, *given: Any) -> Any:
        found = right(self, *given)
        return found and change(found)

    monkeypatch.setattr(Replay, "observe", wrong)
    assert judged(objects, "twin").differences, what


@pytest.mark.parametrize("way", ["twin", "records", "rows", "samples", "verdicts"])
def test_the_same_spec_as_it_is_compiled_is_right(objects: Path, way: str) -> None:
    tally = judged(objects, way)
    assert not tally.differences, "\n".join(map(str, tally.differences))
    assert tally.events > 100


@pytest.mark.parametrize("way", ["samples", "verdicts"])
def test_a_bound_that_is_off_by_one_is_seen(objects: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    right = samples.SampleWriter._emit_count

    def wrong(self: samples.SampleWriter, result: int, bounds: Sequence[int]) -> None:
        right(self, result, [min(each + 1, 2**64 - 1) for each in bounds])

    monkeypatch.setattr(samples.SampleWriter, "_emit_count", wrong)
    (found,) = judged(objects, way).differences
    assert "must be" in found.fact


def test_a_state_that_counted_all_it_can_stays_as_it_is(objects: Path) -> None:
    """Its number is set a little before the last, in the kernel's map."""
    world = edges.world(1)
    spec = {"name": "x", "key": ["tiny"], "event": [dict(world.events[0].table)], "column": [{"name": "n", "reduce": "count"}]}
    tally = Tally()
    found = judge.Judge(1, tally, objects, world, {**spec, "state": {"entries": 512}})
    first, last = found.events[0], 2**32 - 1
    observer = compile_observer(found.bound(found.spec), 0, Mode.ROWS)
    with one_thread(), found.running(lambda index: [observer]) as running:
        running.run(first)
        key = struct.pack("<Q", first.values["tiny"])
        kept = bytearray(running.maps["ebpfnn_states"].lookup(key) or b"")
        struct.pack_into("=I", kept, NUMBER, last - 2)
        running.maps["ebpfnn_states"].update(key, bytes(kept))
        list(running.records())
        for _ in range(4):
            running.run(first)
        numbers = [struct.unpack_from("=IIQ", record)[1] for record in running.records()]
        counts = running.maps["ebpfnn_counts"].lookup_percpu(bytes(4), np.uint64)
    assert numbers == [last - 1, last]
    assert counts is not None
    assert counts.sum(axis=0)[:6].tolist() == [5, 1, 0, 0, 0, 2]  # observed, created, ..., frozen
