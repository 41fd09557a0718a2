"""What the compiler of specs writes, and refuses; no kernel is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from specs import REDUCERS, bound, spec_dict

from ebpfnn import abi
from ebpfnn.built import object_path
from ebpfnn.errors import ModelError
from ebpfnn.events import OBSERVER, Bound, Field, Place, bind, build, fields_of
from ebpfnn.events.policy import Policy
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.obj import Kind, Linkage, MapType, ObjectSpec, link
from ebpfnn.obj.insn import decode_all
from ebpfnn.observer import Mode, compile_observer
from ebpfnn.observer.cases import kept_each
from ebpfnn.observer.cells import Cell, cells_of
from ebpfnn.preparation.columns import Column, read

COUNT = {"name": "count", "reduce": "count"}
LENGTH = {"name": "length", "reduce": "first", "of": "length", "n": 2}
ATOMIC, SIGN_EXTENDING, FRAME = {0xC3, 0xDB}, {0x81, 0x89, 0x91}, 10


def columns(*names: str, **more: Any) -> Sequence[Column]:
    described = {"type": "integer", "encode": "bins", "bounds": [1, 2]} | more
    return read({"columns": [{"name": name, **described} for name in names]})


def everything(state: dict[str, Any]) -> Bound:
    """All reducers, and each part of a spec."""
    options = {"period": {"period": "1s"}, "peak": {"period": 7}}
    described = [
        {"name": name, "reduce": name, **({} if name == "count" else {"of": "length"}), **options.get(name, {})}
        for name in REDUCERS
    ]
    at = {"every": 3, "after": "1s", "when": ["reply == 1"]}
    return bound(described, state=state, where=["source in 10.0.0.0/8"], end=["tcp_flags & fin"], at=at)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("state", [{}, {"map": "hash", "locked": True, "idle": "1s"}], ids=["lru", "locked"])
def test_it_writes_what_linux_5_10_knows(mode: Mode, state: dict[str, Any]) -> None:
    """Atomic additions without the former value, no loads that extend a sign, and 32 bytes of stack: a network has 448."""
    spec = everything(state)
    policy = Policy(0, 5, after=1) if mode is Mode.VERDICTS else None
    made = compile_observer(spec, 0, mode, columns=columns("count", "sum", "max"), classes=3, policy=policy)
    for found in decode_all(made.functions[OBSERVER].code):
        assert found.opcode not in ATOMIC or found.imm == 0
        assert found.opcode not in SIGN_EXTENDING
        to, from_ = found.opcode & 7 in (2, 3), found.opcode & 7 == 1
        if (to and found.dst == FRAME) or (from_ and found.src == FRAME):
            assert -32 <= found.offset < 0


def test_a_shell_an_observer_and_a_body_become_one() -> None:
    shell = ObjectSpec.from_file(object_path("xdp_events"))
    made = compile_observer(bound([COUNT]), 0, Mode.VERDICTS, columns=columns("count"), classes=2)
    assert made.externs == {abi.INFER}
    joined = link(shell, made)
    assert joined.externs == {abi.INFER}
    assert joined.btf is not None
    kinds = [joined.btf[each].vlen for each in joined.btf.find_all(OBSERVER, Kind.FUNC)]
    assert kinds == [Linkage.STATIC]
    assert {abi.STATES, abi.VERDICTS, abi.COUNTS, abi.LABELS, abi.SCRATCH, abi.WATCH, abi.EVENTS, abi.CLOCK} <= set(joined.maps)


def test_maps_are_those_of_the_mode() -> None:
    spec = bound([COUNT], state={"entries": 77, "map": "hash"})
    maps = {mode: compile_observer(spec, 0, mode, columns=columns("count"), classes=2, ring_bytes=8192).maps for mode in Mode}
    assert set(maps[Mode.RECORD]) == {abi.SCRATCH, abi.COUNTS, abi.ROWS}
    assert set(maps[Mode.ROWS]) == {abi.SCRATCH, abi.COUNTS, abi.ROWS, abi.STATES}
    assert abi.ROWS not in maps[Mode.VERDICTS]
    assert maps[Mode.ROWS][abi.ROWS].max_entries == 8192
    states = maps[Mode.ROWS][abi.STATES]
    assert (states.type, states.key_size, states.value_size, states.max_entries) == (MapType.HASH, 40, 48, 77)


def test_the_state_of_a_locked_spec_has_a_lock_in_its_type() -> None:
    made = compile_observer(bound([COUNT], state={"map": "hash", "locked": True}), 0, Mode.ROWS)
    states = made.maps[abi.STATES]
    assert made.btf is not None
    assert made.btf.size_of(states.key_type_id) == states.key_size
    (lock,) = made.btf.members(states.value_type_id)
    assert (made.btf[lock.type_id].name, lock.offset, made.btf.size_of(states.value_type_id)) == ("bpf_spin_lock", 288, 48)


def test_packed_levels_are_counts_of_bounds() -> None:
    spec = bound([LENGTH])
    form = InputFormat((2,), 2, (80, 90, 255), packed=True)
    given = columns("length.1", "length.2", bounds=[5, 6, 7], step=85)
    assert cells_of(spec, given, form) == (Cell(0, (5, 6, 7)), Cell(1, (5, 6, 7)))
    assert cells_of(spec, given, None) == (Cell(0, (5, 6, 7), 85), Cell(1, (5, 6, 7), 85))
    low = columns("length.2", encode="thermometer", bounds=[5, 6])
    one = InputFormat((2,), 1, (2,), packed=True)
    assert cells_of(spec, low, one) == (Cell(1, ()), Cell(1, ()))


@pytest.mark.parametrize(
    ("given", "form", "fact"),
    [
        (columns("other"), None, "column 'other' of the network is no result of the spec"),
        (columns("count", type="float"), None, "is of type float"),
        (columns("count"), InputFormat((3,)), "the columns give 1 values, but the network takes 3"),
        ((), None, "0 inputs and 2 classes"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(given: Sequence[Column], form: InputFormat | None, fact: str) -> None:
    with pytest.raises(ModelError, match=f"^spec 'test'.*{fact}"):
        compile_observer(bound([COUNT]), 0, Mode.VERDICTS, columns=given, form=form, classes=2)


def test_more_memory_than_a_cpu_has_is_refused() -> None:
    with pytest.raises(ModelError, match=r"need 4\d{4} bytes of each CPU; the kernel gives 32768"):
        compile_observer(bound([COUNT]), 0, Mode.VERDICTS, columns=columns("count"), classes=2, workspace=40_000)


def test_fields_of_the_context_are_read_once_each() -> None:
    """The context is what a program may load from, at constant offsets, and no longer after the first lines."""
    fields = fields_of(ObjectSpec.from_file(object_path("task_events")))
    own = [Field(f"own{n}", 8 * n + 8, 8, False, place=Place.CONTEXT) for n in range(3)]
    described = [{"name": f"c{n}", "reduce": "max", "of": f"own{n % 2}"} for n in range(6)]
    spec = build(spec_dict(described, key=["tgid"], event=[{"trigger": "tracepoint", "target": "a:b"}]))
    made = compile_observer(bind(spec, {"b": [*fields, *own]}, REDUCERS), 0, Mode.ROWS)
    loads = [found.offset for found in decode_all(made.functions[OBSERVER].code) if found.opcode & 7 == 1 and found.src == 8]
    assert loads[:2] == [8, 16]


@pytest.mark.parametrize(
    ("columns", "events", "cpus", "kept"),
    [(1, 1, 1, 1024), (4, 1, 15, 1024), (4, 1, 16, 512), (4, 3, 5, 1024), (7, 1, 9, 512), (7, 16, 512, 2)],
)
def test_cases_take_32_mib_of_all_cpus(columns: int, events: int, cpus: int, kept: int) -> None:
    wide = bound([{"name": f"c{number}", "reduce": "first", "of": "length", "n": 64} for number in range(columns)])
    wide = replace(wide, events=wide.events * events)
    size = 16 + wide.key_bytes + 8 * 64 * columns + 16
    assert kept_each(wide, cpus) == kept
    assert kept == 2 or kept * size * events * cpus <= 1 << 25
