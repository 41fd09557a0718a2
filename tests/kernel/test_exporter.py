"""What instances in the kernel count, as Prometheus gets it: by HTTP, in a file, and for whom the kernel allows it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ebpfnn_plugins.run import RunTrigger
from flooding import FOREVER, Senders
from instances import ROOT, ebpfnn, environment, mounted
from networks import random_network
from test_guard_instances import calibrated, load
from unprivileged import run

from ebpfnn import Instance, abi
from ebpfnn.instance import Store
from ebpfnn.network import QuantizedNetwork

pytest.importorskip("prometheus_client", reason="prometheus_client is not installed")
from prometheus_client import generate_latest

from ebpfnn.metrics.collector import Instances

pytestmark = pytest.mark.root
__all__ = ["calibrated"]  # a fixture


def samples(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def scraped(store: Store) -> dict[str, float]:
    return samples(generate_latest(Instances(store, 5)).decode())


@contextmanager
def served(store: Store, *options: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """The exporter at a free port."""
    command = [sys.executable, "-m", "ebpfnn", "exporter", "--listen", "127.0.0.1:0", *options]
    with subprocess.Popen(command, env=environment(store), stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stderr
            told = process.stderr.readline()
            found = re.fullmatch(r"ebpfnn: exporter: http://127.0.0.1:(\d+)/metrics\n", told)
            assert found, told
            yield int(found[1]), process
        finally:
            process.kill()


def get(port: int, path: str = "/metrics", accept: str = "") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Accept": accept})
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()
    finally:
        connection.close()


def test_a_guard_is_told_as_its_own_verbs_tell_it(store: Store, senders: Senders, calibrated: QuantizedNetwork) -> None:
    with load(calibrated, after=1) as instance, instance.brakes() as brakes:
        assert senders.send(0, *[500] * 4) == 4
        brakes.enforce(FOREVER)
        assert senders.send(1, *[500] * 3) == 0
        brakes.pause(True)
        assert senders.send(2, 500, 500) == 2
        senders.send(2, 10)
        found, counts = scraped(store), brakes.counts(("benign", "flood"))["flood"]
        acted = {
            reason: found.get(f'ebpfnn_guard_events_total{{label="flood",name="guard",reason="{reason}"}}') for reason in counts
        }
        assert acted == {"acted": 3, "audited": 4, "paused": 2, "capped": 0, "allowed": None}
        assert {name: count for name, count in acted.items() if count is not None} == {
            name: count for name, count in counts.items() if name != "allowed"
        }
        assert found['ebpfnn_events_observed_total{name="guard"}'] == 10
        assert found['ebpfnn_verdicts_total{label="benign",name="guard"}'] == 1
        assert found['ebpfnn_verdicts_total{label="flood",name="guard"}'] == 9
        assert found['ebpfnn_inferences_total{name="guard"}'] == 10
        assert found['ebpfnn_map_entries{map="states",name="guard"}'] == 3
        assert found['ebpfnn_map_entries{map="guarded",name="guard"}'] == 3
        assert found['ebpfnn_guard_paused{name="guard"}'] == 1
        assert found['ebpfnn_guard_acting{name="guard"}'] == 0
        brakes.pause(False)
        assert scraped(store)['ebpfnn_guard_acting{name="guard"}'] == 1
        instance.swap(calibrated)
        assert scraped(store)['ebpfnn_swaps_total{name="guard"}'] == 1
        instance.unload()
    assert not any('name="guard"' in name for name in scraped(store))


def test_it_serves_over_http_and_ends_at_sigterm(store: Store) -> None:
    with Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one"), served(store) as (port, process):
        status, kind, text = get(port)
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert samples(text)['ebpfnn_inferences_total{name="one"}'] == 0
        status, kind, text = get(port, accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        assert get(port, "/other")[0] == 404
        silent = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(3)]
        assert get(port)[0] == 200  # who says nothing keeps nobody else waiting
        for each in silent:
            each.close()
        taken = ebpfnn(store, "exporter", "--listen", f"127.0.0.1:{port}")
        assert (taken.returncode, taken.stdout) == (1, "")
        assert "cannot be listened at (Address already in use); give another one with --listen\n" in taken.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143


def test_what_vanishes_during_a_scrape_is_no_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "three", "two"):
        Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name=name)
    read = Instance.snapshot

    def unloaded_first(instance: Instance, seconds: float) -> object:
        if instance.name == "three":
            Instance.open("three", store).unload()
        return read(instance, seconds)

    monkeypatch.setattr(Instance, "snapshot", unloaded_first)
    found = scraped(store)
    readable = {name: value for name, value in found.items() if name.startswith("ebpfnn_instance_readable")}
    assert readable == {f'ebpfnn_instance_readable{{name="{name}"}}': 1 for name in ("one", "two")}


def test_without_time_an_instance_is_told_as_unreadable(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one")
    collector = Instances(store, -1)
    for _ in range(2):
        found = samples(generate_latest(collector).decode())
        assert found['ebpfnn_instance_readable{name="one"}'] == 0
        assert 'ebpfnn_inferences_total{name="one"}' not in found
    assert [record.message for record in caplog.records] == [
        "instance 'one': there was no time left to read it; raise --timeout"
    ]


def test_an_instance_of_another_version_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one")
    monkeypatch.setattr(abi, "VERSION", abi.VERSION + 1)
    found = scraped(store)
    assert found['ebpfnn_instance_abi{name="one"}'] == abi.VERSION - 1
    assert found["ebpfnn_abi"] == abi.VERSION
    assert found['ebpfnn_instance_readable{name="one"}'] == 0


def test_the_file_for_node_exporter_is_whole_or_not_there(store: Store, tmp_path: Path) -> None:
    Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one")
    path = tmp_path / "ebpfnn.prom"
    assert ebpfnn(store, "exporter", "--textfile", str(path)).returncode == 0
    assert samples(path.read_text())['ebpfnn_instance_readable{name="one"}'] == 1
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    ran = ebpfnn(store, "exporter", "--textfile", str(tmp_path / "none" / "x.prom"))
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "cannot be written (No such file or directory); give another file" in ran.stderr
    assert [each.name for each in tmp_path.iterdir() if each.name != "bpf"] == ["ebpfnn.prom"]
    assert ebpfnn(store, "exporter", "--once", "--textfile", str(path)).returncode == 2


def _umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


@pytest.fixture
def open_to_all(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Store]]:
    """A place for mounts, and a store that every user may look into."""
    with tempfile.TemporaryDirectory(prefix="ebpfnn-test-") as made:
        Path(made).chmod(0o755)
        for name in ("place", "bpf"):
            (Path(made) / name).mkdir()
        monkeypatch.setenv("EBPFNN_BPFFS", f"{made}/bpf")
        with mounted(Path(made) / "bpf") as store:
            yield Path(made) / "place", store


def test_a_member_of_the_group_needs_no_capability(
    open_to_all: tuple[Path, Store], senders: Senders, calibrated: QuantizedNetwork
) -> None:
    """But for CAP_BPF before Linux 5.19, where unprivileged_bpf_disabled closes all of bpf(2)."""
    place, _ = open_to_all
    with load(calibrated, group=65534) as instance:
        senders.send(0, *[500] * 4)
        ran = run(place, (), "exporter", "--once")
        if "refused with EPERM" in ran.stderr:
            ran = run(place, ("bpf",), "exporter", "--once")
        assert (ran.returncode, ran.stderr) == (0, "")
        found = samples(ran.stdout)
        assert found['ebpfnn_guard_events_total{label="flood",name="guard",reason="audited"}'] == 3
        assert found['ebpfnn_map_entries{map="states",name="guard"}'] == 1
        assert found['ebpfnn_instance_attached{name="guard"}'] == 1
        instance.unload()


def test_who_is_no_member_is_told_which_instance_is_closed(open_to_all: tuple[Path, Store]) -> None:
    place, store = open_to_all
    with Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one", store=store) as instance:
        ran = run(place, ("bpf",), "exporter", "--once")
        assert ran.returncode == 0
        assert samples(ran.stdout)['ebpfnn_instance_readable{name="one"}'] == 0
        assert "is closed to this user (Permission denied)" in ran.stderr
        assert ran.stderr.count("\n") == 1
        instance.unload()
