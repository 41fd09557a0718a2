"""A stub: a program in the place of a trigger's, which calls it by a tail call, as what keeps a network in the kernel does."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from ebpfnn.kernel import Object
from ebpfnn.obj import Function, MapSpec, MapType, ObjectSpec, Relocation, RelocationKind
from ebpfnn.obj.asm import R0, R1, R2, R3, R6, Assembler
from ebpfnn.plugin import Trigger

_TAIL_CALL = 12
CHOOSER, NETWORKS = "chooser", "networks"


@contextmanager
def stub_of(trigger: Trigger, target: str | None, shells: tuple[Object, ...]) -> Iterator[Object]:
    """What calls the program of the one of ``shells`` that the map ``chooser`` names."""
    shell = ObjectSpec.from_file(trigger.object_path())
    shell.keep_programs(trigger.program())
    trigger.prepare(shell, target)
    program = shell.programs[trigger.program()]
    spec = ObjectSpec("stub", license="GPL", programs={program.name: program}, functions={program.name: _code(program.name)})
    spec.maps[CHOOSER] = MapSpec(CHOOSER, MapType.ARRAY, 4, 4, 1)
    spec.maps[NETWORKS] = MapSpec(NETWORKS, MapType.PROG_ARRAY, 4, 4, len(shells))
    with Object.load(spec) as stub:
        for index, each in enumerate(shells):
            stub.maps[NETWORKS].update(struct.pack("<I", index), each.programs[program.name])
        yield stub


def _code(name: str) -> Function:
    emit = Assembler()
    emit.mov(R6, R1)
    emit.map_value(R1, CHOOSER)
    emit.load(R3, "u32", R1)
    emit.mov(R1, R6)
    networks = Relocation(len(emit), RelocationKind.MAP, NETWORKS)
    emit.wide(R2, 0)
    emit.call(_TAIL_CALL)
    emit.mov(R0, 0)
    emit.exit()
    function = emit.function(name)
    return Function(name, function.code, (*function.relocations, networks), lines=function.lines)
