"""The programs in the kernel that events are run on: event shell, observer and body, linked and loaded; and clang's C."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from .. import abi
from ..built import read_built
from ..compiler import Body
from ..events import Field, Spec, load
from ..events.fields import OBSERVER, bytes_of, fields_of
from ..events.policy import Policy
from ..events.spec import At
from ..kernel import Object
from ..obj import Function, ObjectSpec, link
from ..obj.asm import R0, R1, R3, Assembler
from ..observer import Mode, compile_observer
from ..observer.types import Types
from ..plugin import Trigger
from ..session.guarding import Brakes, Guard
from .event_case import AT_EACH, AT_FIRST, AT_NONE, BOUNDS, Case
from .native import SOURCES

FLOW = "flow-24"
"""The spec that is there in C too: bpf/bench_flow.bpf.c, which is for networks that have :data:`BOUNDS`."""
ADDRESSES = 0x07FFFFFF
"""Of the sources of new keys: below the destination of the packet, and none comes again within 134 ms."""
_PASS = {"xdp": 2, "cgroup_skb": 1}  # what a program returns that lets packets pass, 0 of others
_NOW = 5  # bpf_ktime_get_ns
_FOREVER = (1 << 63) - 1
_CLOCK, _REPLAYING = "flow_clock", "flow_replaying"
_AT = {AT_FIRST: 1, AT_EACH: 2, AT_NONE: 3}  # the enum of bench_flow.bpf.c, 0 for anything else


@dataclass(frozen=True)
class Loading:
    """A linked object, its program, and the maps that have its verdicts and its clock; "" for what it does not have.

    ``enforced`` says that a guard acts; otherwise it is in audit.
    """

    spec: ObjectSpec
    program: str
    verdicts: str = ""
    clock: str = ""
    enforced: bool = False

    def load(self) -> Object:
        """Raises as :meth:`Object.load` does."""
        loaded = Object.load(self.spec)
        if self.enforced:
            Brakes(loaded.maps).enforce(_FOREVER)
        return loaded


def flow() -> Spec:
    """The spec :data:`FLOW`."""
    return load(SOURCES / f"{FLOW}.toml")


def empty(case: Case, clocks: int = 0) -> Loading:
    """A program that lets the packet pass, and before that does nothing but read the clock ``clocks`` times."""
    shell, name = _shell(case.trigger)
    write = Assembler()
    for _ in range(clocks):
        write.call(_NOW)
    write.mov(R0, _PASS.get(case.trigger.name, 0))
    write.exit()
    function = write.function(name, shell.functions[name].type_id)
    return Loading(replace(shell, functions={name: function}, maps={}, variables={}, externs=frozenset()), name)


def fields_alone(case: Case) -> Loading:
    """The event shell, with an observer that returns at once."""
    shell, name = _shell(case.trigger)
    types, write = Types(), Assembler()
    write.mov(R0, 0)
    write.exit()
    observer = ObjectSpec("observer", "GPL", types.btf(), {OBSERVER: write.function(OBSERVER, types.function)})
    return Loading(link(shell, observer), name)


def observing(case: Case, at: At, body: Body, *, mask: int = 0, replaying: bool = False) -> Loading:
    """The event shell, the spec as it is compiled, and ``body``.

    With ``mask``, each event has the key that the bits of ``mask`` in its time give. ``replaying`` sets its clock from outside.
    """
    shell, name = _shell(case.trigger)
    if replaying:
        shell.set_variable(abi.REPLAYING, struct.pack("<I", 1))
    observer = _observer(case, at, body)
    if mask and case.varied is not None:
        time = next(field for field in case.fields[case.spec.events[case.index].name] if field.name == "time")
        observer.functions = {**observer.functions, OBSERVER: _varying(observer.functions[OBSERVER], time, case.varied, mask)}
    return Loading(link(link(shell, observer), body.spec), name, abi.VERDICTS, abi.CLOCK)


def guarding(case: Case, body: Body, guard: Guard, *, enforced: bool) -> Loading:
    """The shell of guards, the spec with the policy, ``body`` and the action. The verdict on a key's first packet is kept.

    Raises :class:`~ebpfnn.errors.NotSupported` for a trigger whose events can only be observed.
    """
    trigger = case.trigger.guard()
    shell, name = _prepared(trigger)
    told = {abi.FIELD_BYTES: bytes_of(fields_of(shell)), abi.EVENT_INDEX: case.index, abi.NETWORK: 0}
    linked = link(link(shell, _observer(case, AT_FIRST, body, guard.policy)), body.spec)
    return Loading(link(linked, guard.acting(trigger, None, told)), name, abi.VERDICTS, abi.CLOCK, enforced)


def behind_shell(case: Case, at: At, body: Body, *, mask: int = 0, replaying: bool = False) -> Loading:
    """The event shell and the spec `flow-24` in C. As :func:`observing`."""
    shell, name = _shell(case.trigger)
    if replaying:
        shell.set_variable(abi.REPLAYING, struct.pack("<I", 1))
    by_hand = _flow(at, body, mask, replaying=replaying)
    by_hand.programs = {}
    return Loading(link(link(shell, by_hand), body.spec), name, "flow_verdicts", abi.CLOCK)


def alone(at: At, body: Body, *, mask: int = 0, replaying: bool = False) -> Loading:
    """The spec `flow-24` in C, which parses of a frame what it needs."""
    by_hand = _flow(at, body, mask, replaying=replaying)
    by_hand.keep_programs("flow_alone")
    return Loading(link(by_hand, body.spec), "flow_alone", "flow_verdicts", _CLOCK)


def to_ring(body: Body, *, replaying: bool = False) -> Loading:
    """Sends each packet to user space, parsed."""
    by_hand = _flow(AT_EACH, body, 0, replaying=replaying)
    by_hand.keep_programs("flow_to_ring")
    return Loading(link(by_hand, body.spec), "flow_to_ring", "", _CLOCK)


def _observer(case: Case, at: At, body: Body, policy: Policy | None = None) -> ObjectSpec:
    return compile_observer(
        case.bound(at),
        case.index,
        Mode.VERDICTS,
        columns=case.columns,
        form=case.network.input,
        classes=len(case.network.labels),
        workspace=body.workspace,
        policy=policy,
    )


def _shell(trigger: Trigger) -> tuple[ObjectSpec, str]:
    """The event shell with its program alone."""
    return _prepared(trigger.observer())


def _prepared(trigger: Trigger) -> tuple[ObjectSpec, str]:
    shell, name = ObjectSpec.from_file(trigger.object_path()), trigger.program()
    shell.keep_programs(name)
    for variable, value in trigger.variables().items():
        shell.set_variable(variable, value)
    trigger.prepare(shell, None)
    return shell, name


def _flow(at: At, body: Body, mask: int, *, replaying: bool) -> ObjectSpec:
    found = read_built("bench_flow")
    by_hand = replace(found, programs=dict(found.programs), maps=dict(found.maps))
    memory = by_hand.maps["flow_memory"]
    by_hand.resize_map("flow_memory", value_size=abi.padded(memory.value_size + body.workspace))
    numbers = {"flow_at": _AT.get(at, 0), "flow_varied": mask, _REPLAYING: int(replaying)}
    for name, value in numbers.items():
        by_hand.set_variable(name, struct.pack("<I", value))
    bounds = struct.pack(f"<{len(BOUNDS)}Q", *BOUNDS)
    by_hand.set_variable("flow_bounds", bounds * (by_hand.variables["flow_bounds"].size // len(bounds)))
    return by_hand


def _varying(function: Function, time: Field, varied: Field, mask: int) -> Function:
    """``function``, which first writes some bits of the time into the field ``varied``."""
    write = Assembler()
    write.load(R3, "u64", R1, time.offset)
    write.alu(R3, "&=", mask)
    write.store(f"u{8 * varied.size}", R1, varied.offset, R3)
    prefix, count = write.function(function.name).code, len(write)
    relocations = tuple(replace(each, index=each.index + count) for each in function.relocations)
    lines = (function.lines[0], *(replace(each, index=each.index + count) for each in function.lines[1:]))
    return replace(function, code=prefix + function.code, relocations=relocations, lines=lines)
