"""The packet: its layout, byte for byte, and what is no reply."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpfnn.errors import InputError
from ebpfnn.remote import protocol

WORDS = st.integers(0, 2**32 - 1)
SCORES = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=64)


def reply(
    network: int = 9, sequence: int = 7, label: int = 1, elapsed: int = 800, scores: tuple[int, ...] = (-5, 6, 0)
) -> bytes:
    head = struct.pack("!HIIII", len(scores), network, sequence, label, elapsed)
    return b"eBNN\x01\x01" + head + struct.pack(f"!{len(scores)}i", *scores)


def test_a_request_byte_for_byte() -> None:
    made = protocol.request(b"\x01\x02\x03\x04" * 5, protocol.payload_bytes(20, 3), 0x01020304, 0xA0B0C0D0)
    assert made == b"eBNN\x01\x00\x00\x00\xa0\xb0\xc0\xd0\x01\x02\x03\x04" + b"\x01\x02\x03\x04" * 5


@given(st.binary(min_size=1, max_size=1400), st.integers(1, 64), WORDS, WORDS)
def test_a_request_has_room_for_its_reply(sample: bytes, classes: int, sequence: int, network: int) -> None:
    size = protocol.payload_bytes(len(sample), classes)
    made = protocol.request(sample, size, sequence, network)
    assert len(made) == size >= len(reply(scores=(0,) * classes))
    assert size % 4 == 0
    assert made[16 : 16 + len(sample)] == sample
    assert not any(made[16 + len(sample) :])


@given(WORDS, WORDS, WORDS, SCORES, st.data())
def test_a_reply_says_what_was_put_into_it(
    network: int, sequence: int, elapsed: int, scores: list[int], data: st.DataObject
) -> None:
    label = data.draw(st.integers(0, len(scores) - 1))
    payload = reply(network, sequence, label, elapsed, tuple(scores)) + bytes(data.draw(st.integers(0, 9)))
    assert protocol.reply(payload) == protocol.Reply(network, sequence, label, elapsed, tuple(scores))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        reply()[:23],
        reply()[:-1],
        b"E" + reply()[1:],
        reply()[:4] + b"\x02" + reply()[5:],
        reply()[:5] + b"\x00" + reply()[6:],
        reply(label=3),
    ],
    ids=["empty", "no scores", "short", "magic", "version", "a request", "a label too high"],
)
def test_what_is_no_reply(payload: bytes) -> None:
    with pytest.raises(InputError, match="query a network loaded by"):
        protocol.reply(payload)


def test_ids_are_never_zero() -> None:
    assert protocol.network_id("mnist") == zlib.crc32(b"mnist")
    assert protocol.network_id("") == 1  # CRC-32 of nothing is 0, which means any
