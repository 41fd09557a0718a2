"""How many packets a second one CPU takes through each guard: of connections that go on, and of a flood of new ones.

Frames are sent over a veth pair by BPF_PROG_RUN with live frames (Linux 5.18), as in rate.py: the time is that of one thread.
It sends a batch, on which the program at the other end runs, and with which the kernel does what it does, and then it takes in
user space what came there. So nobody is woken up, and nothing is lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from statistics import median

from figures import markdown
from guard_arms import LASTING_NS
from guard_user import RING, SOCKET, Watcher, programs
from lab import HERE, THERE, entered, run
from rate import FEW, build, send

from ebpfnn import Observation, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.events.policy import Policy
from ebpfnn.kernel import Object, XdpMode, attach_xdp
from ebpfnn.plugin import configured
from ebpfnn.session.guarding import Guard, calibrated

BATCH, BATCHES, ROUNDS = 4096, 16, 3
MANY = BATCH * BATCHES
"""Connections of a flood: all packets of a round, and no more than the states have room for."""
_SYN, _DATA = 0x02, 0x18
_BARE, _OPTIONS = 5, 8  # words of a header of TCP: that of hping3, and that of Linux

Taking = Callable[[], object]
"""Takes what has come to user space."""
Way = Callable[[], AbstractContextManager[Taking]]


def _nothing() -> None:
    pass


@contextmanager
def passing() -> Iterator[Taking]:
    with Object.load(programs()) as loaded, attach_xdp(loaded.programs["flow_nothing"], HERE, XdpMode.DRIVER):
        yield _nothing


@contextmanager
def in_kernel(file: Path) -> Iterator[Taking]:
    plugins = Plugins.installed()
    model = modelfile.load(file, plugins)
    spared, margin = calibrated(model)
    guard = Guard(Policy(spared, margin, 1, LASTING_NS, 1.0), plugins.action("drop"))
    trigger = configured(plugins.trigger("xdp"), {"mode": "native"})
    with Observation(model, trigger, HERE, guard=guard) as observation:
        observation.brakes.enforce(time.monotonic_ns() + 60 * 10**9)
        yield _nothing


@contextmanager
def in_user_space(file: Path, way: str) -> Iterator[Taking]:
    model = modelfile.load(file)
    with Watcher(model, *calibrated(model), LASTING_NS, way) as watcher, attach_xdp(watcher.program, HERE, XdpMode.DRIVER):
        watcher.listen(HERE)
        yield watcher.take


def frame(flags: int, words: int, payload: int) -> bytes:
    """A segment of TCP, but for the address that it comes from."""
    link = bytes.fromhex("02000000aaaa02000000bbbb0800")
    size = 20 + 4 * words + payload
    network = bytes.fromhex(f"4500{size:04x}000040004006000000000000") + bytes([10, 77, 0, 2])
    transport = bytes.fromhex(f"9c401f900000000100000001{words << 4:02x}{flags:02x}01f600000000")
    return (link + network + transport).ljust(len(link) + size, b"\0")


def batches(sender: Object, data: bytes, take: Taking) -> list[float]:
    """Nanoseconds a packet, of each batch."""
    found = []
    for _ in range(BATCHES):
        began = time.thread_time_ns()
        send(sender.programs["ask"], data, THERE, BATCH)
        take()
        found.append((time.thread_time_ns() - began) / BATCH)
    return found


def rounds(ways: Mapping[str, Way], connections: int, data: bytes) -> dict[str, float]:
    """Nanoseconds a packet by way: the median of the batches of all rounds, in which each way has its turn."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            spec = build()
            spec.set_variable("sources", connections.to_bytes(4, "little"))
            with Object.load(spec) as sender, attach_xdp(sender.programs["pass"], THERE, XdpMode.DRIVER), way() as take:
                found[name] += batches(sender, data, take)
    return {name: median(each) for name, each in found.items()}


def table(network: Path, tree: Path) -> str:
    ways: dict[str, Way] = {
        "every packet is passed": passing,
        "the tree in the kernel": lambda: in_kernel(tree),
        "the network in the kernel": lambda: in_kernel(network),
        "the network in user space, by ring buffer": lambda: in_user_space(network, RING),
        "the network in user space, by AF_PACKET": lambda: in_user_space(network, SOCKET),
    }
    passed = rounds(ways, FEW, frame(_DATA, _OPTIONS, 200))
    flood = rounds(ways, MANY, frame(_SYN, _BARE, 0))
    lines: list[list[object]] = []
    for name in ways:
        cells: list[object] = []
        for took in (passed, flood):
            by_capture = took["the network in user space, by AF_PACKET"] / took[name]
            cells += [f"{1e9 / took[name]:,.0f}", f"{took[name]:,.0f}", f"{by_capture:.2f}"]
        lines.append([name, *cells])
    columns = ["packets/s", "ns a packet", "x AF_PACKET"]
    return markdown(["", *(f"{FEW} connections: {each}" for each in columns), *(f"flood: {each}" for each in columns)], lines)


def measured(network: Path, tree: Path) -> str:
    """:func:`table`, in a namespace that is made for it. This thread stays on one CPU meanwhile."""
    name, before = f"showcase-{os.getpid()}-rate", os.sched_getaffinity(0)
    with ExitStack() as held:
        run("ip", "netns", "add", name)
        held.callback(run, "ip", "netns", "del", name)
        run("ip", "-n", name, "link", "add", HERE, "type", "veth", "peer", "name", THERE)
        for interface in (HERE, THERE):
            run("ip", "-n", name, "link", "set", interface, "up")
        held.callback(os.sched_setaffinity, 0, before)
        os.sched_setaffinity(0, {min(before)})
        held.enter_context(entered(name))
        return table(network, tree)
