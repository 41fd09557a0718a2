"""Ring buffers that this process fills and a program drains."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest
from fixtures import Loaded, loaded
from kernelmaps import make, u64

from ebpfnn.errors import KernelError
from ebpfnn.kernel import UserRingBuffer
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.uapi import MapType

pytestmark = pytest.mark.root
SOURCE = """
struct { __uint(type, 31); __uint(max_entries, 4096); } ring SEC(".maps");
__u64 sum = 0;

static long take(const void *record, void *context)
{
	__u64 number = 0;

	if (!bpf_dynptr_read(&number, 8, record, 0, 0)) {
		sum += number;
		HIT(number);
	}
	return 0;
}

SEC("syscall") int drain(void *context)
{
	return bpf_user_ringbuf_drain(&ring, take, 0, 0);
}
"""


@pytest.fixture
def drain(build_spec: Callable[[str], ObjectSpec]) -> Iterator[Loaded]:
    with loaded(build_spec, SOURCE) as held:
        yield held


def test_a_program_takes_what_is_submitted(drain: Loaded) -> None:
    with UserRingBuffer(drain.map("ring")) as ring:
        for start in range(0, 3000, 100):  # round and round the ring
            for number in range(start, start + 100):
                ring.submit(u64(number))
            assert drain.program.run().return_value == 100
        assert drain.hits == 3000
        assert drain.number("sum") == sum(range(3000))


def test_a_full_ring_and_a_record_too_large(drain: Loaded) -> None:
    with UserRingBuffer(drain.map("ring")) as ring:
        with pytest.raises(KernelError, match="a record of 4096 bytes is larger than the ring"):
            ring.submit(bytes(4096))
        for number in range(256):
            ring.submit(u64(number))
        with pytest.raises(KernelError, match="larger than the free space until the program drains it") as full:
            ring.submit(u64(1))
        assert full.value.errno == errno.ENOSPC
        assert drain.program.run().return_value == 256
        ring.submit(u64(1))


def test_another_map_is_refused() -> None:
    with make(MapType.HASH) as held, pytest.raises(KernelError, match="not a user ring buffer"):
        UserRingBuffer(held)
