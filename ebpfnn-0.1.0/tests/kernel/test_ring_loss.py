"""A ring that is never full loses nothing, however its two ends meet."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable

import pytest
from fixtures import loaded

from ebpfnn.kernel import RingBuffer
from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
RUN, RUNS, ROOM = 64, 4000, 4096  # records
LOOKS = 256  # at the consumer's position, between two records: a program meets a wrong one seldom
SOURCE = f"""
struct {{ __uint(type, 27); __uint(max_entries, {ROOM * 16}); }} ring SEC(".maps");
static __u64 (*const bpf_ringbuf_query)(void *map, __u64 flags) = (void *)134;
#define BPF_RB_CONS_POS 2
__u64 sent = 0, lost = 0, position = 0, backwards = 0;

SEC("syscall") int produce(void *context)
{{
	for (int i = 0; i < {RUN}; i++) {{
		if (bpf_ringbuf_output(&ring, &sent, 8, 0))
			lost++;
		sent++;
		for (int j = 0; j < {LOOKS}; j++) {{
			__u64 now = bpf_ringbuf_query(&ring, BPF_RB_CONS_POS);

			backwards += (now - position) >> 63; /* no branch: the verifier would follow each */
			position = now;
		}}
	}}
	return 0;
}}
"""


def test_a_producer_never_meets_a_position_that_was_not_written(build_spec: Callable[[str], ObjectSpec]) -> None:
    with loaded(build_spec, SOURCE) as held, RingBuffer(held.map("ring")) as ring:
        room = threading.Semaphore(ROOM // RUN - 2)  # runs that fit in the ring, whatever the consumer has not given back yet

        def produce() -> None:
            for _ in range(RUNS):
                room.acquire()
                held.program.run()

        producer = threading.Thread(target=produce)
        producer.start()
        found: list[int] = []
        while producer.is_alive() or len(found) + held.number("lost") < held.number("sent"):
            for record in ring.poll(0.1):
                found += struct.unpack("=Q", record)
                if len(found) % RUN == 0:
                    room.release()
            if lost := held.number("lost"):
                room.release(lost)  # let the producer end
        producer.join()
        assert (held.number("lost"), held.number("backwards")) == (0, 0)
        assert found == list(range(RUN * RUNS))
