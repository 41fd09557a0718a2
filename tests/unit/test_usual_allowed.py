"""Who is never acted on: read from a /proc that a test made."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from networks import random_network

from ebpfnn import Plugins
from ebpfnn.cli import guard_options
from ebpfnn.errors import UsageError
from ebpfnn.events.policy import entry
from ebpfnn.instance.usual_allowed import peers, usual
from ebpfnn.network.calibration import Calibration
from ebpfnn.network.events import carried

EVENTS = carried({"name": "any"}, "tc")
HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def line(number: int, local: str, peer: str, state: str, inode: int) -> str:
    return (
        f"   {number}: {local} {peer} {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0 100 0 0 10 0\n"
    )


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """sshd listens at port 22, and another program at port 80; both have connections."""
    (tmp_path / "net").mkdir()
    tcp = [
        line(0, "00000000:0016", "00000000:0000", "0A", 100),
        line(1, "00000000:0050", "00000000:0000", "0A", 200),
        line(2, "0100000A:0016", "0700000A:C350", "01", 0),
        line(3, "0100000A:0050", "0800000A:C350", "01", 300),
        line(4, "0100000A:0016", "0900000A:C350", "06", 0),
        line(5, "0100000A:C350", "0B00000A:0016", "01", 301),
        line(6, "0100000A:C351", "0D00000A:0050", "01", 102),  # of sshd itself, which forwards a port
    ]
    (tmp_path / "net" / "tcp").write_text(HEAD + "".join(tcp))
    six = [
        line(0, "00000000000000000000000000000000:0016", "00000000000000000000000000000000:0000", "0A", 101),
        line(1, "B80D0120000000000000000001000000:0016", "B80D0120000000000000000002000000:C350", "01", 0),
        line(2, "0000000000000000FFFF00000100000A:0016", "0000000000000000FFFF00000C00000A:C350", "01", 0),
    ]
    (tmp_path / "net" / "tcp6").write_text(HEAD + "".join(six))
    for number, (name, inodes) in {"10": ("sshd", (100, 101, 102)), "11": ("nginx", (200, 300))}.items():
        (tmp_path / number / "fd").mkdir(parents=True)
        (tmp_path / number / "comm").write_text(name + "\n")
        for place, inode in enumerate(inodes):
            (tmp_path / number / "fd" / str(place)).symlink_to(f"socket:[{inode}]")
        (tmp_path / number / "fd" / "9").symlink_to("/dev/null")
    return tmp_path


def test_peers_of_connections_to_the_ports_of_sshd(proc: Path) -> None:
    assert peers(proc) == {IPv4Address("10.0.0.7"), IPv6Address("2001:db8::2"), IPv4Address("10.0.0.12")}


def test_port_22_if_the_sockets_of_sshd_may_not_be_seen(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a service with few capabilities; of a program that is not sshd it does not matter."""
    look = Path.iterdir

    def closed(path: Path) -> object:
        if path.name == "fd":
            raise PermissionError
        return look(path)

    expected = peers(proc)
    monkeypatch.setattr(Path, "iterdir", closed)
    assert peers(proc) == expected
    (proc / "10" / "comm").write_text("other\n")
    assert peers(proc) == set()


def test_a_proc_that_tells_nothing(tmp_path: Path) -> None:
    assert peers(tmp_path) == set()


def test_every_entry_is_one_of_an_allow_list() -> None:
    found = usual()
    assert "source in 127.0.0.0/8" in found
    assert "version == 6 and destination_high == 0 and destination_low == 1" in found
    assert all(entry(each) for each in found)


def test_more_peers_than_an_allow_list_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    network = replace(random_network((3, 2), seed=1), labels=("benign", "scan"))
    model = replace(network, calibration=Calibration("benign", 5, 0.01, 1000, 4, 3, 0.008), events=EVENTS)
    monkeypatch.setattr(guard_options, "usual", lambda: ("source in 127.0.0.0/8",) * 64)
    given = {"action": "drop", "enforce": False, "seconds": None, "after": 2, "lasting": 60.0, "most": 0.5}
    words = ("source in 10.0.0.0/8",)
    fact = "65 entries are allowed, 64 of them for loopback and who is logged in by SSH; give at most 64: --no-usual-allowed"
    with pytest.raises(UsageError, match=fact):
        guard_options.asked(model, Plugins.installed(), allowed=words, no_usual_allowed=False, **given)
    assert guard_options.asked(model, Plugins.installed(), allowed=words, no_usual_allowed=True, **given)
