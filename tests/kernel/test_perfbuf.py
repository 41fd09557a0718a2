"""Perf buffers: a ring a CPU, filled by a program that runs on a tracepoint of this thread."""

from __future__ import annotations

import errno
import os
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
from fixtures import Loaded, loaded
from kernelmaps import make, u32

from ebpfnn.errors import KernelError
from ebpfnn.kernel import Map, PerfBuffer, attach_tracepoint
from ebpfnn.kernel.ring import perfbuf
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import MapType

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SOURCE = """
struct { __uint(type, 4); __uint(key_size, 4); __uint(value_size, 4); __uint(max_entries, 256); } events SEC(".maps");
const volatile __u32 words = 1;
__u64 data[64] = {};
#define CURRENT_CPU 0xffffffffULL

SEC("tp/syscalls/sys_enter_getppid") int write(void *context)
{
	if (!MINE)
		return 0;
	for (int i = 0; i < 64; i++)
		data[i] = hits;
	HIT(bpf_perf_event_output(context, &events, CURRENT_CPU, data, words == 64 ? 512 : 8));
	return 0;
}
"""


@pytest.fixture(params=[1, 64], ids=["short", "long"])
def words(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def writer(build_spec: Callable[[str], ObjectSpec], words: int) -> Iterator[Loaded]:
    with (
        loaded(build_spec, SOURCE, lambda spec: spec.set_variable("words", struct.pack("=I", words))) as held,
        attach_tracepoint(held.program, "syscalls", "sys_enter_getppid"),
    ):
        yield held


def numbers(buffer: PerfBuffer, words: int) -> list[int]:
    found = []
    for sample in buffer.consume():
        values = struct.unpack_from(f"={words}Q", sample.data)
        assert len(set(values)) == 1
        found.append(values[0])
    return found


def test_samples_come_from_where_they_were_written(writer: Loaded, words: int) -> None:
    with PerfBuffer(writer.map("events")) as buffer:
        for _ in range(5):
            os.getppid()
        assert sorted(numbers(buffer, words)) == list(range(5))
        assert buffer.lost == 0


def test_records_wrap_around(writer: Loaded, words: int) -> None:
    with PerfBuffer(writer.map("events"), pages=1) as buffer:
        seen = []
        for _ in range(1000):
            os.getppid()
            seen += numbers(buffer, words)
        assert sorted(seen) == list(range(1000))
        assert buffer.lost == 0


def test_what_finds_no_room_is_counted(writer: Loaded, words: int) -> None:
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        with PerfBuffer(writer.map("events"), pages=1) as buffer:
            for _ in range(1000):
                os.getppid()
            kept = numbers(buffer, words)
            os.getppid()  # the kernel reports a loss with the next sample that fits
            kept += numbers(buffer, words)
            assert 0 < buffer.lost < 1000
            assert len(kept) + buffer.lost == 1001
            assert kept[:5] == [0, 1, 2, 3, 4]
    finally:
        os.sched_setaffinity(0, cpus)


@pytest.mark.parametrize("words", [1], indirect=True)
def test_polling_times_out_and_wakes(writer: Loaded) -> None:
    with PerfBuffer(writer.map("events")) as buffer:
        assert list(buffer.poll(0)) == []
        assert list(buffer.poll(0.01)) == []
        os.getppid()
        (sample,) = buffer.poll(30)
        assert sample.data[:8] == bytes(8)
        assert sample.cpu in os.sched_getaffinity(0)


@pytest.mark.parametrize("words", [1], indirect=True)
def test_other_threads_samples_are_not_here(writer: Loaded) -> None:
    with PerfBuffer(writer.map("events")) as buffer:
        thread = threading.Thread(target=os.getppid)
        thread.start()
        thread.join()
        assert list(buffer.consume()) == []


def test_what_cannot_be_is_refused() -> None:
    with make(MapType.HASH) as held, pytest.raises(KernelError, match="map 'hash' is not a perf event array"):
        PerfBuffer(held)
    with make(MapType.PERF_EVENT_ARRAY, value_size=4) as held:
        with pytest.raises(KernelError, match="a ring cannot have 3 pages; give a power of two"):
            PerfBuffer(held, pages=3)
        buffer = PerfBuffer(held)
        buffer.close()
        buffer.close()
        with pytest.raises(KernelError, match="the consumer of perf buffer 'perf_event_array' is closed"):
            list(buffer.consume())


def test_no_ring_stays_in_the_map() -> None:
    with make(MapType.PERF_EVENT_ARRAY, value_size=4) as held, PerfBuffer(held) as buffer:
        held.delete(u32(0))  # what somebody else has taken out is not missed
        buffer.close()
        assert_empty(held)


def test_what_fails_on_one_cpu_leaves_nothing_on_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perfbuf, "online_cpus", lambda: [0, 1 << 20])
    with make(MapType.PERF_EVENT_ARRAY, value_size=4, entries=(1 << 20) + 1) as held:
        with pytest.raises(KernelError, match="perf buffer 'perf_event_array' on CPU 1048576: perf_event_open refused"):
            PerfBuffer(held)
        assert_empty(held)


def test_cpus_that_the_map_has_no_room_for_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perfbuf, "online_cpus", lambda: [5, 0])
    with make(MapType.PERF_EVENT_ARRAY, value_size=4, entries=1) as held:
        with PerfBuffer(held):
            held.delete(u32(0))
        assert_empty(held)


@pytest.mark.parametrize("words", [1], indirect=True)
def test_the_consumer_outlives_its_map(writer: Loaded, words: int) -> None:
    with PerfBuffer(writer.map("events")) as buffer:
        writer.map("events").close()
        os.getppid()
        assert numbers(buffer, words) == [0]


def assert_empty(held: Map) -> None:
    for cpu in range(os.cpu_count() or 1):
        with pytest.raises(KernelError) as refused:
            held.delete(u32(cpu))
        assert refused.value.errno in (errno.ENOENT, errno.E2BIG)  # of E2BIG, it has no room for that CPU
