"""What each action makes of a packet, behind each shell that can act: what the program returns, and what it writes."""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from acting import CODES, DIRECTIONS, SYN, Build, acting, behind, only, returned, tcp, udp
from eventframes import ethernet
from netspace import pair

from ebpfnn import abi
from ebpfnn.errors import KernelError, UsageError
from ebpfnn.events.fields import fields_of
from ebpfnn.events.written import written
from ebpfnn.kernel import Program, RingBuffer
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Action, Plugins, Trigger, configured, why_not

pytestmark = pytest.mark.root
MARK_AT, PRIORITY_AT, CONTEXT = 8, 32, 192
"""Of struct __sk_buff (include/uapi/linux/bpf.h)."""
XDP_REDIRECT = 4


def guarded(name: str, **options: str) -> Trigger:
    found = Plugins.installed().triggers[name]
    if lack := why_not(found):
        pytest.skip(lack)
    return configured(found.guard(), options)


def action(written_as: str) -> Action:
    return Plugins.installed().action(written_as)


@pytest.fixture(params=DIRECTIONS, ids=lambda given: "-".join([given[0], *given[1].values()]))
def trigger(request: pytest.FixtureRequest) -> Trigger:
    name, options = request.param
    return guarded(name, **options)


@pytest.mark.parametrize("name", ["pass", "event", "event:1"])
def test_what_goes_on_is_what_it_was(build_spec: Build, trigger: Trigger, name: str) -> None:
    _, passed = CODES[trigger.name]
    with acting(build_spec, trigger, action(name)) as loaded:
        for frame in (udp(), tcp(SYN), udp(81)):
            ran = only(loaded).run(data=frame)
            assert returned(only(loaded), frame) == passed
            begin = 14 if trigger.name == "cgroup_skb" else 0  # there the kernel's test run leaves no link header
            assert ran.data[begin:] == frame[begin:]


def numbers(program: Program, frame: bytes, mark: int = 0, priority: int = 0) -> tuple[int, int, int]:
    """What is returned for a packet that came with these numbers, and the numbers that it goes on with."""
    given = bytearray(CONTEXT)
    struct.pack_into("<I", given, MARK_AT, mark)
    struct.pack_into("<I", given, PRIORITY_AT, priority)
    ran = program.run(data=frame, context=bytes(given))
    code = ran.return_value - (ran.return_value >> 31 << 32)
    return code, *(struct.unpack_from("<I", ran.context, at)[0] for at in (MARK_AT, PRIORITY_AT))


@pytest.mark.parametrize(
    ("written_as", "mark", "priority"),
    [
        ("mark:7", 7, 5),
        ("mark:0xffffffff", 0xFFFFFFFF, 5),
        ("mark:0", 0, 5),
        ("mark:0x10/0xff", 0xABCDEF10, 5),
        ("mark:0/0xffff0000", 0xEF01, 5),
        ("mark:0x80000000/0x80000000", 0xABCDEF01, 5),
        ("priority:6", 0xABCDEF01, 6),
        ("priority:1:10", 0xABCDEF01, 0x10010),
        ("priority:0", 0xABCDEF01, 0),
    ],
)
@pytest.mark.parametrize("name", ["tc", "cgroup_skb"])
def test_numbers_are_written_and_the_packet_goes_on(
    build_spec: Build, name: str, written_as: str, mark: int, priority: int
) -> None:
    with acting(build_spec, guarded(name, direction="egress"), action(written_as)) as loaded:
        passed, before = CODES[name][1], (0xABCDEF01, 5)
        assert numbers(only(loaded), udp(), *before) == (passed, mark, priority)
        assert numbers(only(loaded), udp(81), *before) == (passed, *before)


def test_refusing_is_zero_for_every_packet(build_spec: Build) -> None:
    with acting(build_spec, guarded("cgroup_skb", direction="egress"), action("reject")) as loaded:
        for flags in range(0, 64, 5):
            assert returned(only(loaded), tcp(flags)) == 0
        assert returned(only(loaded), udp()) == 0
        assert returned(only(loaded), udp(81)) == 1


def test_xdp_redirects_only_to_what_is_there(build_spec: Build) -> None:
    with pair(), acting(build_spec, guarded("xdp"), action("redirect:lo")) as loaded:
        assert returned(only(loaded), udp()) == XDP_REDIRECT
        assert returned(only(loaded), udp(81)) == CODES["xdp"][1]

    class Gone(Action):
        object_path = action("redirect:lo").object_path

        def variables(self, trigger: str, target: str | None) -> dict[str, bytes]:
            return {"ebpfnn_redirected": struct.pack("<I", 0x7FFFFFF0)}

    with acting(build_spec, guarded("xdp"), Gone()) as loaded:
        assert returned(only(loaded), udp()) == CODES["xdp"][1]


