"""Observers behind every trigger in threads, attached: each row is that of the twin, and a network has a verdict of it."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pytest
from networks import dense, network
from rigs import REDUCERS
from test_observer_shells import argument, rows

from ebpfnn import abi
from ebpfnn.events import Bound, Field, Replay, bind, build
from ebpfnn.kernel import Object
from ebpfnn.kernel.ring.ringbuf import RingBuffer
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.observer import Mode, compile_observer
from ebpfnn.plugin import Attachment, Plugins, Trigger, why_not
from ebpfnn.preparation.columns import read
from ebpfnn.session.compiling import compile_here

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
NOBODY = 4_000_001  # a process id that none has: the event comes, and the call changes nothing
FUNCTION = "find_task_by_vpid"  # struct task_struct *find_task_by_vpid(pid_t), which getpgid(2) calls
ARGUMENT = ""  # whose name is not the same in every kernel
EVENTS: dict[str, tuple[str | None, str | None, int]] = {
    "tracepoint": ("syscalls:sys_enter_getpgid", "event_pid", NOBODY),
    "raw_tracepoint": ("sys_exit", "ret", 0),
    "kprobe": (FUNCTION, ARGUMENT, NOBODY),
    "kretprobe": (FUNCTION, "returned", 0),
    "fentry": (FUNCTION, ARGUMENT, NOBODY),
    "fexit": (FUNCTION, "returned", 0),
    "uprobe": (None, None, 0),
    "perf": ("cpu-clock:500", None, 0),
}
"""By trigger: the target; a field of the event's own; and its value, as columns have it, at the call for nobody."""
CALLS = 5


@contextmanager
def attached(trigger: Trigger, bound: Bound, mode: Mode, body: ObjectSpec | None = None, **options: Any) -> Iterator[Object]:
    """An observer behind the trigger's event shell. It has observed :data:`CALLS` events at least when this goes on."""
    target = bound.spec.events[0].target or None
    shell = ObjectSpec.from_file(trigger.object_path())
    shell.keep_programs(trigger.program())
    trigger.prepare(shell, target)
    linked = link(shell, compile_observer(bound, 0, mode, **options))
    with Object.load(link(linked, body) if body else linked) as loaded:
        with trigger.attach(loaded, target) as attachment:
            cause(loaded, attachment)
        yield loaded


def cause(loaded: Object, attachment: Attachment) -> None:
    until = time.monotonic() + 20
    while observed(loaded) < CALLS and time.monotonic() < until:
        with suppress(ProcessLookupError):
            os.getpgid(NOBODY)
        attachment.fire(0)


def observed(loaded: Object) -> int:
    counts = loaded.maps[abi.COUNTS].lookup_percpu(bytes(4), np.uint64)
    assert counts is not None
    return int(counts[:, abi.COUNTED.index("observed")].sum())


def bound_to(name: str, trigger: Trigger) -> Bound:
    """Every field that can be used in a column, some of it by conditions. The event's own field is a part of the key."""
    target, _, value = EVENTS[name]
    fields = trigger.fields(target)
    own = own_field(name, fields)
    usable = [field.name for field in fields if not field.refused]
    columns: list[dict[str, Any]] = [{"name": f"last-{each}", "reduce": "last", "of": each} for each in usable]
    columns += [{"name": "count", "reduce": "count"}, {"name": "named", "reduce": "count", "when": ['comm != "nobody"']}]
    columns += [{"name": each, "reduce": "recent", "of": each, "n": 2} for each in ("number", "gap", "age")]
    if own:
        columns.append({"name": "nobody", "reduce": "count", "when": [f"{own} <= {value}"]})
    event = {"trigger": name} | ({"target": target} if target else {})
    key = ["tgid", "pid", *([own] if own else [])]
    where = [f"pid == {threading.get_native_id()}", 'comm != "nobody"']
    spec = build({"name": "t", "key": key, "event": [event], "where": where, "column": columns})
    return bind(spec, {each.name: fields for each in spec.events}, REDUCERS)


def own_field(name: str, fields: Iterable[Field]) -> str | None:
    own = EVENTS[name][1]
    return argument(fields) if own == ARGUMENT else own


def ready(name: str) -> tuple[Trigger, Bound]:
    trigger = Plugins.installed().trigger(name).observer()
    reason = why_not(trigger)
    if reason:
        pytest.skip(reason)
    return trigger, bound_to(name, trigger)


@pytest.mark.parametrize("name", EVENTS)
def test_rows_are_those_of_the_twin(name: str) -> None:
    """The rows themselves tell the events that the twin is given. The event's own field has the value that the test knows."""
    trigger, bound = ready(name)
    with attached(trigger, bound, Mode.ROWS) as loaded, RingBuffer(loaded.maps[abi.ROWS]) as ring:
        found = rows(ring, bound)
    twin, own, value = Replay(bound), own_field(name, bound.events[0].fields.values()), EVENTS[name][2]
    events = [given(bound, row.results, row.key) for row in found]
    assert len(found) >= CALLS
    assert [twin.observe(0, event) for event in events] == found
    assert {event["tgid"] for event in events} == {os.getpid()}
    assert own is None or value in [event[own] for event in events]


def given(bound: Bound, results: Sequence[int], key: bytes) -> Mapping[str, int]:
    """The fields of the event of a row. In a column a negative one is 0, so that one comes from the key."""
    last = dict(zip(bound.names, results, strict=True))
    values = {name: last[f"last-{name}"] for name in bound.events[0].fields if f"last-{name}" in last}
    at = 0
    for field in bound.events[0].key:
        values[field.name] = int.from_bytes(key[at : at + field.size], "little", signed=field.signed)
        at += field.size
    return values


@pytest.mark.parametrize("name", EVENTS)
def test_a_network_has_verdicts(name: str) -> None:
    """Its classes are the numbers of events: of the latest verdict on a key the label is the number, to the last one."""
    trigger, bound = ready(name)
    bounds = list(range(1, 10))
    columns = read({"columns": [{"name": "count", "type": "integer", "encode": "bins", "bounds": bounds}]})
    # Class c scores (2 x - c) c, which is highest for c = x.
    net = network([dense(np.array([[2 * c] for c in range(10)]), np.array([-c * c for c in range(10)]))])
    body = compile_here(net)
    sizes = {"classes": 10, "workspace": body.workspace, "form": net.input, "columns": columns}
    with attached(trigger, bound, Mode.VERDICTS, body.spec, **sizes) as loaded:
        found = [np.frombuffer(value, abi.VERDICT)[0] for _, value in loaded.maps[abi.VERDICTS].items()]
        states = [struct.unpack_from("<I", value, 24)[0] for _, value in loaded.maps[abi.STATES].items()]
    assert found
    assert sum(states) >= CALLS
    assert sorted(int(each["label"]) for each in found) == sorted(min(number, 9) + 1 for number in states)
    assert sorted(int(each["number"]) for each in found) == sorted(states)
