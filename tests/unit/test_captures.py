"""Captures are read packet by packet, and a damaged one is one line that names the packet."""

from __future__ import annotations

import gzip
import re
import struct
import tracemalloc
from pathlib import Path

import pytest
from captures import block, interface, packet, pcap, pcapng, section

from ebpfnn.collect.captures import ETHERNET, Frame, opened
from ebpfnn.errors import InputError

PACKETS = [(1_700_000_000_123_456_789, bytes(range(60))), (1_700_000_000_123_456_790, b"x" * 14), (5, b"")]
WHOLE = [Frame(time, data, len(data), ETHERNET) for time, data in PACKETS]


def read(path: Path, data: bytes) -> list[Frame]:
    path.write_bytes(data)
    with opened(path) as frames:
        return list(frames)


@pytest.mark.parametrize("order", ["<", ">"])
def test_every_form_has_the_same_packets(tmp_path: Path, order: str) -> None:
    assert read(tmp_path / "a", pcap(PACKETS, order=order)) == WHOLE
    assert read(tmp_path / "a", pcapng(PACKETS, order=order)) == WHOLE
    assert read(tmp_path / "a", gzip.compress(pcapng(PACKETS, order=order))) == WHOLE
    rounded = [frame._replace(time=frame.time // 1000 * 1000) for frame in WHOLE]
    assert read(tmp_path / "a", pcap(PACKETS, order=order, nano=False)) == rounded


def test_frames_that_were_captured_in_part(tmp_path: Path) -> None:
    first, *_ = read(tmp_path / "a", pcap(PACKETS, cut=20))
    assert (first.data, first.length) == (bytes(range(20)), 60)


def test_clocks_of_interfaces(tmp_path: Path) -> None:
    """Powers of ten and of two, the default of microseconds, an offset in seconds; and a second section begins anew."""
    data = (
        section() + interface(resolution=None) + interface(resolution=0x80 | 10) + interface(resolution=3, offset=7, link=101)
    )
    data += packet(5, b"a") + packet(512, b"b", number=1) + packet(9, b"c", number=2)
    data += block(0xBAD, b"something else") + section(">") + interface(order=">") + packet(4, b"d", order=">")
    assert [(frame.time, frame.data, frame.link) for frame in read(tmp_path / "a", data)] == [
        (5000, b"a", 1),
        (500_000_000, b"b", 1),
        (7_009_000_000, b"c", 101),
        (4, b"d", 1),
    ]


def beginning(path: Path, data: bytes) -> tuple[list[Frame], str | None]:
    """The packets before an error, and the error."""
    path.write_bytes(data)
    found: list[Frame] = []
    try:
        with opened(path) as frames:
            found.extend(frames)
    except InputError as error:
        return found, str(error)
    return found, None


def test_a_file_that_is_cut_anywhere_is_an_error_or_a_whole_beginning(tmp_path: Path) -> None:
    for whole in (pcap(PACKETS), pcapng(PACKETS)):
        ends = 0
        for size in range(len(whole)):
            found, said = beginning(tmp_path / "a", whole[:size])
            assert found == WHOLE[: len(found)]
            assert said is None or re.search(r"packet [1-4]: .*(cut short|not a capture).*; give a whole pcap", said)
            ends += said is None
        assert ends == (3 if whole[:4] != section()[:4] else 4)  # after the header, the interface, and each packet but the last


HOSTILE = {
    "nothing": b"",
    "text": b"hello there",
    "a huge packet": pcap([])[:24] + struct.pack("<4I", 0, 0, 0xFFFFFFFF, 60),
    "a huge block": section() + struct.pack("<II", 6, 0xFFFFFFFC),
    "a block that is too short": section() + struct.pack("<II", 6, 8) + bytes(20),
    "an odd block": section() + struct.pack("<II", 6, 33) + bytes(40),
    "no byte order": b"\x0a\x0d\x0d\x0a" + struct.pack("<II", 28, 0x12345678) + bytes(20),
    "no interface": section() + packet(1, b"x"),
    "a packet longer than its block": section() + interface() + block(6, struct.pack("<5I", 0, 0, 0, 100, 100) + b"x"),
    "a packet without a time": section() + interface() + block(3, struct.pack("<I", 1) + b"x"),
    "two lengths": section()[:-4] + bytes(4),
    "a time beyond 64 bits": section() + interface(resolution=0) + packet(1 << 63, b"x"),
    "a time before 1970": section() + interface(offset=-5) + packet(1, b"x"),
    "a damaged gzip": gzip.compress(pcap(PACKETS))[:-9],
    "a short interface": section() + block(1, b"x"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_one_line_and_little_memory(tmp_path: Path, name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"a: packet [13]: .*; give a whole pcap or pcapng file"):
            read(tmp_path / "a", HOSTILE[name])
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"), opened(tmp_path / "none"):
        pass
