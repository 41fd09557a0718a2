"""Observers behind every event shell that this kernel runs: what it recorded, the twin makes the same rows of."""

from __future__ import annotations

import os
import platform
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from ebpfnn_plugins.fentry import FentryTrigger
from ebpfnn_plugins.kprobe import KprobeTrigger
from ebpfnn_plugins.raw_tracepoint import RawTracepointTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from eventframes import ethernet, icmp, ipv4, ipv6, tcp, udp
from rigs import REDUCERS

from ebpfnn import abi
from ebpfnn.built import object_path
from ebpfnn.events import Bound, Field, Place, Replay, Result, bind, build, fields_of
from ebpfnn.kernel import (
    Object,
    Program,
    attach_kprobe,
    attach_raw_tracepoint,
    attach_tracepoint,
    attach_tracing,
    lacks_probes,
)
from ebpfnn.kernel.ring.ringbuf import RingBuffer
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.observer import Mode, compile_observer

pytestmark = pytest.mark.root
PACKETS = {
    "xdp": ("xdp_events", "ebpfnn_xdp_events"),
    "tc ingress": ("tc_events", "ebpfnn_tc_ingress"),
    "tc egress": ("tc_events", "ebpfnn_tc_egress"),
    "cgroup ingress": ("cgroup_skb_events", "ebpfnn_cgroup_ingress"),
    "cgroup egress": ("cgroup_skb_events", "ebpfnn_cgroup_egress"),
    "socket filter": ("socket_filter_events", "ebpfnn_socket_events"),
}
FRAMES = [
    *(ethernet(0x0800, ipv4(6, tcp(b"x" * n, flags=flags))) for n in (0, 9, 1400) for flags in (2, 16, 17, 24)),
    *(ethernet(0x0800, ipv4(17, udp(b"y" * n))) for n in (1, 700)),
    ethernet(0x86DD, ipv6(6, tcp(b"z" * 30))),
    ethernet(0x86DD, ipv6(17, udp(b"z" * 31))),
    ethernet(0x86DD, ipv6(58, icmp(128, 0, b"p" * 16))),
    ethernet(0x0800, ipv4(1, icmp(payload=b"p" * 16)), ((0x8100, 7),)),
]
GETPGID = {"x86_64": 121}.get(platform.machine(), 155)
NOBODY = 4_000_001  # a process id that none has: the event comes, and the call changes nothing


def load(shell: str, program: str, bound: Bound, mode: Mode, *, replaying: bool = False, function: str = "") -> Object:
    spec = ObjectSpec.from_file(object_path(shell))
    spec.keep_programs(program)
    if function:
        spec.programs[program] = replace(spec.programs[program], attach_to=function)
    spec.set_variable(abi.REPLAYING, struct.pack("<I", replaying))
    return Object.load(link(spec, compile_observer(bound, 0, mode)))


def recorded(ring: RingBuffer, fields: Sequence[Field]) -> Iterator[dict[str, int]]:
    for record in ring.consume():
        event, number, time = struct.unpack_from("<IIQ", record)
        values = np.frombuffer(record[16:], np.uint64).tolist()[: len(fields)]
        found = {
            field.name: value - (1 << 64) if field.signed and value >> 63 else value
            for field, value in zip(fields, values, strict=True)
        }
        assert (event, number, time) == (0, 0, found["time"])
        yield found


def rows(ring: RingBuffer, bound: Bound) -> list[Result]:
    found = []
    for record in ring.consume():
        _, number, time = struct.unpack_from("<IIQ", record)
        key, results = record[16 : 16 + bound.key_bytes], record[16 + bound.key_bytes :]
        numbers = struct.unpack_from(f"<{len(bound.names)}Q", results)
        found.append(Result(key, number, time, numbers))
    return found


@pytest.mark.parametrize("hook", PACKETS)
def test_packets_at_every_hook(hook: str) -> None:
    """The same frames, at the same times of a clock that the test sets, once recorded and once reduced."""
    shell, program = PACKETS[hook]
    fields = fields_of(ObjectSpec.from_file(object_path(shell)))
    columns: list[dict[str, Any]] = [{"name": "n", "reduce": "count"}, {"name": "gap", "reduce": "max", "of": "gap"}]
    columns += [{"name": "lengths", "reduce": "recent", "of": "length", "n": 4}]
    columns += [{"name": "payload", "reduce": "sum", "of": "payload", "when": ["reply == 0"]}]
    columns += [{"name": "direction", "reduce": "last", "of": "direction"}, {"name": "age", "reduce": "last", "of": "age"}]
    spec = build({"name": "t", "key": "flow", "event": [{"trigger": "xdp"}], "where": ["hops > 3"], "column": columns})
    bound = bind(spec, {"xdp": fields}, REDUCERS)
    twin, seen = Replay(bound), 0
    with (
        load(shell, program, bound, Mode.RECORD, replaying=True) as records,
        load(shell, program, bound, Mode.ROWS, replaying=True) as made,
        RingBuffer(records.maps[abi.ROWS]) as ours,
        RingBuffer(made.maps[abi.ROWS]) as theirs,
    ):
        for time, frame in enumerate(FRAMES * 3, 10**9):
            for each in (records, made):
                each.maps[abi.CLOCK].array(np.uint64)[:] = time * 7
                each.programs[program].run(data=frame)
            (values,) = recorded(ours, fields)
            assert values["time"] == time * 7
            row = twin.observe(0, values)
            assert rows(theirs, bound) == ([row] if row else [])
            seen += row is not None
    assert seen == 3 * len(FRAMES)


