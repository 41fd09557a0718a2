"""Loading the small BPF programs of these tests, whose only effect is to count."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ebpfnn.kernel import Map, Object, Program
from ebpfnn.obj import ObjectSpec

HELPERS = """
#pragma clang diagnostic ignored "-Wunused-const-variable"
#pragma clang diagnostic ignored "-Wunused-function"
static long (*const bpf_tail_call)(void *ctx, void *map, __u32 index) = (void *)12;
static long (*const bpf_perf_event_output)(void *ctx, void *map, __u64 flags, void *data, __u64 size) = (void *)25;
static void (*const bpf_ringbuf_discard)(void *data, __u64 flags) = (void *)133;
static __u64 (*const bpf_get_attach_cookie)(void *ctx) = (void *)174;
static long (*const bpf_user_ringbuf_drain)(void *map, void *callback, void *ctx, __u64 flags) = (void *)209;
static long (*const bpf_dynptr_read)(void *dst, __u32 size, const void *dynptr, __u32 offset, __u64 flags) = (void *)201;
static long (*const bpf_seq_write)(void *seq, const void *data, __u32 size) = (void *)127;

const volatile __u64 pidns_dev = 0, pidns_ino = 0;
const volatile __u32 thread = 0;
__u64 hits = 0;
__u64 last = 0;

/* In a PID namespace the number that the kernel itself has for this thread is another one. */
static __always_inline int is_mine(void)
{
	struct bpf_pidns_info caller;

	return !bpf_get_ns_current_pid_tgid(pidns_dev, pidns_ino, &caller, sizeof(caller)) && caller.pid == thread;
}
#define MINE is_mine()
#define HIT(value) (__atomic_fetch_add(&hits, 1, __ATOMIC_RELAXED), last = (value))
"""


@dataclass
class Loaded:
    """An object of one or more programs that count in ``hits`` and leave a number in ``last``."""

    spec: ObjectSpec
    held: Object

    @property
    def program(self) -> Program:
        (only,) = self.held.programs.values()
        return only

    @property
    def programs(self) -> list[Program]:
        return list(self.held.programs.values())

    def map(self, name: str) -> Map:
        return self.held.maps[name]

    @property
    def hits(self) -> int:
        return self.number("hits")

    @property
    def last(self) -> int:
        return self.number("last")

    def number(self, variable: str) -> int:
        place = self.spec.variables[variable]
        value = self.held.maps[place.map].lookup(bytes(4))
        assert value is not None
        return int.from_bytes(value[place.offset : place.offset + place.size], "little")


@contextmanager
def loaded(
    build: Callable[[str], ObjectSpec], source: str, change: Callable[[ObjectSpec], None] | None = None
) -> Iterator[Loaded]:
    """``source`` behind :data:`HELPERS`, in the kernel; ``MINE`` is true in the calling thread alone."""
    spec = build(HELPERS + source)
    own = Path("/proc/thread-self/ns/pid").stat()
    for name, value in (("pidns_dev", struct.pack("=Q", own.st_dev)), ("pidns_ino", struct.pack("=Q", own.st_ino))):
        spec.set_variable(name, value)
    spec.set_variable("thread", struct.pack("=I", threading.get_native_id()))
    if change is not None:
        change(spec)
    with Object.load(spec) as held:
        yield Loaded(spec, held)