@pytest.mark.parametrize(
    ("written_as", "name", "options", "kind", "fact"),
    [
        ("redirect:here", "tc", {}, UsageError, "the packets of interface 'here' would come back to it; give another"),
        ("redirect:hero", "tc", {}, KernelError, "interface 'hero' not found in this network namespace; did you mean 'here'?"),
        ("redirect:lo", "xdp", {"mode": "native"}, UsageError, "give --option mode=generic, or --trigger tc"),
        ("reject", "cgroup_skb", {"direction": "ingress"}, UsageError, "give --option direction=egress, or use action 'drop'"),
    ],
)
def test_what_is_refused(written_as: str, name: str, options: dict[str, str], kind: type[Exception], fact: str) -> None:
    with pair(), pytest.raises(kind) as refused:
        action(written_as).check(guarded(name, **options), "here")
    assert fact in str(refused.value)


def test_an_alert_has_the_fields_of_the_shell(build_spec: Build, trigger: Trigger) -> None:
    shell = ObjectSpec.from_file(trigger.object_path())
    with acting(build_spec, trigger, action("event")) as loaded, RingBuffer(loaded.maps[abi.ALERTS]) as ring:
        for frame in (udp(), udp(81), tcp(SYN), ethernet(0x0806, bytes(46))):
            only(loaded).run(data=frame)
        alerts = list(ring.consume())
        told = np.frombuffer(alerts[0], abi.ALERT, 1)[0]
        assert [int(told[name]) for name in ("event", "label", "network")] == [5, 3, 7]
        fields = [written(fields_of(shell), each[abi.ALERT.itemsize :]) for each in alerts]
        assert [(each["protocol"], each["destination_port"], each["tcp_flags"]) for each in fields] == [(17, 80, 0), (6, 80, 2)]
        assert len(alerts[0]) == abi.ALERT.itemsize + int(told["bytes"])
        assert fields[0]["source"].count(".") == 3  # type: ignore[union-attr]


THREADS = """
#include <ebpfnn/fields_current.h>
#include <ebpfnn/guard.h>
SEC("raw_tracepoint") int shell(void *context)
{
	struct ebpfnn_observed *own = ebpfnn_enter();
	int code;

	if (!own)
		return 0;
	ebpfnn_extract_task(&own->fields);
	code = ebpfnn_guard(&own->fields, context, 0);
	ebpfnn_leave(own);
	return code;
}
"""
EVERY = """
#include <ebpfnn/fields_task.h>
int ebpfnn_observe(struct ebpfnn_fields *fields, void *context) { return (1 << 16) + 1; }
"""


def test_an_alert_of_a_thread_has_the_fields_of_threads(build_spec: Build) -> None:
    shell = build_spec(THREADS, "shell")
    with (
        behind(shell, build_spec(EVERY, "observer"), action("event"), "raw_tracepoint") as loaded,
        RingBuffer(loaded.maps[abi.ALERTS]) as ring,
    ):
        assert only(loaded).run(context=bytes(16)).return_value == 0
        [alert] = ring.consume()
    fields = written(fields_of(shell), alert[abi.ALERT.itemsize :])
    assert (fields["tgid"], fields["pid"], fields["uid"]) == (os.getpid(), threading.get_native_id(), os.getuid())
    assert fields["comm"] == Path("/proc/self/comm").read_text().strip()


def test_more_alerts_than_the_rate_are_suppressed_and_those_without_room_are_lost(build_spec: Build) -> None:
    with acting(build_spec, guarded("tc"), action("event:3")) as loaded, RingBuffer(loaded.maps[abi.ALERTS]) as ring:
        only(loaded).run(data=udp(), repeat=1000)
        told = counted(loaded.maps[abi.ALERTED])
        assert 3 <= told["told"] == len(list(ring.consume())) <= 6  # within one second, or in two
        assert (told["suppressed"], told["lost"]) == (1000 - told["told"], 0)
        own = loaded.maps[abi.ALERTED].lookup_percpu(bytes(4), np.uint64)
        assert own is not None
        early = own.copy()
        early[:, :2] = 1, 3  # an early second, in which all were told
        loaded.maps[abi.ALERTED].update_percpu(bytes(4), early)
        assert returned(only(loaded), udp()) == -1
        assert counted(loaded.maps[abi.ALERTED])["told"] == told["told"] + 1
    with acting(build_spec, guarded("tc"), action("event:1000000")) as loaded:
        assert returned(only(loaded), udp()) == -1
        only(loaded).run(data=udp(), repeat=5000)
        told = counted(loaded.maps[abi.ALERTED])
        assert told["told"] > 1000
        assert (told["suppressed"], told["lost"]) == (0, 5001 - told["told"])
        assert told["lost"] > 1000
        assert returned(only(loaded), udp()) == -1  # the ring is full, and packets pass
        with RingBuffer(loaded.maps[abi.ALERTS]) as ring:
            assert len(list(ring.consume())) == told["told"]
            assert returned(only(loaded), udp()) == -1
            assert len(list(ring.consume())) == 1


def counted(held: object) -> dict[str, int]:
    found = held.lookup_percpu(bytes(4), abi.TOLD)  # type: ignore[attr-defined]
    return {name: int(found[name].sum()) for name in ("told", "suppressed", "lost")}