def calls() -> None:
    """Five system calls of this thread that no other one makes so."""
    for _ in range(5):
        with suppress(ProcessLookupError):
            os.getpgid(NOBODY)


Attach = Callable[[Program], AbstractContextManager[Any]]
RAW = "sys_enter"
FUNCTION = "find_task_by_vpid"


def argument(fields: Iterable[Field]) -> str:
    """The function's first one. The name of a function's argument is not the same in every kernel."""
    return next(field.name for field in fields if field.place is Place.CONTEXT)


def thread_events() -> dict[str, tuple[str, str, Sequence[Field], Attach, str]]:
    """Program, function, fields, how it is attached, and the condition in which there is nothing else."""
    event = "syscalls:sys_enter_getpgid"
    by_registers = KprobeTrigger("kprobe", "", attach_kprobe).fields(FUNCTION)
    by_a_trampoline = FentryTrigger("fentry", "").fields(FUNCTION)
    return {
        "tracepoint": (
            "ebpfnn_tracepoint_events",
            "",
            TracepointTrigger().fields(event),
            lambda program: attach_tracepoint(program, *event.split(":")),
            f"event_pid == {NOBODY}",
        ),
        "raw tracepoint": (
            "ebpfnn_raw_events",
            "",
            RawTracepointTrigger().fields(RAW),
            lambda program: attach_raw_tracepoint(program, RAW),
            f"id == {GETPGID}",
        ),
        "kprobe": (
            "ebpfnn_probe_events",
            FUNCTION,
            by_registers,
            lambda program: attach_kprobe(program, FUNCTION),
            f"{argument(by_registers)} == {NOBODY}",
        ),
        "fentry": (
            "ebpfnn_fentry_events",
            FUNCTION,
            by_a_trampoline,
            attach_tracing,
            f"{argument(by_a_trampoline)} == {NOBODY}",
        ),
    }


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("kind", ["tracepoint", "raw tracepoint", "kprobe", "fentry"])
def test_events_of_threads(kind: str) -> None:
    """Both observers attached at once, to calls of this thread. They differ in the times that they see."""
    if kind == "kprobe" and lacks_probes("kprobe"):
        pytest.skip("this kernel has no kprobes (CONFIG_KPROBES)")
    if kind == "fentry" and FentryTrigger("fentry", "").supported():
        pytest.skip("this kernel lets nobody load programs of fentry")
    program, function, fields, attach, condition = thread_events()[kind]
    usable = [field for field in fields if not field.refused]
    own = argument(usable)
    columns: list[dict[str, Any]] = [{"name": "n", "reduce": "count"}, {"name": "pid", "reduce": "last", "of": "pid"}]
    columns += [{"name": "own", "reduce": "recent", "of": own, "n": 2, "when": ['comm != "nobody"']}]
    where = [condition, f"pid == {threading.get_native_id()}"]
    spec = build(
        {
            "name": "t",
            "key": ["tgid", own],
            "event": [{"trigger": "tracepoint", "target": "a:b"}],
            "where": where,
            "column": columns,
        }
    )
    bound = bind(spec, {event.name: fields for event in spec.events}, REDUCERS)
    twin = Replay(bound)
    with (
        load("task_events", program, bound, Mode.RECORD, function=function) as records,
        load("task_events", program, bound, Mode.ROWS, function=function) as made,
        RingBuffer(records.maps[abi.ROWS]) as ours,
        RingBuffer(made.maps[abi.ROWS]) as theirs,
    ):
        with attach(records.programs[program]), attach(made.programs[program]):
            calls()
        expected = [twin.observe(0, values) for values in recorded(ours, list(bound.events[0].fields.values()))]
        assert len(expected) == 5
        assert [row[:2] + row[3:] for row in rows(theirs, bound)] == [row[:2] + row[3:] for row in expected if row]
