"""The packet: its layout, byte for byte, and what is no reply."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpfnn import protocol

WORDS = st.integers(0, 2**32 - 1)


def reply(sequence: int = 7, network: int = 9, label: int = 1, scores: tuple[int, ...] = (-5, 6, 0), status: int = 0) -> bytes:
    return b"eBNN\x01\x01" + struct.pack(f"!HIII{len(scores)}i", status, sequence, network, label, *scores)


def test_a_request_byte_for_byte() -> None:
    made = protocol.request(b"\x01\x02\x03\x04" * 5, 3, 0x01020304, 0xA0B0C0D0)
    assert made == b"eBNN\x01\x00\x00\x00\x01\x02\x03\x04\xa0\xb0\xc0\xd0" + b"\x01\x02\x03\x04" * 5


@given(st.binary(min_size=1, max_size=1400), st.integers(1, 64), WORDS, WORDS)
def test_no_reply_is_longer_than_its_request(sample: bytes, classes: int, sequence: int, network: int) -> None:
    made = protocol.request(sample, classes, sequence, network)
    assert len(made) == protocol.request_bytes(len(sample), classes) >= protocol.reply_bytes(classes)
    assert made[16 : 16 + len(sample)] == sample
    assert not any(made[16 + len(sample) :])


@given(WORDS, WORDS, st.integers(0, 65535), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=64), st.data())
def test_a_reply_says_what_was_put_into_it(
    sequence: int, network: int, status: int, scores: list[int], data: st.DataObject
) -> None:
    label = data.draw(st.integers(0, len(scores) - 1))
    datagram = reply(sequence, network, label, tuple(scores), status)
    assert len(datagram) == protocol.reply_bytes(len(scores))
    assert protocol.parse_reply(datagram, len(scores)) == (sequence, network, status, label, tuple(scores))


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        reply()[:-1],
        reply() + b"\0",
        b"E" + reply()[1:],
        reply()[:4] + b"\x02" + reply()[5:],
        reply()[:5] + b"\x00" + reply()[6:],
        reply(label=3),
        reply(scores=(1, 2)),
    ],
    ids=["empty", "short", "long", "magic", "version", "a request", "a label too high", "other classes"],
)
def test_what_is_no_reply(datagram: bytes) -> None:
    assert protocol.parse_reply(datagram, 3) is None


def test_ids_are_never_zero() -> None:
    assert protocol.network_id("mnist") == zlib.crc32(b"mnist")
    assert protocol.network_id("") == 1  # CRC-32 of nothing is 0, which means any
