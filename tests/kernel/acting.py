"""Actions behind the shells that can act, without an interface."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from eventframes import ethernet, ipv4

from ebpfnn import abi
from ebpfnn.events.fields import bytes_of, fields_of
from ebpfnn.kernel import Object, Program
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.plugin import Action, Trigger

Build = Callable[..., ObjectSpec]
OBSERVER = """
#include <ebpfnn/fields_packet.h>
int ebpfnn_observe(struct ebpfnn_fields *fields, void *context)
{
	return fields->destination_port == 80 ? (1 << 16) + 3 : 3;
}
"""
"""What goes to port 80 is acted on."""
CODES = {"xdp": (1, 2), "tc": (2, -1), "cgroup_skb": (0, 1)}
"""What drops and what passes a packet, as the kernel has it."""
DIRECTIONS = [("xdp", {}), *[(name, {"direction": way}) for name in ("tc", "cgroup_skb") for way in ("ingress", "egress")]]
FIN, SYN, RST, ACK = 1, 2, 4, 16


def tcp(flags: int, port: int = 80) -> bytes:
    header = struct.pack("!HHIIBBHHH", 4000, port, 1, 1, 5 << 4, flags, 64240, 0, 0)
    return ethernet(0x0800, ipv4(6, header + bytes(40)))


def udp(port: int = 80) -> bytes:
    return ethernet(0x0800, ipv4(17, struct.pack("!HHHH", 4000, port, 48, 0) + bytes(40)))


@contextmanager
def acting(build: Build, trigger: Trigger, action: Action) -> Iterator[Object]:
    """The shell of a guard, ``trigger``, with the observer above and ``action``. It has one program."""
    shell = ObjectSpec.from_file(trigger.object_path())
    shell.keep_programs(trigger.program())
    with behind(shell, build(OBSERVER, "observer"), action, trigger.name) as loaded:
        yield loaded


@contextmanager
def behind(shell: ObjectSpec, observer: ObjectSpec, action: Action, trigger: str) -> Iterator[Object]:
    """``action`` behind ``shell`` with ``observer``, loaded. The event is the sixth of its spec, after seven swaps."""
    own = ObjectSpec.from_file(action.object_path(trigger))
    told = {abi.FIELD_BYTES: bytes_of(fields_of(shell)), abi.EVENT_INDEX: 5, abi.NETWORK: 7}
    for name, value in action.variables(trigger, None).items():
        own.set_variable(name, value)
    for name, number in told.items():
        if name in own.variables:
            own.set_variable(name, struct.pack("<I", number))
    with Object.load(link(link(shell, observer), own)) as loaded:
        yield loaded


def only(loaded: Object) -> Program:
    """The program of what is loaded."""
    [program] = loaded.programs.values()
    return program


def returned(program: Program, frame: bytes) -> int:
    value = program.run(data=frame).return_value
    return value - (1 << 32) if value >> 31 else value
