"""Each action on real traffic, as the command line loads it: audited, enforced, paused, swapped, unloaded."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cgroups import cgroup
from click.testing import CliRunner
from flooding import FOREVER, POLICY, PORT, Senders, network
from instances import names
from netspace import inside, pair, run
from test_guard_instances import CALIBRATION

from ebpfnn import Instance, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import KernelError, NotSupported
from ebpfnn.instance import Store
from ebpfnn.kernel import Object, attach_tcx
from ebpfnn.network import QuantizedNetwork
from ebpfnn.obj import ObjectSpec
from ebpfnn.session.guarding import Guard

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
BEHIND = """
unsigned int mark, priority;
SEC("tc") int behind(struct __sk_buff *packet)
{
	if (packet->protocol != 8) /* IPv4, as it lies: neighbors are asked for at any time */
		return TC_ACT_UNSPEC;
	mark = packet->mark;
	priority = packet->priority;
	return TC_ACT_UNSPEC;
}
"""
"""What a program that runs after the guard sees of a packet."""
GATE = """
import os, socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("ready", flush=True)
for size in map(int, sys.stdin):
    try:
        sender.sendto(bytes(size), ("10.77.0.2", 5790))
        print("sent", flush=True)
    except OSError as refused:
        print(refused.strerror, flush=True)
