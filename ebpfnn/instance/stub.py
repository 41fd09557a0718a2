"""The stub: the program that is attached, which calls one of two networks by a tail call.

A network is replaced by one write to a map, under any attachment. Perf events and raw tracepoints do not let a program be
replaced in place (perf_event_set_bpf_prog, Linux 6.18).
"""

from __future__ import annotations

import struct

from ..kernel import Map, Object, Program
from ..obj import Function, MapSpec, ObjectSpec, ProgramSpec, ProgramType
from ..obj.asm import R0, R1, R2, R3, R6, Assembler
from ..obj.uapi import MMAPABLE, MapType
from ..plugin import Trigger

CHOOSER, NETWORKS = "chooser", "networks"
"""The stub's maps: the number of swaps, whose lowest bit selects the network that answers; and the two networks."""
_ONLY = struct.pack("<I", 0)
_TAIL_CALL = 12  # bpf_tail_call
# The return values that let an event go on as if there were no program, if they are not 0: XDP_PASS, TC_ACT_UNSPEC, and
# for cgroups, sockets and netfilter "let it pass" (include/uapi/linux/bpf.h; a socket filter's is how many bytes to keep).
_VERDICTS = {
    ProgramType.XDP: 2,
    ProgramType.SCHED_CLS: -1,
    ProgramType.SCHED_ACT: -1,
    ProgramType.SOCKET_FILTER: 0x7FFFFFFF,
    ProgramType.CGROUP_SKB: 1,
    ProgramType.CGROUP_SOCK: 1,
    ProgramType.CGROUP_SOCK_ADDR: 1,
    ProgramType.CGROUP_DEVICE: 1,
    ProgramType.CGROUP_SYSCTL: 1,
    ProgramType.CGROUP_SOCKOPT: 1,
    ProgramType.SK_SKB: 1,
    ProgramType.SK_MSG: 1,
    ProgramType.SK_LOOKUP: 1,
    ProgramType.NETFILTER: 1,
}


def load_stub(trigger: Trigger, target: str | None, network: Program, chooser: Map | None = None) -> Object:
    """A program that calls ``network``, with the name, type and attach point of the program in ``trigger``'s shell.

    ``chooser`` is that of another stub, which a swap changes together with this one; None makes one.

    Raises what :meth:`~ebpfnn.kernel.Object.load` and the trigger's ``prepare`` raise.
    """
    loaded = Object.load(_stub(trigger, target), maps={CHOOSER: chooser} if chooser else {})
    try:
        put_network(loaded.maps[NETWORKS], 0, network)
    except BaseException:
        loaded.close()
        raise
    return loaded


def put_network(networks: Map, index: int, network: Program) -> None:
    """Makes ``network`` the network that is called for ``index``."""
    networks.update(struct.pack("<I", index), network)


def set_swaps(chooser: Map, count: int) -> None:
    chooser.update(_ONLY, struct.pack("<I", count & 0xFFFFFFFF))


def _stub(trigger: Trigger, target: str | None) -> ObjectSpec:
    shell = ObjectSpec.from_file(trigger.object_path())
    shell.keep_programs(trigger.program())
    trigger.prepare(shell, target)
    program = shell.programs[trigger.program()]
    spec = ObjectSpec("stub", license="GPL", programs={program.name: program})
    spec.functions[program.name] = _code(program)
    spec.maps[CHOOSER] = MapSpec(CHOOSER, MapType.ARRAY, 4, 4, 1, flags=MMAPABLE)
    spec.maps[NETWORKS] = MapSpec(NETWORKS, MapType.PROG_ARRAY, 4, 4, 2)
    return spec


def _code(program: ProgramSpec) -> Function:
    emit = Assembler()
    emit.mov(R6, R1)
    emit.map_value(R1, CHOOSER)
    emit.load(R3, "u32", R1)
    emit.alu32(R3, "&=", 1)
    emit.mov(R1, R6)
    emit.map(R2, NETWORKS)
    emit.call(_TAIL_CALL)
    emit.mov(R0, _VERDICTS.get(ProgramType(program.type), 0))
    emit.exit()
    return emit.function(program.name)
