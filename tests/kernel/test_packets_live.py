"""Packets between two namespaces, over a veth pair and nothing else: `query` on one side, a network on the other."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wire
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.socket_filter import SocketFilterTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from netspace import inside, namespace, run
from networks import random_network, samples
from waiting import wait_until

from ebpfnn import Instance
from ebpfnn.bodies import modelfile
from ebpfnn.errors import NotSupported, QueryError
from ebpfnn.instance import Store
from ebpfnn.kernel import Object, XdpMode, attach_xdp
from ebpfnn.network import reference
from ebpfnn.obj import ObjectSpec
from ebpfnn.plugin import Plugins, Trigger
from ebpfnn.remote import protocol
from ebpfnn.remote.query import Address, Client
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root
ROOT = Path(__file__).parents[2]
NETWORK = random_network((60, 7, 5), seed=3)
SERVER_MAC = "02:00:00:00:00:01"
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
ADDRESSES = ("10.9.0.1", "fd09::1")
TRIGGERS: dict[str, Trigger] = {
    "xdp native": XdpTrigger().with_options({"mode": "native"}),
    "xdp generic": XdpTrigger().with_options({"mode": "generic"}),
    "tc": TcTrigger(),
}


@pytest.fixture
def client(build_spec: Callable[[str], ObjectSpec], request: pytest.FixtureRequest) -> Iterator[str]:
    """The namespace of whoever asks; the test itself is where the network is, whose interface is ``here``.

    The interface of whoever asks has XDP too, unless the fixture's parameter is False.
    """
    with namespace() as server, ExitStack() as held:
        name = f"{server}-client"
        run("ip", "netns", "add", name)
        held.callback(run, "ip", "netns", "del", name)
        run("ip", "link", "set", "here", "address", SERVER_MAC)
        run("ip", "link", "set", "there", "netns", name)
        run("ip", "-n", name, "link", "set", "there", "up")
        _address(name, "there", "10.9.0.2/24", "fd09::2/64")
        if getattr(request, "param", True):
            # The driver of a veth pair sends from XDP only to a peer that has XDP too (veth_xdp_xmit, Linux 6.18).
            with inside(f"/run/netns/{name}"):
                passing = held.enter_context(Object.load(build_spec('SEC("xdp") int passing(void *c) { return XDP_PASS; }')))
                held.enter_context(attach_xdp(passing.programs["passing"], "there", XdpMode.DRIVER))
        yield name


def _address(name: str, interface: str, *addresses: str) -> None:
    """Gives an interface addresses, and tells it where the network is, which answers no ARP."""
    for address in addresses:
        run("ip", "-n", name, "address", "add", address, "dev", interface, *(["nodad"] if ":" in address else []))
        there = address.rpartition("/")[0][:-1] + "1"
        run("ip", "-n", name, "neighbor", "replace", there, "lladdr", SERVER_MAC, "dev", interface, "nud", "permanent")


@contextmanager
def asking(client: str, address: str) -> Iterator[Client]:
    with inside(f"/run/netns/{client}"):
        query = Client(Address.parse(address), NETWORK, timeout=5)
    with query:
        yield query


def agree(query: Client, seed: int) -> None:
    for sample in samples(60, seed):
        answer = query.infer(sample)
        assert answer.scores.tolist() == reference.scores(NETWORK, sample).tolist()
        assert answer.label == int(answer.scores.argmax())


@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_network_answers_across_a_wire(client: str, trigger: Trigger, address: str) -> None:
    with Session(NETWORK, trigger, "here"), asking(client, f"[{address}]:4242") as query:
        agree(query, seed=1)


@pytest.mark.parametrize("client", [False], indirect=True)
def test_veth_answers_without_being_told_how(client: str) -> None:
    with Session(NETWORK, XdpTrigger(), "here"), asking(client, "10.9.0.1") as query:
        agree(query, seed=4)


@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
@pytest.mark.parametrize("vlans", [1, 2])
def test_a_network_answers_within_vlans(client: str, trigger: Trigger, vlans: int) -> None:
    """Tags are in the frame that is sent; of the one that comes back the kernel hands the outer one beside it."""
    sample = samples(60, seed=2)[7]
    frame = wire.build(protocol.request(sample.tobytes(), 76, sequence=9), vlans=vlans)
    with inside(f"/run/netns/{client}"):
        held = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        held.bind(("there", 3))
    held.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
    held.settimeout(20)
    with held, Session(NETWORK, trigger, "here"):
        held.send(bytes.fromhex(SERVER_MAC.replace(":", "")) + frame[6:])
        answer = next(answer for answer in tagged(held) if answer[:6] == frame[6:12])
    told = wire.read(answer)
    assert told.intact
    assert told.vlans == wire.read(frame).vlans
    assert list(protocol.reply(told.payload).scores) == reference.scores(NETWORK, sample).tolist()


def tagged(held: socket.socket) -> Iterator[bytes]:
    """The frames that come to a packet socket, with the tag where it was (struct tpacket_auxdata)."""
    while True:
        data, beside, _, _ = held.recvmsg(2000, 100)
        *_, tag, kind = struct.unpack_from("=IIIHHHH", beside[0][2])
        yield data[:12] + struct.pack("!HH", kind, tag) + data[12:] if tag else data


OTHER = replace(random_network((60, 9, 5), seed=4), name="other")
SWAPS = 20


def flow(client: str, seed: int, done: threading.Event) -> Counter[str]:
    """Sends requests, each once, until ``done``, and counts the answers by who gave them: a name, ``mixed`` or ``lost``."""
    given = samples(60, seed)
    expected = {protocol.network_id(each.name): (each.name, reference.scores(each, given)) for each in (NETWORK, OTHER)}
    counted: Counter[str] = Counter()
    with inside(f"/run/netns/{client}"):
        held = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with held:
        held.connect(("10.9.0.1", protocol.PORT))
        held.settimeout(10)
        while not done.is_set():
            sequence = counted.total()
            which = sequence % len(given)
            held.send(protocol.request(given[which].tobytes(), 76, sequence))
            try:
                answer = protocol.reply(held.recv(2000))
            except TimeoutError:
                counted["lost"] += 1
                continue
            name, scores = expected[answer.network]
            fits = answer.sequence == sequence and list(answer.scores) == scores[which].tolist()
            counted[name if fits else "mixed"] += 1
    return counted


@pytest.mark.parametrize("name", TRIGGERS)
def test_networks_are_swapped_while_requests_flow(client: str, store: Store, name: str) -> None:
    kind, _, mode = name.partition(" ")
    trigger, options = Plugins.installed().trigger(kind), {"mode": mode} if mode else {}
    bodies = [(each, compile_here(each)) for each in (OTHER, NETWORK)]
    done = threading.Event()
    with Instance.load(NETWORK, trigger, "here", name="flow", options=options) as instance, ThreadPoolExecutor(2) as pool:
        flows = [pool.submit(flow, client, seed, done) for seed in range(2)]
        try:
            for number in range(SWAPS):
                network, body = bodies[number % 2]
                instance.swap(network, body=body)
        finally:
            done.set()
        counted = sum((each.result() for each in flows), Counter[str]())
        assert instance.statistics().swaps == SWAPS
        instance.unload()
    assert set(counted) == {"test", "other"}, counted


def test_traffic_control_answers_before_a_request_leaves(client: str) -> None:
    """The network is on the side of whoever asks."""
    with inside(f"/run/netns/{client}"):
        session = Session(NETWORK, TcTrigger().with_options({"direction": "egress"}), "there")
    with session, asking(client, "10.9.0.1") as query:
        agree(query, seed=3)


@pytest.mark.slow
def test_digits_by_the_command(client: str) -> None:
    network = modelfile.load(modelfile.resolve("mnist"))
    digits = [str(ROOT / "tests" / "data" / "digits" / f"{digit}.png") for digit in (3, 7)]
    command = [sys.executable, "-m", "ebpfnn", "query", "[fd09::1]:4242", *digits, "--json", "--check", "--timeout", "5"]
    with Session(network, XdpTrigger(), "here"):
        ran = subprocess.run(
            ["ip", "netns", "exec", client, *command],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}"},
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    assert (ran.returncode, ran.stderr) == (0, "")
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(each["label"], each["check"], each["target"]) for each in told] == [
        ("3", True, "[fd09::1]:4242"),
        ("7", True, "[fd09::1]:4242"),
    ]


def test_another_network_than_the_one_that_is_there(client: str) -> None:
    other = random_network((60, 7, 5), seed=4)
    object.__setattr__(other, "name", "other")
    run("ip", "address", "add", "10.9.0.1/24", "dev", "here")
    with Session(other, XdpTrigger(), "here"), asking(client, "10.9.0.1") as query:
        query._timeout, query._attempts = 0.05, 2
        with pytest.raises(
            QueryError, match=r"no answer to 2 requests for network 'test', 0\.05 s apart \(Connection refused\)"
        ):
            query.infer(samples(60, seed=1)[0])


@pytest.fixture
def cgroup() -> Iterator[Path]:
    mounts = (line.split() for line in Path("/proc/self/mounts").read_text().splitlines())
    root = next((Path(entry[1]) for entry in mounts if entry[2] == "cgroup2"), None)
    if root is None:
        pytest.skip("no cgroup2 file system is mounted")
    directory = root / f"ebpfnn-test-{os.getpid()}"
    directory.mkdir()
    yield directory
    directory.rmdir()


RECEIVE = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
    held.bind(("10.9.0.1", 4242))
    print("bound", flush=True)
    sys.stdout.buffer.write(held.recv(2000))
"""


