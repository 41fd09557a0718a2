"""Sends the packets of a capture through a program by BPF_PROG_RUN, with the capture's clock."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from ..errors import InputError, KernelError, UsageError
from ..kernel import Program
from ..obj import ObjectSpec, ProgramType
from .captures import ETHERNET, MAX_FRAME, Frame
from .programs import Programs
from .sources import Sources

PACKET_PROGRAMS = (ProgramType.XDP, ProgramType.SCHED_CLS, ProgramType.CGROUP_SKB, ProgramType.SOCKET_FILTER)
_SHORTEST = 14  # Ethernet's header
_TOO_LONG = (errno.EINVAL, errno.EMSGSIZE, errno.ENOMEM)
_SURE = 1500  # bytes that every kernel takes
_XDP_PAGE = mmap.PAGESIZE - 256 - 320
"""The bytes that an XDP program sees of a test run's packet: a page without XDP_PACKET_HEADROOM and struct skb_shared_info.

What is longer lies in fragments, of which the program knows nothing, so the fields would tell a shorter packet.
"""


@dataclass
class Skipped:
    """Packets that no program was run on: not Ethernet's, shorter than its header, longer than a test run takes.

    ``partial`` were run, but were not captured whole.
    """

    foreign: int = 0
    short: int = 0
    long: int = 0
    partial: int = 0

    def __str__(self) -> str:
        told = {
            "not of Ethernet": self.foreign,
            f"shorter than {_SHORTEST} bytes": self.short,
            "longer than a test run of the kernel takes, such as those that the kernel joined": self.long,
        }
        skipped = [f"{count:,} {why}" for why, count in told.items() if count]
        found = [f"packets skipped: {', '.join(skipped)}"] if skipped else []
        if self.partial:
            found.append(f"{self.partial:,} packets were captured in part, so their lengths are those of the capture")
        return "; ".join(found)


def check_packets(sources: Sources) -> None:
    """Raises :class:`UsageError` if the events of the spec are not packets of one kind."""
    if len(sources.events) != 1:
        names = ", ".join(f"'{source.name}'" for source in sources.events)
        raise UsageError(f"spec '{sources.spec.name}' has the events {names}; a capture is events of just one kind")
    (source,) = sources.events
    shell = ObjectSpec.from_file(source.trigger.object_path())
    if shell.programs[source.trigger.program()].type not in PACKET_PROGRAMS:
        raise UsageError(f"event '{source.name}': trigger '{source.trigger.name}' has no packets; give a spec of packets")


class Replaying:
    """Runs the one program of ``programs`` on packets."""

    def __init__(self, programs: Programs) -> None:
        (source,) = programs.sources.events
        self._program: Program = programs.objects[0].programs[source.trigger.program()]
        self._most = _XDP_PAGE if self._program.info().type == ProgramType.XDP else MAX_FRAME
        self._clock = programs.clock.array(np.uint64, writable=True)
        self.skipped = Skipped()
        self.packets = 0

    def run(self, frames: Iterable[Frame], most: int) -> Iterator[int]:
        """Runs all, and yields how many it has run whenever there may be ``most`` more records in the ring, and at the end.

        Raises :class:`InputError` if there are packets, and none is Ethernet's.
        """
        waiting = 0
        for frame in frames:
            self.packets += 1
            if self._has_run(frame):
                waiting += 1
            if waiting == most:
                yield waiting
                waiting = 0
        yield waiting
        if self.packets and self.skipped.foreign == self.packets:
            raise InputError("the capture has no packets of Ethernet; capture at an interface that has its header")

    def _has_run(self, frame: Frame) -> bool:
        if frame.link != ETHERNET:
            self.skipped.foreign += 1
            return False
        if len(frame.data) < _SHORTEST:
            self.skipped.short += 1
            return False
        if len(frame.data) > self._most:
            self.skipped.long += 1
            return False
        self._clock[0] = frame.time
        try:
            self._program.run(data=frame.data)
        except KernelError as refused:
            if refused.errno not in _TOO_LONG or len(frame.data) <= _SURE:
                raise
            self.skipped.long += 1
            return False
        self.skipped.partial += len(frame.data) < frame.length
        return True