"""


@pytest.fixture
def senders() -> Iterator[Senders]:
    """With a second pair, ``side`` and ``far``, whose ``side`` is where ``here`` is."""
    with pair() as (here, there):
        run("ip", "link", "add", "side", "type", "veth", "peer", "name", "far", "netns", there.rpartition("/")[2])
        run("ip", "link", "set", "side", "up")
        run("ip", "-n", there.rpartition("/")[2], "link", "set", "far", "up")
        made = Senders(here, there)
        yield made
        made.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "guard.safetensors"
    modelfile.save(replace(network("tc"), calibration=CALIBRATION), path)
    return path


class Far:
    """Counts the datagrams of the tests that arrive at ``far``, as frames: nobody there has their address."""

    def __init__(self) -> None:
        there = f"/run/netns/test-{os.getpid()}-other"
        with inside(there):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.bind(("far", 0x0800))
        self.socket.setblocking(False)

    def arrived(self) -> int:
        count = 0
        while True:
            try:
                frame = self.socket.recv(2048)
            except BlockingIOError:
                return count
            count += frame[23] == 17 and frame[36:38] == PORT.to_bytes(2, "big")

    def __enter__(self) -> Far:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()


def loaded(action: str, trigger: str = "tc", target: str = "here", **options: str) -> Instance:
    """A guard that enforces ``action``."""
    plugins = Plugins.installed()
    instance = Instance.load(
        calibrated(trigger),
        plugins.trigger(trigger),
        target,
        name="guard",
        options=options,
        guard=Guard(replace(POLICY, after=1), plugins.action(action)),
    )
    with instance.brakes() as brakes:
        brakes.enforce(FOREVER)
    return instance


def calibrated(trigger: str) -> QuantizedNetwork:
    return replace(network(trigger, "generic" if trigger == "xdp" else ""), calibration=CALIBRATION)


def test_a_model_that_always_says_attack_lets_traffic_flow(store: Store, senders: Senders, model: Path) -> None:
    for action in ("pass", "event"):
        policy = ("--action", action, "--after", "1", "--most", "1", "--enforce")
        ran = CliRunner().invoke(main, ["load", str(model), "--target", "here", *policy])
        assert ran.exit_code == 0, ran.output
        assert f"is a guard: {action}, enforcing" in ran.stdout
        assert senders.send(0, *[500] * 20) == 20
        Instance.open("guard").swap(calibrated("tc"))
        assert senders.send(1, *[500] * 20) == 20
        with Instance.open("guard").brakes() as brakes:
            assert brakes.counts(("benign", "flood"))["flood"]["acted"] == 40
        Instance.open("guard").unload()
    assert names(store) == set()


@pytest.mark.parametrize(
    ("action", "expected"),
    [("mark:0x17", (0x17, 0)), ("mark:1/1", (1, 0)), ("priority:1:10", (0, 0x10010)), ("priority:6", (0, 6))],
)
def test_a_number_is_seen_by_who_comes_after(
    store: Store, senders: Senders, build_spec: Build, action: str, expected: tuple[int, int]
) -> None:
    with loaded(action) as instance, Object.load(build_spec(BEHIND)) as behind, instance.brakes() as brakes:

        def seen(*sizes: int, flow: int = 0) -> tuple[int, ...]:
            assert senders.send(flow, *sizes) == len(sizes)
            return struct.unpack("<2I", behind.maps[".bss"].lookup(bytes(4)) or b"")

        try:
            link = attach_tcx(behind.programs["behind"], "here")
        except NotSupported as lack:
            pytest.skip(str(lack))
        with link:
            assert seen(500) == expected
            assert seen(50, flow=1) == (0, 0)
            brakes.pause(True)
            assert seen(500) == (0, 0)
            brakes.pause(False)
            instance.swap(calibrated("tc"))
            assert seen(500) == expected
            brakes.enforce(0)
            assert seen(500) == (0, 0)
            brakes.enforce(FOREVER)
            instance.unload()
            assert seen(500) == (0, 0)


@pytest.mark.parametrize("trigger", ["tc", "xdp"])
def test_what_is_redirected_leaves_by_the_other_interface_while_there_is_one(
    store: Store, senders: Senders, trigger: str
) -> None:
    with loaded("redirect:side", trigger) as instance, Far() as far, instance.brakes() as brakes:
        assert (senders.send(0, 500, 500), far.arrived()) == (0, 2)
        assert (senders.send(1, 50, 50), far.arrived()) == (2, 0)
        brakes.pause(True)
        assert (senders.send(0, 500), far.arrived()) == (1, 0)
        brakes.pause(False)
        instance.swap(calibrated(trigger))
        assert (senders.send(0, 500), far.arrived()) == (0, 1)
        run("ip", "link", "set", "side", "down")
        assert senders.send(0, 500, 500) == (2 if trigger == "tc" else 0)  # XDP does not know
        run("ip", "link", "del", "side")
        assert senders.send(0, 500, 500) == 2
        assert senders.send(2, 500, 500) == 2
        with pytest.raises(KernelError, match="interface 'side' not found in this network namespace"):
            instance.swap(calibrated(trigger))
        assert senders.send(2, 500, 50) == 2
        instance.unload()


@pytest.fixture
def group() -> Iterator[Path]:
    with cgroup("-actions") as made:
        yield made


@contextmanager
def inside_cgroup(group: Path) -> Iterator[Callable[[int], str]]:
    """A process in the cgroup. Gives a function by which it sends a datagram of so many bytes, and says how that ended."""
    command = ["sh", "-c", f"echo $$ > {group}/cgroup.procs && exec {sys.executable} -S -c '{GATE}'"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin
        assert child.stdout
        asked, told = child.stdin, child.stdout

        def send(size: int) -> str:
            print(size, file=asked, flush=True)
            return told.readline().strip()

        assert told.readline() == "ready\n"
        yield send
        asked.close()


def test_who_sends_what_is_refused_gets_an_error(store: Store, senders: Senders, group: Path) -> None:
    del senders
    with loaded("reject", "cgroup_skb", group.name, direction="egress") as instance, inside_cgroup(group) as send:
        assert [send(size) for size in (50, 500, 500)] == ["sent", "Operation not permitted", "Operation not permitted"]
        with instance.brakes() as brakes:
            brakes.pause(True)
            assert send(500) == "sent"
            brakes.pause(False)
            instance.swap(calibrated("cgroup_skb"))
            assert send(500) == "Operation not permitted"
        instance.unload()
        assert send(500) == "sent"