@contextmanager
def listening(cgroup: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that prints the one datagram it is sent, in the cgroup."""
    run("ip", "address", "add", "10.9.0.1/24", "dev", "here")
    enter = f"echo $$ > {cgroup}/cgroup.procs && " if cgroup else ""
    with subprocess.Popen(["sh", "-c", f"{enter}exec {sys.executable} -S -c '{RECEIVE}'"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            assert process.stdout.readline() == b"bound\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["cgroup_skb", "socket_filter"])
def test_requests_go_on_their_way(client: str, cgroup: Path, name: str) -> None:
    trigger, target = (CgroupSkbTrigger(), cgroup.name) if name == "cgroup_skb" else (SocketFilterTrigger(), "here")
    sample = samples(60, seed=5)[3]
    with listening(cgroup) as process, Session(NETWORK, trigger, target) as session, asking(client, "10.9.0.1") as query:
        counts = session.loaded.maps["ebpfnn_packets"]
        query._timeout, query._attempts = 0.05, 1
        with pytest.raises(QueryError, match="no answer to 1 requests"):
            query.infer(sample)
        assert process.stdout
        assert process.stdout.read()[16:] == sample.tobytes()
        assert wait_until(lambda: int(counts.lookup_percpu(bytes(4), np.uint64)[:, 0].sum()) == 1)


def test_a_packet_socket_cannot_be_pinned(client: str, tmp_path: Path) -> None:
    del client
    with Session(NETWORK, SocketFilterTrigger(), "here") as session:
        link = session._attachment.link
        assert link
        with pytest.raises(NotSupported, match="packet socket on 'here' is a socket of this process and ends with it"):
            link.pin(tmp_path / "link")


def test_foreign_packets_go_on_their_way(client: str) -> None:
    """What is no request comes to the stack, which says that nobody listens."""
    run("ip", "address", "add", "10.9.0.1/24", "dev", "here")
    with Session(NETWORK, XdpTrigger(), "here"), Session(NETWORK, TcTrigger(), "here"):
        with inside(f"/run/netns/{client}"):
            asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with asking:
            asking.settimeout(20)
            asking.connect(("10.9.0.1", 4242))
            asking.send(b"eBNN" + bytes(72))
            with pytest.raises(ConnectionRefusedError):
                asking.recv(100)
