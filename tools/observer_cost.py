#!/usr/bin/env python3
"""Times the spec "flow" behind xdp by BPF_PROG_RUN, as root: ns a packet above an empty program, least and median of rounds.

The cases run in turn in every round, so that what else the machine does hits all of them.
"""

from __future__ import annotations

import statistics
import struct
import sys
from contextlib import ExitStack
from dataclasses import replace

from ebpfnn_plugins.reducers import ALL

from ebpfnn.built import object_path
from ebpfnn.events import fields_of
from ebpfnn.events.bind import bind
from ebpfnn.events.spec import At, Spec
from ebpfnn.events.specfile import find
from ebpfnn.kernel import Object, Program
from ebpfnn.obj import ObjectSpec, ProgramSpec, ProgramType, link
from ebpfnn.obj.asm import R0, R2, Assembler
from ebpfnn.observer import Mode, compile_observer
from ebpfnn.preparation.columns import read

PASS, REPEAT = 2, 20_000
SHELL, PROGRAM = "xdp_events", "ebpfnn_xdp_events"
FRAME = (
    b"\2" * 6 + b"\4" * 6 + b"\x08\0"
    + struct.pack(">BBHHHBBH4s4s", 0x45, 0, 140, 1, 0, 64, 6, 0, b"\x0a\0\0\1", b"\x0a\0\0\2")
    + struct.pack(">HHIIBBHHH", 50123, 443, 1, 1, 0x50, 0x10, 512, 0, 0)
    + bytes(100)
)  # fmt: skip


def body() -> ObjectSpec:
    """A network that does nothing: label 0, two scores."""
    emit = Assembler()
    for offset in (20, 24, 28):
        emit.store("u32", R2, offset, 0)
    emit.mov(R0, 0)
    emit.exit()
    return ObjectSpec("body", "GPL", functions={"ebpfnn_infer": emit.function("ebpfnn_infer")})


def empty() -> ObjectSpec:
    emit = Assembler()
    emit.mov(R0, PASS)
    emit.exit()
    program = ProgramSpec(PROGRAM, "xdp", ProgramType.XDP)
    return ObjectSpec("empty", "GPL", functions={PROGRAM: emit.function(PROGRAM)}, programs={PROGRAM: program})


def unobserved() -> ObjectSpec:
    """The shell, behind which nothing happens."""
    emit = Assembler()
    emit.mov(R0, 0)
    emit.exit()
    return ObjectSpec("nobody", "GPL", functions={"ebpfnn_observe": emit.function("ebpfnn_observe")})


def observer(spec: Spec, mode: Mode = Mode.VERDICTS) -> ObjectSpec:
    shell = ObjectSpec.from_file(object_path(SHELL))
    bound = bind(spec, {event.name: fields_of(shell) for event in spec.events}, {each.name: each for each in ALL})
    described = [
        {"name": name, "type": "integer", "encode": "log2", "low": 1, "high": 1 << 31, "fraction": 3} for name in bound.names
    ]
    columns = read({"columns": described})
    compiled = compile_observer(bound, 0, mode, columns=columns, classes=2)
    return link(shell, compiled) if mode is not Mode.VERDICTS else link(link(shell, compiled), body())


def duration(program: Program) -> float:
    return program.run(data=FRAME, repeat=REPEAT).duration


def main(rounds: int) -> None:
    flow = find("flow")
    never, always = replace(flow, at=At(count=(4, 8, 16, 32))), replace(flow, at=At())
    bare = replace(flow, columns=flow.columns[:1], at=At(count=(1,)), end=())
    specs = {
        "empty": empty(),
        "shell alone": link(ObjectSpec.from_file(object_path(SHELL)), unobserved()),
        "one column, cached": observer(bare),
        "flow, cached": observer(flow),
        "flow, cached, no end or flags": observer(replace(never, end=())),
        "flow, infers": observer(always),
    }
    with ExitStack() as held:
        programs = {name: held.enter_context(Object.load(spec)).programs[PROGRAM] for name, spec in specs.items()}
        found: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(rounds):
            for name, program in programs.items():
                found[name].append(duration(program))
        base = found["empty"]
        for name, each in found.items():
            above = [one - other for one, other in zip(each, base, strict=True)]
            least = min(each) - min(base)
            verified = programs[name].info().verified_insns
            print(
                f"{name:32} least {min(each):4.0f} median {statistics.median(each):4.0f}  above empty: least {least:4.0f}"
                f" median {statistics.median(above):4.0f} ns; verified {verified}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
