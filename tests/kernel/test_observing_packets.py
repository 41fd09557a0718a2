"""Instances that observe events: what they find in real traffic is what the twin and the reference compute."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from guards import ENCODED, FLOW, expected, guard
from instances import ebpfnn, names
from netspace import inside, pair
from waiting import wait_until

from ebpfnn import Instance, Observation, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.compiler import Body
from ebpfnn.errors import ModelError, NotSupported, SessionError, UsageError
from ebpfnn.events.replay import Replay
from ebpfnn.instance import Store
from ebpfnn.instance.pins import Pins
from ebpfnn.instance.rehearsal import Bench, fields_of_record
from ebpfnn.kernel import Map
from ebpfnn.kernel.ids import Kind, ids
from ebpfnn.network import QuantizedNetwork
from ebpfnn.observer import Mode
from ebpfnn.plugin import Trigger
from ebpfnn.session.compiling import compile_here
from ebpfnn.session.observed import observe
from ebpfnn.session.provoked import Provoked
from ebpfnn.session.verdicts import Verdict

pytestmark = pytest.mark.root
PORT = 5777
# Without times, which a capture does not know as XDP did.
TIMELESS: dict[str, Any] = {**FLOW, "column": [column for column in FLOW["column"] if column["name"] != "gap"]}
OF_TIMELESS = {name: told for name, told in ENCODED.items() if name != "gap"}


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.installed()


@pytest.fixture(scope="module")
def xdp(plugins: Plugins) -> Trigger:
    return plugins.trigger("xdp")


class Talk:
    """Sockets in both namespaces, and what arrives at ``here``."""

    def __init__(self, here: str, there: str) -> None:
        self.paths = {"here": here, "there": there}
        self.udp = {name: self.socket(name, socket.SOCK_DGRAM) for name in self.paths}
        self.udp["here"].bind(("10.77.0.1", PORT))
        self.udp["there"].bind(("10.77.0.2", PORT + 1))
        self.tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.tap.bind(("here", 0))
        self.tap.settimeout(0.3)

    def socket(self, where: str, kind: int) -> socket.socket:
        with inside(self.paths[where]):
            return socket.socket(socket.AF_INET, kind)

    def datagrams(self, count: int, size: int = 40) -> None:
        """To ``here``, whose program sees them. The answers leave it, so it does not."""
        for number in range(count):
            self.udp["there"].sendto(bytes(size + number), ("10.77.0.1", PORT))
            self.udp["here"].recv(2048)
            self.udp["here"].sendto(b"yes", ("10.77.0.2", PORT + 1))
            self.udp["there"].recv(64)

    def connection(self, messages: int) -> None:
        with self.socket("here", socket.SOCK_STREAM) as server, self.socket("there", socket.SOCK_STREAM) as client:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("10.77.0.1", PORT))
            server.listen()
            client.connect(("10.77.0.1", PORT))
            accepted, _ = server.accept()
            with accepted:
                for number in range(messages):
                    client.send(bytes(100 + number))
                    accepted.recv(2048)
                    accepted.send(b"yes")
                    client.recv(64)

    def arrived(self) -> Iterator[bytes]:
        """The frames that came in, until none came for a while. What was sent is left out."""
        while True:
            try:
                frame, (_, _, kind, *_) = self.tap.recvfrom(65536)
            except TimeoutError:
                return
            if kind != socket.PACKET_OUTGOING:
                yield frame

    def close(self) -> None:
        for each in (*self.udp.values(), self.tap):
            each.close()


@pytest.fixture
def talk() -> Iterator[Talk]:
    with pair() as paths:
        talk = Talk(*paths)
        yield talk
        talk.close()


def load(network: QuantizedNetwork, trigger: Trigger, target: str | None = "here", **options: Any) -> Instance:
    return Instance.load(network, trigger, target, **options)


def twin_of(network: QuantizedNetwork, trigger: Trigger, plugins: Plugins, frames: list[bytes]) -> dict[bytes, tuple[int, ...]]:
    """Number, label and margin of each key, by extractor, twin and reference."""
    observed = observe(network, trigger, "here", plugins=plugins)
    twin, latest = Replay(observed.bound), dict[bytes, tuple[int, ...]]()
    with Bench(observed, [True], Mode.RECORD) as bench:
        for time_ns, frame in enumerate(frames, 1):
            record = fields_of_record(observed.bound, bench.run(Provoked(0, time_ns, frame)))
            row = record and twin.observe(*record)
            if row:
                latest[row.key] = row.number, *expected(network, dict(zip(observed.bound.names, row.results, strict=True)))
    return latest


def test_verdicts_on_real_traffic_are_the_twins(store: Store, plugins: Plugins, xdp: Trigger, talk: Talk) -> None:
    network = guard(TIMELESS, OF_TIMELESS)
    with load(network, xdp, name="guard") as instance:
        assert "made-up events" in instance.proof
        assert "as the twin computes them" in instance.proof
        talk.datagrams(9)
        talk.connection(7)
        frames = list(talk.arrived())
        found = {each.shown: (each.number, each.index, each.margin) for each in instance.verdicts()}
        statistics = instance.statistics()
        instance.unload()
    wanted = twin_of(network, xdp, plugins, frames)
    assert {key.split("/")[1] for key in found} == {"udp", "tcp"}
    assert sorted(found.values()) == sorted(wanted.values())
    assert statistics.answered >= len(found)
    assert names(store) == set()


def test_a_watcher_is_told_every_verdict(store: Store, xdp: Trigger, talk: Talk) -> None:
    with load(guard(TIMELESS, OF_TIMELESS), xdp, name="guard") as instance:
        with instance.watch_verdicts() as watch:
            talk.datagrams(5)
            told = list(watch.read(1))
        assert [each.number for each in told if each.key["protocol"] == 17] == [1, 2, 4]
        assert all(each.label in ("tcp", "udp", "other") and each.margin >= 0 and each.swaps == 0 for each in told)
        (last,) = [each for each in instance.verdicts() if each.key["protocol"] == 17]
        assert last == [each for each in told if each.key["protocol"] == 17][-1]
        assert last.shown == f"10.77.0.1:{PORT}-10.77.0.2:{PORT + 1}/udp"


def datagrams(instance: Instance) -> Verdict:
    """The verdict on the one key of UDP."""
    (found,) = [each for each in instance.verdicts() if each.key["protocol"] == 17]
    return found


def test_a_swap_under_traffic_keeps_states_and_verdicts(store: Store, xdp: Trigger, talk: Talk) -> None:
    networks = [guard(TIMELESS, OF_TIMELESS, seed=seed, name=f"guard-{seed}") for seed in (1, 2)]
    every = {**TIMELESS, "at": {}}
    inferring = [guard(every, OF_TIMELESS, seed=seed, name=f"every-{seed}") for seed in (1, 2)]
    over = threading.Event()

    def traffic() -> None:
        while not over.is_set():
            talk.datagrams(1)

    with load(networks[0], xdp, name="guard") as instance:
        talk.connection(3)  # a key that gets no further verdicts
        old = [each for each in instance.verdicts() if each.key["protocol"] == 6]
        thread = threading.Thread(target=traffic)
        thread.start()
        try:
            numbers = list[int]()
            for count in range(1, 5):
                assert "as the twin computes them" in instance.swap(inferring[count & 1])
                assert wait_until(lambda count=count: datagrams(instance).swaps == count)
                numbers.append(datagrams(instance).number)
        finally:
            over.set()
            thread.join()
        assert numbers == sorted(numbers)
        assert numbers[0] > 1
        assert [each for each in instance.verdicts() if each.key["protocol"] == 6] == old
        assert old[0].swaps == 0
        assert instance.statistics().swaps == 4


DIFFERENT: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"key": "source"}, "its spec has the key 'source', and the instance's 'flow'"),
    "entries": ({"state": {"entries": 7}}, "state.entries = 7, and the instance's None"),
    "column": (
        {"column": [*FLOW["column"][:3], {"name": "protocol", "reduce": "max", "of": "protocol"}]},
        "reduce = 'max' in column 4 'protocol', and the instance's 'last'",
    ),
    "fewer": ({"column": FLOW["column"][:3]}, "its spec has 3 columns, and the instance's 4"),
    "event": ({"event": [{"trigger": "xdp", "name": "in"}]}, "its spec has the events 'in', and the instance's 'xdp'"),
}


@pytest.mark.slow
def test_a_swap_refuses_what_states_and_verdicts_do_not_fit(store: Store, xdp: Trigger, talk: Talk) -> None:
    with load(guard(), xdp, name="guard") as instance:
        for change, reason in DIFFERENT.values():
            spec = {**FLOW, **change}
            results = {name for name in ENCODED if name != "protocol" or len(spec["column"]) > 3}
            with pytest.raises(NotSupported, match=reason.replace(".", r"\.")):
                instance.swap(guard(spec, {name: ENCODED[name] for name in ENCODED if name in results}))
        with pytest.raises(NotSupported, match="its labels are a, b, c, and those of the verdicts"):
            instance.swap(guard(labels=("a", "b", "c")))
        with pytest.raises(NotSupported, match="it carries no spec"):
            instance.swap(modelfile.load_named("mnist"))
        assert instance.statistics().swaps == 0
        other = {**FLOW, "at": {"every": 3}, "where": ["protocol == 17"], "end": ["tcp_flags & fin"]}
        bounds = {**ENCODED, "gap": {"encode": "log2", "low": 1024, "high": 1 << 30, "fraction": 0}}
        instance.swap(guard(other, bounds))
        talk.datagrams(3)
        assert [each.number for each in instance.verdicts() if each.swaps == 1] == [3]


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> Body:
    """The code of another network than the one that is loaded."""
    return compile_here(guard(seed=9))


@pytest.mark.slow
def test_a_network_that_computes_something_else_is_not_loaded(store: Store, xdp: Trigger, talk: Talk, lying: Body) -> None:
    with pytest.raises(SessionError, match=r"the verdict at event [0-9]+ of the rehearsal differs from the twin's"):
        load(guard(), xdp, name="guard", body=lying)
    assert names(store) == set()
    assert "xdp" not in json.loads(shown_link())[0]
    with load(guard(), xdp, name="guard") as instance:
        with pytest.raises(SessionError, match="differs from the twin's"):
            instance.swap(guard(), body=lying)
        assert instance.statistics().swaps == 0


def shown_link() -> str:
    return subprocess.run(["ip", "-j", "-d", "link", "show", "here"], capture_output=True, text=True, check=True).stdout


def test_unloading_leaves_nothing(store: Store, xdp: Trigger, talk: Talk) -> None:
    with load(guard(), xdp, name="guard") as instance:
        assert "xdp" in json.loads(shown_link())[0]
        assert names(store) == {"guard", "guard_verdicts"}
        stub, maps = ids_of(instance)
        instance.unload()
    assert names(store) == set()
    assert "xdp" not in json.loads(shown_link())[0]
    assert wait_until(lambda: stub not in set(ids(Kind.PROGRAM)) and not maps & set(ids(Kind.MAP)))


def ids_of(instance: Instance) -> tuple[int, set[int]]:
    """Of its stub and its maps, which nothing holds open when this has returned."""
    with Pins(instance.path) as pins:
        (stub,) = [each.info().id for each in pins.programs()]
        return stub, {each.info().id for each in pins.maps.values()}


@pytest.mark.slow
def test_another_mode_or_trigger_than_that_of_the_data(store: Store, plugins: Plugins, xdp: Trigger, talk: Talk) -> None:
    native = guard(mode="native")
    with pytest.raises(UsageError, match=r"collected in native mode, and this is generic mode.*--any-mode"):
        load(native, xdp, name="guard")
    with pytest.raises(UsageError, match="collected in trigger 'xdp', and this is 'tc'"):
        load(native, plugins.trigger("tc"), name="guard")
    with pytest.raises(UsageError, match="requires a target"):
        load(native, xdp, None, name="guard")
    with pytest.raises(UsageError, match="no option 'port'"):
        load(native, xdp, name="guard", options={"port": "7"})
    assert names(store) == set()
    with load(native, plugins.trigger("tc"), name="guard", any_mode=True) as instance:
        talk.datagrams(2)
        assert any(each.key["protocol"] == 17 for each in instance.verdicts())
    with load(native, xdp, name="other", options={"mode": "native"}) as instance:
        talk.datagrams(2)
        assert any(each.key["protocol"] == 17 for each in instance.verdicts())


def test_filters_come_before_any_state(store: Store, xdp: Trigger, talk: Talk) -> None:
    with load(guard(), xdp, name="guard", filters=["protocol == 6", "source in 10.77.0.0/24"]) as instance:
        talk.datagrams(2)
        talk.connection(1)
        assert {each.key["protocol"] for each in instance.verdicts()} == {6}
        assert instance.about().filters == ("protocol == 6", "source in 10.77.0.0/24")
        instance.swap(guard(seed=2))  # which keeps the filters
        talk.datagrams(2)
        assert {each.key["protocol"] for each in instance.verdicts()} == {6}
    for wrong, reason in {
        "uid == 1": "uid",
        "protocol = 6": "protocol = 6",
        "source in 10.77.0.1/24": "behind the prefix",
    }.items():
        with pytest.raises(ModelError, match=f"{reason}.*; "):
            load(guard(), xdp, name="wrong", filters=[wrong])


@pytest.mark.slow
def test_a_network_that_is_given_samples_takes_no_filters(store: Store, plugins: Plugins) -> None:
    with pytest.raises(UsageError, match="observes no events"):
        load(modelfile.load_named("mnist"), plugins.trigger("run"), None, name="digits", filters=["uid == 1"])
    with load(guard(), plugins.trigger("run"), None, name="rows") as instance:
        assert not instance.about().observes
        with pytest.raises(SessionError, match="has no verdicts"):
            instance.verdicts()


@contextmanager
def saved(tmp_path: Any, network: QuantizedNetwork) -> Iterator[str]:
    path = tmp_path / f"{network.name}.safetensors"
    modelfile.save(network, path)
    yield str(path)


def is_watched(store: Store) -> bool:
    with Map.open(store.directory / "guard" / "watch") as watch:
        return watch.lookup(bytes(4)) != bytes(16)


@pytest.mark.slow
def test_the_command_line(store: Store, talk: Talk, tmp_path: Any) -> None:
    with saved(tmp_path, guard(TIMELESS, OF_TIMELESS, mode="generic")) as path, saved(tmp_path, guard(name="other")) as other:
        ran = ebpfnn(store, "load", path, "--target", "here", "--where", "protocol == 17")
        assert (ran.returncode, ran.stderr) == (0, "")
        assert "guard: guard (5-3) loaded behind xdp here; " in ran.stdout
        assert "guard: observes every event where protocol == 17 and changes none" in ran.stdout
        talk.datagrams(4)
        assert "flow: xdp, generic" in ebpfnn(store, "list").stdout
        key = f"10.77.0.1:{PORT}-10.77.0.2:{PORT + 1}/udp"
        assert key in ebpfnn(store, "verdicts").stdout
        row = json.loads(ebpfnn(store, "verdicts", "guard", "--json").stdout)
        assert (row["shown"], row["number"], row["swaps"]) == (key, 4, 0)
        assert row["key"] == {"low": "10.77.0.1", "high": "10.77.0.2", "low_port": PORT, "high_port": PORT + 1, "protocol": 17}
        others = {"tcp", "udp", "other"} - {row["label"]}
        assert "no verdicts yet" in ebpfnn(store, "verdicts", "--label", others.pop()).stdout
        assert ebpfnn(store, "verdicts", "--label", "cat").returncode == 2
        told = list[subprocess.CompletedProcess[str]]()
        thread = threading.Thread(target=lambda: told.append(ebpfnn(store, "watch", "--json", "--count", "2")))
        thread.start()
        assert wait_until(lambda: is_watched(store))
        talk.datagrams(12)  # events 5 to 16
        thread.join()
        assert [json.loads(line)["number"] for line in told[0].stdout.splitlines()] == [8, 16]
        stats = json.loads(ebpfnn(store, "stats", "--json", "--seconds", "0.1").stdout)
        assert stats["counts"]["observed"] == 0
        assert set(stats["classes"]) == {"tcp", "udp", "other"}
        assert "takes no samples" in ebpfnn(store, "infer", "--instance", "guard", "digit.png").stderr
        refused = ebpfnn(store, "swap", other)
        assert refused.returncode == 1
        assert "cannot take the place" in refused.stderr
        assert ebpfnn(store, "unload").returncode == 0
        assert names(store) == set()


def test_an_observation_of_one_process(xdp: Trigger, talk: Talk) -> None:
    network = guard(TIMELESS, OF_TIMELESS)
    with Observation(network, xdp, "here", filters=["protocol == 17"]) as observation:
        assert list(observation.read(0)) == []
        talk.datagrams(5)
        told = list(observation.read(1))
        assert [each.number for each in told] == [1, 2, 4]
        assert observation.verdicts() == told[-1:]
        assert observation.verdicts(label="none of them") == []
        assert observation.counts()["observed"] == 5
        assert "xdp" in json.loads(shown_link())[0]
    assert "xdp" not in json.loads(shown_link())[0]
    with pytest.raises(SessionError, match="closed"):
        observation.verdicts()
    with pytest.raises(SessionError, match="carries no spec"):
        Observation(modelfile.load_named("mnist"), xdp, "here")
