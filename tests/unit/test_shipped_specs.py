"""The specs that come with ebpfnn: they fit the fields of their events, and give numbers computed by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from specs import PACKET, REDUCERS, THREAD, packet, reply, thread

from ebpfnn.events import Bound, Field, Place, Replay, bind, build, describe, find, load, shipped
from ebpfnn.events.specfile import SHIPPED

MS = 10**6
SYN, RST, PSH, ACK = 2, 4, 8, 16
FACTOR = 0x9E3779B97F4A7C15
ARGUMENTS = {
    "openat": ("dfd", "filename", "flags", "mode"),
    "getdents64": ("fd", "dirent", "count"),
    "read": ("fd", "buf", "count"),
    "write": ("fd", "buf", "count"),
    "ftruncate": ("fd", "length"),
    "rename": ("oldname", "newname"),
    "renameat": ("olddfd", "oldname", "newdfd", "newname"),
    "renameat2": ("olddfd", "oldname", "newdfd", "newname", "flags"),
    "unlink": ("pathname",),
    "unlinkat": ("dfd", "pathname", "flag"),
    "execve": ("filename", "argv", "envp"),
    "connect": ("fd", "uservaddr", "addrlen"),
    "exit_group": ("error_code",),
}
"""The arguments of system calls as their tracepoints have them (Linux 5.10 to 6.18)."""


def call_fields(name: str) -> list[Field]:
    own = [Field("__syscall_nr", 8, 4, signed=True, place=Place.CONTEXT)]
    return own + [Field(each, 16 + 8 * k, 8, signed=False, place=Place.CONTEXT) for k, each in enumerate(ARGUMENTS[name])]


def ready(name: str) -> Bound:
    spec = find(name)
    fields = {event.name: [*call_fields(event.name), *THREAD] if spec.name == "process" else PACKET for event in spec.events}
    return bind(spec, fields, REDUCERS)


@pytest.mark.parametrize("name", shipped())
def test_each_fits_and_is_called_like_its_file(name: str) -> None:
    bound = ready(name)
    assert bound.spec.name == name
    assert build(describe(bound.spec)) == bound.spec == load(SHIPPED / f"{name}.toml")


def test_there_are_these() -> None:
    assert shipped() == ["bachl", "flow", "nn-ebpf", "process", "source"]
    table = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    assert re.findall(r"^\| `([\w-]+)` \| `[\w.]+` \| [^|]*\| \d+ \|", table, re.MULTILINE) == shipped()


@pytest.mark.parametrize("name", shipped())
def test_the_guide_tells_key_and_columns(name: str) -> None:
    table = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
    [(key, columns)] = re.findall(rf"^\| `{name}` \| `([\w.]+)` \| [^|]*\| (\d+) \|", table, re.MULTILINE)
    spec = find(name)
    assert [key] == ([spec.key] if isinstance(spec.key, str) else list(spec.key))
    assert int(columns) == len(spec.columns)


def by_name(bound: Bound, results: tuple[int, ...]) -> dict[str, int]:
    return dict(zip(bound.names, results, strict=True))


def test_flow() -> None:
    bound = ready("flow")
    twin = Replay(bound)
    handshake = [
        packet(0, network_length=60, tcp_flags=SYN, hops=64, tcp_window=1000),
        reply(2048, network_length=60, tcp_flags=SYN | ACK, hops=60, tcp_window=5),
        packet(12288, network_length=140, payload=100, tcp_flags=PSH | ACK, hops=64),
    ]
    assert [twin.observe("xdp", values) for values in handshake] == [None] * 3
    assert twin.observe("xdp", packet(12300, version=0)) is None
    row = twin.observe("xdp", reply(15360, network_length=540, payload=500, tcp_flags=PSH | ACK, hops=60))
    assert row is not None
    found = by_name(bound, row.results)
    assert [found.pop(f"first_lengths.{k}") for k in range(1, 9)] == [60, 60, 140, 540, 0, 0, 0, 0]
    # Replies are 0, 1, 0, 1. 0, 1, 0 is x = 2^16, whose product begins with the bits 011; 1, 0, 1 is 2^32 + 1: 000.
    assert [found.pop(f"turns.{k}") for k in range(1, 9)] == [1, 0, 0, 1, 0, 0, 0, 0]
    assert found == {
        "protocol": 6,
        "port": 80,
        "hops": 60,
        "packets": 4,
        "replies": 2,
        "bytes": 800,
        "reply_bytes": 600,
        "payload": 600,
        "reply_payload": 500,
        "empty": 2,
        "shortest": 60,
        "longest": 540,
        "length_mean": 200,
        "length_deviation": 98,  # means 60, 60, 86, 200; distances 0, 0, 54, 340
        "age": 15,
        "longest_gap": 10,
        "gap_mean": 3,  # 0, 2, 10, 3
        "gap_deviation": 1,  # means 0, 1, 4, 3; distances 0, 1, 6, 0
        "recent_gap": 1,  # 0, 2, 2 + 10, 12 - 1 + 3 = 14, and 14 / 8
        "syns": 2,
        "pushes": 2,
        "window": 1000,
        "burst": 4,
    }
    last = twin.observe("xdp", packet(20480, tcp_flags=RST))
    assert last is not None
    assert (last.number, twin.states) == (5, {})


def test_source() -> None:
    """A scan: eight SYNs in two seconds, to two addresses and eight ports."""
    bound = ready("source")
    twin = Replay(bound)
    rows = []
    for k in range(8):
        values = packet(k * 250 * MS, network_length=60, tcp_flags=SYN, hops=64, source_port=4000)
        found = twin.observe(0, {**values, "destination": 0x0A000100 + k % 2, "destination_port": 20 + k})
        rows += [found] if found else []
    assert [row.number for row in rows] == [5, 8]  # one second after the first, and the eighth
    expected = {
        "packets": 8,
        "bytes": 480,
        "destinations": 2,
        "destinations6": 0,
        "ports": len({(20 + k) * FACTOR % 2**64 >> 54 for k in range(8)}),
        "own_ports": 1,
        "syns": 8,
        "resets": 0,
        "acks": 0,
        "nulls": 0,
        "udp": 0,
        "icmp": 0,
        "icmp6": 0,
        "fragments": 0,
        "faulty": 0,
        "empty": 8,
        "length_mean": 60,
        "length_deviation": 0,
        "hops": 1,
        "gap_mean": 244140 * 7 // 8,  # 250 ms in units of 1,024 ns, but 0 at the first
        "gap_deviation": sum(244140 - 244140 * k // (k + 1) for k in range(1, 8)) // 8,
        "second": 4,
        "peak": 4,
        "byte_peak": 240,
        "syn_peak": 4,
    }
    assert by_name(bound, rows[1].results) == expected


def test_process() -> None:
    bound = ready("process")
    twin = Replay(bound)
    calls = [
        ("openat", 257, {"flags": 0x41}),
        ("openat", 257, {}),
        ("write", 1, {"count": 100}),
        ("write", 1, {"count": 300}),
        ("rename", 82, {}),
        ("unlink", 87, {}),
    ]
    for k, (name, number, given) in enumerate(calls):
        values = dict.fromkeys(ARGUMENTS[name], 0) | thread(k * MS) | {"__syscall_nr": number} | given
        assert twin.observe(name, values) is None
        assert twin.observe(name, {**values, "tgid": 8}) is None
    row = twin.observe("exit_group", thread(6 * MS) | {"__syscall_nr": 231, "error_code": 0})
    assert row is not None
    assert (row.key, row.number, len(twin.states)) == ((7).to_bytes(8, "little"), 7, 1)
    found = by_name(bound, row.results)
    numbers = [number for _, number, _ in calls] + [231]
    buckets = [0] * 32
    for k in range(2, 7):
        buckets[(numbers[k] + 2**16 * numbers[k - 1] + 2**32 * numbers[k - 2]) * FACTOR % 2**64 >> 59] += 1
    assert [found.pop(f"sequences.{k}") for k in range(1, 33)] == buckets
    expected = {
        "calls": 7,
        "opened": 2,
        "opened_to_write": 1,
        "created": 1,
        "writes": 2,
        "written": 400,
        "write_mean": 200,
        "write_deviation": 50,  # means 100, 200; distances 0, 100
        "largest_write": 300,
        "renamed": 1,
        "removed": 1,
        "age": 5,  # 6 ms in units of 2^20 ns
        "gap_mean": 836,  # six times 976 in seven calls
        "call_peak": 7,
        "open_peak": 2,
        "write_peak": 400,
        "rename_peak": 1,
        "remove_peak": 1,
    }
    assert {name: value for name, value in found.items() if value} == expected


def test_nn_ebpf() -> None:
    bound = ready("nn-ebpf")
    twin = Replay(bound)
    header = {"network_header": 20}
    assert twin.observe(0, packet(0, network_length=60, transport_header=40, tcp_flags=SYN, **header)) is None
    assert twin.observe(0, reply(5, network_length=1500, transport_header=40, tcp_flags=SYN | ACK, **header)) is None
    assert twin.observe(0, packet(700, network_length=52, transport_header=32, tcp_flags=ACK, **header)) is None
    assert twin.observe(0, packet(800, network_length=9, transport_header=32, network_header=24)) is None
    row = twin.observe(0, packet(1000, network_length=152, transport_header=32, tcp_flags=1 | ACK, **header))
    assert row is not None
    expected = {"longest": 152, "longest_gap": 700, "shortest": 52, "port": 80, "headers": 104, "packets": 3}
    assert by_name(bound, row.results) == expected
    assert len(twin.states) == 1


def test_bachl() -> None:
    bound = ready("bachl")
    twin = Replay(bound)
    events = [packet(0, network_length=100), reply(5120, network_length=200), packet(7268, network_length=60)]
    row = [twin.observe(0, values) for values in events][-1]
    assert row is not None
    assert by_name(bound, row.results) == {
        "source_port": 1000,
        "destination_port": 80,
        "protocol": 6,
        "length": 60,
        "gap": 2148,
        "direction": 0,
        "length_mean": 120 << 16,
        "gap_mean": 2,  # 0, 5, 2
        "direction_mean": 21845,  # 65536 / 3
        "length_deviation": (110 << 16) // 3,  # means 100, 150, 120; distances 0, 50, 60
        "gap_deviation": 1,  # means 0, 2, 2; distances 0, 3, 0
        "direction_deviation": 18204,  # means 0, 32768, 21845; distances 0, 32768, 21845
    }
