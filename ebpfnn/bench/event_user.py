"""The spec `flow-24` in user space, in C: packets come through a ring buffer or from a packet socket (native/flow_user.c)."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from .. import built
from ..errors import KernelError, NotSupported
from ..kernel import Map, Object, Program
from ..network import QuantizedNetwork
from . import event_programs as programs
from .event_case import BOUNDS, Case
from .event_check import Timed, Verdicts
from .event_rows import EventRunner
from .kernel_rows import empty_body
from .native import KINDS, SOURCES, NativeRunner

HEADERS = built.OBJECTS.parent / "include"
_BATCH = 4096
"""Packets that are sent before they are taken: the ring has room for them, and so has a cache of the second level."""
_BATCHES = 12
_KEY_BYTES = 40


class User:
    """A consumer of packets with its connections. ``held`` frees it.

    Raises :class:`NotSupported` without a C compiler, or for a model that is no network.
    """

    def __init__(self, case: Case, held: ExitStack, *, at_first: bool) -> None:
        self.library = library()
        if not isinstance(case.network, QuantizedNetwork):
            raise NotSupported(f"events in user space: '{case.network.name}' is no network; leave out its rows")
        self._network = NativeRunner(KINDS[0], case.network)
        bounds = np.tile(np.array(BOUNDS, np.uint64), (len(case.columns), 1))
        self.place = ctypes.c_void_p(
            self.library.user_new(self._network.described, ctypes.c_void_p(bounds.ctypes.data), int(at_first))
        )
        if not self.place:
            raise NotSupported("events in user space: no memory; close other programs")
        held.callback(self.library.user_free, self.place)

    @property
    def packets(self) -> int:
        """How many it has taken."""
        return int(self.library.user_packets(self.place))

    def verdicts(self) -> Verdicts:
        """The latest verdict of each connection that has one."""
        found, at = Verdicts(), 0
        key, time = ctypes.create_string_buffer(_KEY_BYTES), ctypes.c_uint64()
        verdict = (ctypes.c_int32 * 3)()
        while at := self.library.user_verdict(self.place, at, key, ctypes.byref(time), verdict):
            if verdict[0]:
                found[key.raw] = (time.value, verdict[0], verdict[1], verdict[2])
        return found


class RingRunner(EventRunner):
    """Packets through a ring buffer, in batches: the program that fills it, and the consumer, on one CPU."""

    def __init__(self, name: str, told: str, case: Case, frame: bytes, held: ExitStack, *, at_first: bool) -> None:
        self.name, self.told = name, told
        self._user = User(case, held, at_first=at_first)
        loading = programs.to_ring(empty_body())
        loaded = held.enter_context(loading.load())
        self._ring = open_ring(loaded.maps["flow_ring"], held)
        self._program, self._frame = loaded.programs[loading.program], ctypes.create_string_buffer(frame, len(frame))

    def warm(self) -> float:
        return take_from_ring(self._user, self._ring, self._program, self._frame, _BATCH, _BATCHES)


def take_from_ring(
    user: User, ring: ctypes.c_void_p, program: Program, frame: ctypes.Array[ctypes.c_char], batch: int, batches: int
) -> float:
    """Nanoseconds a packet. Raises :class:`KernelError` if the program cannot be run, or packets were lost."""
    before = user.packets
    fd, size = program.fileno(), len(frame)
    elapsed = user.library.ring_run(user.place, ring, fd, frame, size, batch, batches)
    if not elapsed or user.packets - before != batch * batches:
        raise KernelError(f"program '{program.name}': {user.packets - before} of {batch * batches} packets came; try again")
    return float(elapsed) / (batch * batches)


def check_ring(case: Case, packets: list[Timed]) -> Verdicts:
    """The verdicts on ``packets``, with an inference at each."""
    with ExitStack() as held:
        user = User(case, held, at_first=False)
        loading = programs.to_ring(empty_body(), replaying=True)
        loaded: Object = held.enter_context(loading.load())
        ring = open_ring(loaded.maps["flow_ring"], held)
        clock = loaded.maps[loading.clock].array(np.uint64)
        for packet in packets:
            clock[0] = packet.time_ns
            frame = ctypes.create_string_buffer(packet.frame, len(packet.frame))
            take_from_ring(user, ring, loaded.programs[loading.program], frame, 1, 1)
        del clock
        return user.verdicts()


def open_ring(ring: Map, held: ExitStack) -> ctypes.c_void_p:
    """The consumer of ``ring``. Raises :class:`KernelError` if it cannot be mapped."""
    found = ctypes.c_void_p(library().ring_open(ring.fileno(), ctypes.c_uint64(ring.max_entries)))
    if not found:
        raise KernelError(f"map '{ring.name}': its memory cannot be mapped; close other programs")
    held.callback(library().ring_close, found)
    return found


@cache
def library() -> ctypes.CDLL:
    """Built once, for this CPU. Raises :class:`NotSupported` without a C compiler, and if it refuses the code."""
    if not shutil.which("cc"):
        raise NotSupported("there is no C compiler; apt-get install gcc libc6-dev")
    with TemporaryDirectory() as directory:
        path = Path(directory) / "flow_user.so"
        options = ["-O3", "-march=native", "-fno-strict-aliasing", "-Wno-unknown-pragmas", "-shared", "-fPIC", f"-I{HEADERS}"]
        command = ["cc", *options, str(SOURCES / "flow_user.c"), "-o", str(path)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            reason = made.stderr.strip().partition("\n")[0]
            raise NotSupported(f"the C compiler failed ({reason}); install gcc 9 and libc6-dev, or newer")
        loaded = ctypes.CDLL(str(path))
    for name in ("user_new", "ring_open"):
        getattr(loaded, name).restype = ctypes.c_void_p
    for name in ("ring_run", "socket_run", "user_packets"):
        getattr(loaded, name).restype = ctypes.c_uint64
    return loaded
