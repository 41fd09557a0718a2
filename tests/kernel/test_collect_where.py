"""``collect --where``: conditions of one collection, beside those of the spec."""

from __future__ import annotations

from pathlib import Path

import pytest
from captures import pcap
from click.testing import CliRunner
from eventframes import ethernet, ipv4, tcp, udp

from ebpfnn.cli import main
from ebpfnn.collect import collect, read_events
from ebpfnn.collect.rows import reading
from ebpfnn.errors import ModelError, UsageError
from ebpfnn.events import build
from ebpfnn.preparation.tables import read_about

pytestmark = pytest.mark.root
SPEC = build(
    {
        "name": "sizes",
        "key": ["protocol"],
        "where": ["version == 4"],
        "event": [{"trigger": "xdp"}],
        "column": [{"name": "packets", "reduce": "count"}, {"name": "bytes", "reduce": "sum", "of": "payload"}],
    }
)
FRAMES = [
    ethernet(0x0800, ipv4(protocol, build_payload(bytes(size))))
    for size in (10, 200, 30)
    for protocol, build_payload in ((6, tcp), (17, udp))
]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "a.pcap"
    path.write_bytes(
        pcap([*((1000 + number, frame) for number, frame in enumerate(FRAMES)), (2000, ethernet(0x0806, bytes(46)))])
    )
    return path


def rows(path: Path) -> list[tuple[str, list[int]]]:
    with reading(path) as (_, _, blocks):
        return [(key, results) for block in blocks for key, results in zip(block.keys, block.results.tolist(), strict=True)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ((), ["tcp", "udp"] * 3),
        (("protocol == 17",), ["udp"] * 3),
        (("protocol == 6", "payload > 100"), ["tcp"]),
        (("protocol == 6", "protocol == 17"), []),
    ],
)
def test_only_such_events_are_observed(tmp_path: Path, capture: Path, filters: tuple[str, ...], found: list[str]) -> None:
    numbers = {"tcp": 6, "udp": 17}
    progress = collect(SPEC, tmp_path / "a.csv", capture=capture, filters=filters)
    assert [key for key, _ in rows(tmp_path / "a.csv")] == [f"protocol={numbers[each]}" for each in found]
    assert progress.counts.observed == len(found)
    collect(SPEC, None, record=tmp_path / "events.npz", capture=capture, filters=filters)
    _, events = read_events(tmp_path / "events.npz")
    assert [fields["protocol"] for _, fields in events] == [numbers[each] for each in found]
    collect(SPEC, tmp_path / "b.csv", record=tmp_path / "more.npz", capture=capture, filters=filters)
    assert rows(tmp_path / "b.csv") == rows(tmp_path / "a.csv")


def test_states_count_only_such_events(tmp_path: Path, capture: Path) -> None:
    collect(SPEC, tmp_path / "a.csv", capture=capture, filters=["payload < 100"])
    assert rows(tmp_path / "a.csv")[-1] == ("protocol=17", [2, 40])


def test_the_file_has_the_spec_without_them(tmp_path: Path, capture: Path) -> None:
    """So rows of several collections can be in one file, and a network observes what its spec says."""
    for filters in (["protocol == 6"], ["protocol == 17"], []):
        collect(SPEC, tmp_path / "a.npz", capture=capture, filters=filters, append=True)
    assert read_about(tmp_path / "a.npz")["spec"]["where"] == ["version == 4"]
    assert len(rows(tmp_path / "a.npz")) == 12


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("uid == 1", "uid"),
        ("protocol = 6", "protocol = 6"),
        ("source in 10.0.0.1/8", "behind the prefix"),
        ("gap > 5", "gap"),
    ],
)
def test_wrong_conditions_leave_no_file(tmp_path: Path, capture: Path, condition: str, reason: str) -> None:
    with pytest.raises((ModelError, UsageError), match=f"{reason}.*; "):
        collect(SPEC, tmp_path / "a.csv", capture=capture, filters=[condition])
    assert list(tmp_path.iterdir()) == [capture]


def test_the_command_line(tmp_path: Path, capture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = ["collect", "flow", "--pcap", str(capture), "--output", "a.csv", "--append"]
    both = ["--where", "protocol == 6", "--where", "source in 10.0.0.0/8"]
    for words, told in ((both, "3 events"), (["--where", "protocol == 77"], "0 events"), ([], "6 events")):
        ran = CliRunner().invoke(main, [*given, *words])
        assert (ran.exit_code, ran.stdout) == (0, f"a.csv: 0 rows, from {told}\n"), ran.stderr
    ran = CliRunner().invoke(main, [*given, "--where", "protokol == 6"])
    assert ran.exit_code != 0
    assert "protokol" in ran.stderr
    assert "did you mean 'protocol'" in ran.stderr
