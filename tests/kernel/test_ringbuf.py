"""Ring buffers that programs fill and this process drains."""

from __future__ import annotations

import selectors
import struct
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fixtures import Loaded, loaded
from kernelmaps import make

from ebpfnn.errors import KernelError
from ebpfnn.kernel import RingBuffer, has_program_type
from ebpfnn.kernel.ring import ringbuf
from ebpfnn.obj import ObjectSpec, ProgramType
from ebpfnn.obj.uapi import MapType

pytestmark = pytest.mark.root
SIZE = 4096
SOURCE = """
struct { __uint(type, 27); __uint(max_entries, 4096); } ring SEC(".maps");
struct { __uint(type, 27); __uint(max_entries, 4096); } second SEC(".maps");
struct order { __u32 discard; __u32 to_second; __u32 number; };

SEC("syscall") int write(struct order *order)
{
	__u64 *place;

	if (order->to_second)
		place = bpf_ringbuf_reserve(&second, 8, 0);
	else
		place = bpf_ringbuf_reserve(&ring, 8, 0);
	if (!place)
		return 1;
	place[0] = order->number;
	if (order->discard)
		bpf_ringbuf_discard(place, 0);
	else
		bpf_ringbuf_submit(place, 0);
	return 0;
}

SEC("syscall") int write_long(struct order *order)
{
	__u64 *place = bpf_ringbuf_reserve(&ring, 1000, 0);

	if (!place)
		return 1;
	place[0] = place[124] = order->number;
	bpf_ringbuf_submit(place, 0);
	return 0;
}
"""


@pytest.fixture
def syscall_programs() -> None:
    if not has_program_type(ProgramType.SYSCALL):
        pytest.skip("this kernel has no programs of section syscall")


@pytest.fixture
def writer(syscall_programs: None, build_spec: Callable[[str], ObjectSpec]) -> Iterator[Loaded]:
    with loaded(build_spec, SOURCE) as held:
        yield held


def write(writer: Loaded, number: int, *, program: str = "write", discard: bool = False, second: bool = False) -> bool:
    order = struct.pack("=3I", discard, second, number)
    return writer.held.programs[program].run(context=order).return_value == 0


def test_records_come_in_order(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring:
        for i in range(5):
            assert write(writer, i)
        assert [struct.unpack("=Q", record)[0] for record in ring.consume()] == list(range(5))
        assert list(ring.consume()) == []


def test_discarded_records_are_passed_over(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring:
        for i in range(6):
            assert write(writer, i, discard=i % 2 == 0)
        assert [record[0] for record in ring.consume()] == [1, 3, 5]


def test_records_that_wrap_around_read_as_one(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring:
        for i in range(1, 30):
            assert write(writer, i, program="write_long")
            (record,) = ring.consume()
            assert len(record) == 1000
            assert struct.unpack_from("=Q", record, 0) == struct.unpack_from("=Q", record, 992) == (i,)


def test_a_full_ring_refuses_and_takes_again(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring:
        taken = 0
        while write(writer, taken):
            taken += 1
        assert taken == SIZE // 16 - 1  # a ring is never filled to the last byte
        assert not write(writer, 99)
        assert [struct.unpack("=Q", record)[0] for record in ring.consume()] == list(range(taken))
        assert write(writer, 1)
        assert len(list(ring.consume())) == 1


def test_a_consumer_that_stops_early_loses_and_repeats_nothing(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring:
        for i in range(3):
            write(writer, i)
        for record in ring.consume():
            assert record[0] == 0
            break
        assert [record[0] for record in ring.poll(0)] == [1, 2]


def test_views_show_the_memory_itself(writer: Loaded) -> None:
    ring = RingBuffer(writer.map("ring"))
    write(writer, 7)
    kept = [np.frombuffer(view, np.uint64) for view in ring.views()]
    ring.close()
    assert kept[0][0] == 7


def test_polling_times_out_and_wakes(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring:
        assert list(ring.poll(0)) == []
        assert list(ring.poll(0.01)) == []
        threading.Timer(0.05, lambda: write(writer, 9)).start()
        assert [record[0] for record in ring.poll(30)] == [9]


def test_iterating_goes_on_for_ever(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring:
        write(writer, 0)
        for seen, record in enumerate(ring):
            assert record[0] == seen
            if seen == 4:
                break
            write(writer, seen + 1)


def test_several_rings_are_waited_for_at_once(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as first, RingBuffer(writer.map("second")) as second:
        assert list(ringbuf.poll([first, second], 0)) == []
        write(writer, 1)
        write(writer, 2, second=True)
        assert [(ring.name, record[0]) for ring, record in ringbuf.poll([first, second], 30)] == [("ring", 1), ("second", 2)]


def test_a_selector_sees_records(writer: Loaded) -> None:
    with RingBuffer(writer.map("ring")) as ring, selectors.DefaultSelector() as selector:
        selector.register(ring, selectors.EVENT_READ)
        assert selector.select(0) == []
        write(writer, 1)
        ((key, _),) = selector.select(30)
        assert key.fileobj is ring


@pytest.mark.usefixtures("syscall_programs")
def test_the_consumer_outlives_its_map(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, SOURCE) as writer:
        ring = RingBuffer(writer.map("ring"))
        write(writer, 5)
    assert [record[0] for record in ring.poll(0)] == [5]
    ring.close()
    ring.close()
    with pytest.raises(KernelError, match="the consumer of ring buffer 'ring' is closed"):
        list(ring.consume())


def test_another_map_is_refused() -> None:
    with make(MapType.HASH) as held, pytest.raises(KernelError, match="map 'hash' is not a ring buffer"):
        RingBuffer(held)
