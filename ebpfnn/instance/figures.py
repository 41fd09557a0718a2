"""Counters of an instance: the kernel's run counts of its program, and the inferences of its callers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import abi
from ..kernel import Map
from ..obj.uapi import MapType
from .pins import Pins

_SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")


@dataclass(frozen=True)
class Statistics:
    """``runs`` of the attached program, for events of all processes, and their mean time in ns; None if not counted.

    ``answered`` counts completed inferences, without those that checked a network during load or swap. ``swaps`` counts how
    often the network was replaced.
    """

    runs: int | None
    mean_ns: float | None
    answered: int
    swaps: int


def read(pins: Pins) -> Statistics:
    """The current counters. Raises :class:`~ebpfnn.errors.KernelError`."""
    with pins.program() as stub:
        info = stub.info()
    runs = info.run_cnt if info.run_cnt or counting() else None
    return Statistics(runs, info.run_time_ns / runs if runs else None, _answered(pins.maps[abi.RESULTS]), pins.swaps[0])


def counting() -> bool:
    """Whether a sysctl makes the kernel count the runs of programs (kernel.bpf_stats_enabled, Linux 5.1)."""
    try:
        return _SWITCH.read_text().strip() == "1"
    except OSError:
        return False


def _answered(results: Map) -> int:
    """The sum of all sequence numbers, of every slot or of every CPU. Checks do not change the sum."""
    stride = results.element_stride
    if results.type == MapType.PERCPU_ARRAY:
        data = results.lookup(bytes(4)) or b""
        return sum(_count(data[at : at + 8]) for at in range(0, len(data), stride))
    with results.mmap(writable=False) as memory:
        return sum(_count(memory[slot * stride : slot * stride + 8]) for slot in range(results.max_entries))


def _count(sequence: bytes) -> int:
    return int.from_bytes(sequence, "little") & (abi.CHECKED - 1)
