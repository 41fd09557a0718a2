"""Rows of real connections, live and from captures, against the twin's replay of the events of the same run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from captures import pcap, pcapng
from eventframes import ethernet, ipv4, tcp, udp
from netspace import namespace, run
from traffic import captured, traffic
from waiting import wait_until

from ebpfnn.collect import Collector, collect, command, read_events
from ebpfnn.collect.programs import Programs
from ebpfnn.collect.rows import Rows, reading
from ebpfnn.errors import InputError, KernelError, UsageError
from ebpfnn.events import build, replay
from ebpfnn.plugin import Plugins
from ebpfnn.preparation.tables import read_about

pytestmark = pytest.mark.root
ROOT = Path(__file__).parents[2]
TIMELESS = build(
    {
        "name": "timeless",
        "key": "flow",
        "where": ["version == 4", "protocol == 6"],
        "end": ["tcp_flags & fin|rst"],
        "event": [{"trigger": "tc"}],
        "at": {"every": 2},
        "column": [
            {"name": "packets", "reduce": "count"},
            {"name": "sizes", "reduce": "first", "of": "length", "n": 5},
            {"name": "latest", "reduce": "recent", "of": "payload", "n": 3},
            {"name": "mean", "reduce": "mean", "of": "length"},
            {"name": "spread", "reduce": "deviation", "of": "length"},
            {"name": "flags", "reduce": "ngram", "of": "tcp_flags", "n": 2, "buckets": 8},
        ],
    }
)


def together(blocks: Sequence[Rows]) -> list[tuple[Any, ...]]:
    """Each row: its key, its number, its time and its results."""
    rows = (zip(each.keys, each.numbers.tolist(), each.times.tolist(), each.results.tolist(), strict=True) for each in blocks)
    return [(key, number, at, tuple(results)) for block in rows for key, number, at, results in block]


def read(path: Path) -> list[tuple[Any, ...]]:
    with reading(path) as (_, _, blocks):
        return together(list(blocks))


def replayed(path: Path, collector: Collector) -> list[tuple[Any, ...]]:
    """The rows of the twin for recorded events."""
    from ebpfnn.collect.keys import writer

    text = writer(collector.sources.bound)
    _, events = read_events(path)
    found = replay(collector.sources.bound, events)
    return [(text(each.key), each.number, each.time, each.results) for each in found]


def frames(count: int, flows: int = 40, seed: int = 1) -> list[tuple[int, bytes]]:
    """Packets of some connections, with times that sometimes go back, and some that the spec ignores."""
    random = np.random.default_rng(seed)
    found, now = [], 1_700_000_000_000_000_000
    for _ in range(count):
        now += int(random.integers(-2000, 3_000_000))
        data = b"x" * int(random.integers(0, 400))
        if random.random() < 0.1:
            found.append((now, ethernet(0x0800, ipv4(17, udp(data)))))
            continue
        flags = int(random.choice([2, 16, 24, 17], p=[0.05, 0.5, 0.4, 0.05]))
        segment = bytearray(tcp(data, flags=flags))
        segment[:2] = (1000 + int(random.integers(flows))).to_bytes(2, "big")
        packet = bytearray(ethernet(0x0800, ipv4(6, bytes(segment))))
        found.append((now, bytes(packet)))
    return found


def test_live_rows_are_the_twins_of_the_same_packets() -> None:
    """Two programs see each packet, one after the other: one sends rows, the other the fields."""
    kept: list[tuple[int, bytes]] = []
    with traffic() as made:
        recorder = Collector(TIMELESS, target="here", on_event=lambda index, data: kept.append((index, data)))
        with Collector(TIMELESS, target="here") as collector, recorder:
            made.connections(60)
            assert wait_until(made.is_over)  # the last packets of a connection come after it is closed
            rows = together(list(collector.blocks(lambda: False)))
            of_twin = together(list(recorder.blocks(lambda: False)))
        assert (collector.counts().lost, recorder.counts().lost) == (0, 0)
    assert len(rows) > 150
    assert len(kept) == collector.counts().observed == recorder.counts().observed
    assert [(key, number, results) for key, number, _, results in rows] == [
        (key, number, results) for key, number, _, results in of_twin
    ]
    assert all(key.startswith("10.9.0.1:") and key.endswith("/tcp") for key, *_ in rows)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
def test_a_capture_gives_the_rows_of_the_twin(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    given = frames(2000)
    (tmp_path / "a.pcapng").write_bytes(pcapng(given))
    output, events = tmp_path / f"rows{suffix}", tmp_path / "events.npz"
    found = collect("flow", output, capture=tmp_path / "a.pcapng", label="some", group="one")
    assert (found.rows, found.counts.lost, found.skipped) == (found.counts.rows, 0, "")
    assert collect("flow", None, record=events, capture=tmp_path / "a.pcapng").recorded == found.counts.observed > 1500
    rows = read(output)
    assert len(rows) == found.rows > 100
    assert rows == replayed(events, Collector("flow", capture=tmp_path / "a.pcapng"))
    assert {at for _, _, at, _ in rows} < {at for at, _ in given}  # the capture's clock
    assert read_about(output).get("trigger", "xdp") == "xdp"


@pytest.mark.parametrize("name", ["xdp", "tc", "cgroup_skb", "socket_filter"])
def test_a_capture_through_every_trigger_of_packets(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(600)))
    collected, events = tmp_path / "rows.csv", tmp_path / "events.npz"
    collect("flow", collected, trigger=name, capture=tmp_path / "a.pcap")
    collect("flow", None, trigger=name, record=events, capture=tmp_path / "a.pcap")
    rows = read(collected)
    assert len(rows) > 50
    assert rows == replayed(events, Collector("flow", trigger=name, capture=tmp_path / "a.pcap"))


def test_recording_with_rows_has_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(500)))
    collect("flow", tmp_path / "kernel.csv", capture=tmp_path / "a.pcap", group="g")
    collect("flow", tmp_path / "twin.csv", record=tmp_path / "events.npz", capture=tmp_path / "a.pcap", group="g")
    assert (tmp_path / "kernel.csv").read_text() == (tmp_path / "twin.csv").read_text()


def test_packets_that_are_skipped_are_told(tmp_path: Path) -> None:
    given = frames(30)
    (tmp_path / "a.pcap").write_bytes(pcap([*given, (5, b"short"), (6, given[0][1] + bytes(60_000))]))
    found = collect("flow", tmp_path / "a.csv", capture=tmp_path / "a.pcap")
    assert found.skipped.startswith("packets skipped: 1 shorter than 14 bytes, 1 longer than")
    (tmp_path / "b.pcap").write_bytes(pcap(given, link=101))
    with pytest.raises(InputError, match="no packets of Ethernet"):
        collect("flow", tmp_path / "b.csv", capture=tmp_path / "b.pcap")
    assert not (tmp_path / "b.csv").exists()


def test_a_damaged_capture_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(300))[:-7])
    with pytest.raises(InputError, match=r"a.pcap: packet 300: cut short; give a whole"):
        collect("flow", tmp_path / "a.csv", capture=tmp_path / "a.pcap")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pcap"]


def test_events_of_threads_and_several_events(tmp_path: Path) -> None:
    """Two tracepoints that share the state of a process, filtered to this one."""
    if why := _no_tracepoints():
        pytest.skip(why)
    spec = build(
        {
            "name": "calls",
            "key": ["tgid", "comm", "comm_rest"],
            "where": [f"tgid == {os.getpid()}"],
            "event": [
                {"trigger": "tracepoint", "target": "syscalls:sys_enter_getpgid"},
                {"trigger": "tracepoint", "target": "syscalls:sys_enter_getsid"},
            ],
            "column": [
                {"name": "all", "reduce": "count"},
                {"name": "groups", "reduce": "count", "event": "sys_enter_getpgid"},
                {"name": "kinds", "reduce": "ngram", "of": "number", "n": 1, "buckets": 2},
            ],
        }
    )
    with Collector(spec) as collector:
        for number in range(30):
            (os.getpgid if number % 3 else os.getsid)(0)
        rows = together(list(collector.blocks(lambda: False)))
        counts = collector.counts()
    assert (counts.observed, counts.created, counts.rows, counts.lost) == (30, 1, 30, 0)
    assert [results[:2] for *_, results in rows] == [(n + 1, n + 1 - (n + 3) // 3) for n in range(30)]
    assert {key for key, *_ in rows} == {f'tgid={os.getpid()} comm="{Path("/proc/self/comm").read_text().strip()}"'}


def _no_tracepoints() -> str | None:
    return Plugins.installed().trigger("tracepoint").supported()


def test_what_cannot_be_counted_is_detached_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_self: Programs) -> None:
        raise KernelError("the map of counts is gone; try again")

    with namespace():
        collector = Collector("flow", target="here").__enter__()
        assert has_xdp()
        monkeypatch.setattr(Programs, "counts", fails)
        with pytest.raises(KernelError, match="the map of counts is gone"):
            collector.close()
        assert not has_xdp()
        collector.close()


def test_lost_rows_are_counted(tmp_path: Path) -> None:
    """A ring of one page is full at once, since nobody reads while the packets come."""
    (tmp_path / "a.pcap").write_bytes(pcap(frames(1)))
    given = [(time, data) for time, data in frames(2000) if data[23] == 6]
    with Collector("flow", capture=tmp_path / "a.pcap", ring_bytes=4096) as collector:
        programs = collector._programs
        assert programs is not None
        (program,) = programs.objects[0].programs.values()
        for _, data in given:
            program.run(data=data)
        rows = sum(len(block) for block in collector._rest())
        counts = collector.counts()
    assert counts.lost > 0
    assert 0 < rows == counts.rows - counts.lost


@contextmanager
def running(*words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "ebpfnn", "collect", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_xdp() -> None:
    assert wait_until(has_xdp)


def has_xdp() -> bool:
    return "xdp" in subprocess.run(["ip", "link", "show", "here"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_has_come(tmp_path: Path, number: signal.Signals, status: int) -> None:
    output = tmp_path / "rows.csv"
    with traffic() as made, running("flow", "--target", "here", "--output", str(output), "--label", "some") as process:
        wait_for_xdp()
        made.connections(10)
        process.send_signal(number)
        said, complaint = process.communicate(timeout=60)
        assert (process.returncode, complaint) == (status, "")
        rows = read(output)
        assert said.startswith(f"{output}: {len(rows)} rows, from ")
        assert len({key for key, *_ in rows}) == 10
        assert not has_xdp()


def test_a_killed_one_leaves_nothing_attached_and_the_next_removes_its_file(tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    with traffic() as made, running("flow", "--target", "here", "--output", str(output)) as process:
        wait_for_xdp()
        made.connections(3)
        process.kill()
        process.wait(timeout=60)
        assert wait_until(lambda: not has_xdp())
        assert not output.exists()
        (left,) = tmp_path.iterdir()
        collect("flow", output, target="here", seconds=0.1)
        assert not left.exists()


def test_a_command_makes_the_events_and_ends_it(tmp_path: Path) -> None:
    code = "from socket import *; s = socket(AF_PACKET, SOCK_RAW); s.bind(('there', 0)); [s.send(bytes(60)) for _ in range(9)]"
    described = {"name": "all", "key": ["ethertype"], "where": ["ethertype == 0"], "event": [{"trigger": "xdp"}]}
    spec = build({**described, "column": [{"name": "n", "reduce": "count"}]})
    with namespace():
        progress = collect(spec, tmp_path / "a.csv", target="here", command=[sys.executable, "-c", code])
        assert (progress.status, progress.signal) == (0, 0)
        assert [results for *_, results in read(tmp_path / "a.csv")] == [(number,) for number in range(1, 10)]
        assert collect(spec, tmp_path / "b.csv", target="here", command=["sh", "-c", "exit 3"]).status == 3
        assert collect(spec, tmp_path / "c.csv", target="here", command=["sh", "-c", "kill -9 $$"]).status == -9
        with pytest.raises(UsageError, match=r"^command 'no-such' cannot be started: .*; give a program"):
            collect(spec, tmp_path / "d.csv", target="here", command=["no-such"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "c.csv"]


def test_the_command_ends_with_the_collection(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    with namespace():
        command = ["sh", "-c", f"echo $$ > {told}; exec sleep 600"]
        assert collect("flow", tmp_path / "a.csv", target="here", seconds=3, command=command).status == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


@pytest.mark.parametrize("ignoring", ["", "trap '' TERM; "], ids=["end at once", "ignore it"])
def test_what_the_command_started_ends_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ignoring: str) -> None:
    monkeypatch.setattr(command, "in_foreground", lambda: False)
    monkeypatch.setattr(command, "_PATIENCE", 0.5)
    told = tmp_path / "pid"
    with namespace():
        words = ["sh", "-c", f"{ignoring}sh -c '{ignoring}sleep 600 & echo $! > {told}; wait'; true"]
        collect("flow", tmp_path / "a.csv", target="here", seconds=2, command=words)
    assert wait_until(lambda: not Path(f"/proc/{told.read_text().strip()}").exists())


def test_a_command_in_the_foreground_of_a_terminal_stays_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for foreground in (True, False):
        monkeypatch.setattr(command, "in_foreground", lambda foreground=foreground: foreground)
        with command.running(["sleep", "600"]) as process:
            assert (os.getpgid(process.pid) == os.getpgrp()) == foreground
        assert process.returncode == -signal.SIGTERM


def test_files_that_are_there_are_not_replaced_by_events(tmp_path: Path) -> None:
    capture, events = tmp_path / "a.pcap", tmp_path / "events.npz"
    capture.write_bytes(pcap(frames(20)))
    with pytest.raises(UsageError, match=r"events.npz: rows and events would be one file; give another name to one of them$"):
        collect("flow", events, record=events, capture=capture)
    assert not events.exists()
    events.write_text("mine")
    with pytest.raises(InputError, match=r"events.npz: is there already; give another name to record to$"):
        collect("flow", tmp_path / "rows.csv", record=events, capture=capture)
    assert events.read_text() == "mine"
    assert sorted(tmp_path.iterdir()) == [capture, events]


def test_time_and_rows_end_it(tmp_path: Path) -> None:
    with traffic() as made:
        began = time.monotonic()
        assert collect(TIMELESS, tmp_path / "a.csv", target="here", seconds=0.5).rows == 0
        assert 0.4 < time.monotonic() - began < 20
        with Collector("flow", target="here") as collector:
            made.connections(30)
            assert sum(map(len, collector.blocks(lambda: False))) > 30
        (tmp_path / "a.pcap").write_bytes(pcap(frames(3000)))
        assert collect("flow", tmp_path / "b.csv", capture=tmp_path / "a.pcap", most_rows=17).rows == 17
        assert len(read(tmp_path / "b.csv")) == 17


@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet"])
def test_a_full_disk_keeps_what_fits(tmp_path: Path, suffix: str) -> None:
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "a.pcap").write_bytes(pcap(frames(40_000, flows=4000)))
    small = tmp_path / "small"
    small.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small))
    try:
        found = collect("flow", small / f"rows{suffix}", capture=tmp_path / "a.pcap", label="x", group="g")
        assert "No space left on device" in found.full
        assert [path.name for path in small.iterdir()] == [f"rows{suffix}"]
        rows = read(small / f"rows{suffix}")
        assert len(rows) == found.rows > 300
        collect("flow", tmp_path / f"rows{suffix}", capture=tmp_path / "a.pcap", most_rows=len(rows), label="x", group="g")
        assert rows == read(tmp_path / f"rows{suffix}")
        with suppress(InputError):  # where there is no room for a copy
            assert collect("flow", small / f"rows{suffix}", capture=tmp_path / "a.pcap", append=True).full
        assert read(small / f"rows{suffix}")[: len(rows)] == rows
    finally:
        run("umount", str(small))


def test_the_interface_of_the_default_route_needs_a_yes(tmp_path: Path) -> None:
    with namespace():
        run("ip", "address", "add", "192.0.2.1/24", "dev", "here")
        run("ip", "route", "add", "default", "via", "192.0.2.2", "dev", "here")
        words = ["flow", "--target", "here", "--output", str(tmp_path / "a.csv"), "--for", "100ms"]
        with running(*words) as process:
            _, complaint = process.communicate(timeout=60)
        assert process.returncode == 2
        assert complaint == (
            "ebpfnn: interface 'here' has a default route, so this machine may be reached by it; "
            "give --yes to attach there, or another --target\n"
        )
        run("ip", "link", "property", "add", "dev", "here", "altname", "uplink")
        with running(*words, "--target", "uplink") as process:
            assert process.wait(timeout=60) == 2
        with running(*words, "--yes") as process:
            said, complaint = process.communicate(timeout=60)
        assert (process.returncode, complaint) == (0, "")
        # A new interface receives packets of IPv6 by itself.
        assert re.fullmatch(rf"{tmp_path / 'a.csv'}: \d rows, from \d+ events\n", said)


def test_what_is_attached_already_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    with namespace(), Collector("flow", target="here"):
        with pytest.raises(Exception, match="here"):
            collect("flow", tmp_path / "a.csv", target="here", seconds=0.1)
        assert not list(tmp_path.iterdir())


def test_append_checks_the_spec_and_the_mode(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(pcap(frames(500)))
    output = tmp_path / "rows.npz"
    first = collect("flow", output, capture=tmp_path / "a.pcap", group="one")
    with pytest.raises(InputError, match="is there already; add to it with --append"):
        collect("flow", output, capture=tmp_path / "a.pcap")
    again = collect("flow", output, capture=tmp_path / "a.pcap", group="two", append=True)
    assert (again.before, again.rows) == (first.rows, first.rows)
    rows = read(output)
    assert rows[: first.rows] == rows[first.rows :]
    with pytest.raises(InputError, match="another spec"):
        collect(TIMELESS, output, capture=tmp_path / "a.pcap", append=True)
    with pytest.raises(InputError, match="trigger 'xdp', and this is 'tc'"):
        collect("flow", output, trigger="tc", capture=tmp_path / "a.pcap", append=True)
    with namespace(), pytest.raises(InputError, match="mode '', and this is 'generic'"):
        collect("flow", output, target="here", seconds=0.1, append=True)


def test_a_target_and_packets_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"event 'xdp': trigger 'xdp' requires a target; give --target"):
        collect("flow", tmp_path / "a.csv")
    count = [{"name": "n", "reduce": "count"}]
    threads = build({"name": "threads", "key": ["tgid"], "event": [{"trigger": "raw_tracepoint"}], "column": count})
    with pytest.raises(UsageError, match="trigger 'raw_tracepoint' has no packets"):
        collect(threads, tmp_path / "a.csv", capture=tmp_path / "none.pcap")


@pytest.mark.slow
def test_a_hundred_thousand_events_of_real_traffic(tmp_path: Path) -> None:
    """Captured at a veth interface, in both directions; then the very frames go through the kernel, and through the twin."""
    with traffic() as made, captured("here") as packets:
        made.connections(8000)
    tcp_packets = [(at, data) for at, data in packets if len(data) > 23 and data[12:14] == b"\x08\0" and data[23] == 6]
    assert len(tcp_packets) > 100_000
    (tmp_path / "a.pcap").write_bytes(pcap(packets))
    found = collect("flow", tmp_path / "rows.npz", capture=tmp_path / "a.pcap")
    assert found.counts.observed > 100_000
    recorded = collect("flow", None, record=tmp_path / "events.npz", capture=tmp_path / "a.pcap")
    assert recorded.recorded == found.counts.observed
    rows = read(tmp_path / "rows.npz")
    assert len(rows) == found.rows > 15_000
    assert rows == replayed(tmp_path / "events.npz", Collector("flow", capture=tmp_path / "a.pcap"))


def test_native_and_generic_are_told_apart() -> None:
    with namespace():
        assert Collector("flow", target="here").about["mode"] == "generic"
        assert Collector("flow", target="here", options={"mode": "native"}).about["mode"] == "native"
