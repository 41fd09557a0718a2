"""The records of a ring buffer, in memory that no kernel writes."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator

import pytest

from ebpfnn.kernel.ring.ringbuf import read_records

SIZE = 4096
BUSY, DISCARD = 1 << 31, 1 << 30


class Ring:
    """A ring of one page as producers leave it; the data is there twice, as the kernel maps it."""

    def __init__(self) -> None:
        self.consumer, self.producer = mmap.mmap(-1, mmap.PAGESIZE), mmap.mmap(-1, mmap.PAGESIZE + 2 * SIZE)
        self.end = 0

    def reserve(self, data: bytes, flags: int = 0) -> int:
        """Adds a record and returns where it lies."""
        place = self.end
        self.put(place, struct.pack("=II", len(data) | flags, 0) + data)
        self.end += (len(data) + 8 + 7) // 8 * 8
        struct.pack_into("=Q", self.producer, 0, self.end)
        return place

    def put(self, place: int, data: bytes) -> None:
        for i, byte in enumerate(data):
            at = (place + i) % SIZE
            self.producer[mmap.PAGESIZE + at] = self.producer[mmap.PAGESIZE + SIZE + at] = byte

    @property
    def consumed(self) -> int:
        return int(struct.unpack_from("=Q", self.consumer)[0])

    def read(self) -> list[bytes]:
        return [bytes(view) for view in read_records(self.consumer, self.producer, SIZE)]


@pytest.fixture
def ring() -> Iterator[Ring]:
    made = Ring()
    yield made
    made.consumer.close()
    made.producer.close()


def test_a_busy_record_holds_up_those_behind_it(ring: Ring) -> None:
    ring.reserve(b"first")
    busy = ring.reserve(b"second", BUSY)
    ring.reserve(b"third")
    assert ring.read() == [b"first"]
    assert ring.read() == []
    assert ring.consumed == busy
    ring.put(busy, struct.pack("=I", len(b"second")))
    assert ring.read() == [b"second", b"third"]
    assert ring.consumed == ring.end


def test_a_discarded_record_frees_its_space(ring: Ring) -> None:
    ring.reserve(b"dropped", DISCARD)
    assert ring.read() == []
    assert ring.consumed == ring.end == 16


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 1000])
def test_records_are_padded_to_eight_bytes(ring: Ring, length: int) -> None:
    for i in range(20):
        ring.reserve(bytes([i]) * length)
        assert ring.read() == [bytes([i]) * length]
    assert ring.consumed == 20 * ((length + 15) // 8 * 8)


def test_a_reader_that_stops_has_had_its_record(ring: Ring) -> None:
    ring.reserve(b"first")
    ring.reserve(b"second")
    reader = read_records(ring.consumer, ring.producer, SIZE)
    assert bytes(next(reader)) == b"first"
    assert ring.consumed == 0
    reader.close()
    assert ring.consumed == 16
    assert ring.read() == [b"second"]
