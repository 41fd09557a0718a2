"""The action ``drop`` behind each shell that can act: what the program returns for a packet."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from eventframes import ethernet, ipv4

from ebpfnn.kernel import Object, Program
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.plugin import Plugins, Trigger, configured, why_not

pytestmark = pytest.mark.root
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
DIRECTIONS = [("xdp", {}), *[(name, {"direction": way}) for name in ("tc", "cgroup_skb") for way in ("ingress", "egress")]]
FIN, SYN, RST, ACK = 1, 2, 4, 16


def tcp(flags: int, port: int = 80) -> bytes:
    header = struct.pack("!HHIIBBHHH", 4000, port, 1, 1, 5 << 4, flags, 64240, 0, 0)
    return ethernet(0x0800, ipv4(6, header + bytes(40)))


def udp(port: int = 80) -> bytes:
    return ethernet(0x0800, ipv4(17, struct.pack("!HHHH", 4000, port, 48, 0) + bytes(40)))


@contextmanager
def acting(build: Build, trigger: Trigger) -> Iterator[Program]:
    action = Plugins.installed().action("drop")
    shell, drop = ObjectSpec.from_file(trigger.object_path()), ObjectSpec.from_file(action.object_path(trigger.name))
    shell.keep_programs(trigger.program())
    for name, value in action.variables(trigger.name, None).items():
        drop.set_variable(name, value)
    with Object.load(link(link(shell, build(OBSERVER, "observer")), drop)) as loaded:
        yield loaded.programs[trigger.program()]


@pytest.fixture(params=DIRECTIONS, ids=lambda given: "-".join([given[0], *given[1].values()]))
def trigger(request: pytest.FixtureRequest) -> Trigger:
    name, options = request.param
    found = Plugins.installed().triggers[name]
    if lack := why_not(found):
        pytest.skip(lack)
    return configured(found.guard(), options)


def returned(program: Program, frame: bytes) -> int:
    value = program.run(data=frame).return_value
    return value - (1 << 32) if value >> 31 else value


def test_what_is_to_be_acted_on_is_dropped_and_nothing_else(build_spec: Build, trigger: Trigger) -> None:
    dropped, passed = CODES[trigger.name]
    with acting(build_spec, trigger) as program:
        for frame in (udp(), tcp(SYN), tcp(ACK), tcp(0), tcp(255 - FIN - RST)):
            assert returned(program, frame) == dropped
        for frame in (udp(81), tcp(SYN, 81), ethernet(0x0806, bytes(46))):
            assert returned(program, frame) == passed


def test_the_end_of_a_connection_passes_but_no_flood_of_ends(build_spec: Build, trigger: Trigger) -> None:
    dropped, passed = CODES[trigger.name]
    with acting(build_spec, trigger) as program:
        found = [returned(program, tcp(flags)) for flags in (FIN, RST, FIN | ACK, RST | ACK)]
        assert found == [passed] * 4
        begun = time.monotonic()
        flood = [returned(program, tcp(FIN)) for _ in range(1000)]
        assert set(flood) == {dropped, passed}
        assert flood.count(passed) <= 100 * (2 + int(time.monotonic() - begun))
        assert returned(program, tcp(FIN, 81)) == passed
