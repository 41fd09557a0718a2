"""How often an instance ran: what the kernel counts of its program, and what its callers were answered."""

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
    """``runs`` of the attached program, others' events included, and their mean time in ns; None where nobody counted.

    ``answered`` are the inferences that came to an end, less those that checked a network as it was loaded or swapped.
    ``swaps`` is how often another network took its place.
    """

    runs: int | None
    mean_ns: float | None
    answered: int
    swaps: int


def read(pins: Pins) -> Statistics:
    """The figures now. Raises :class:`~ebpfnn.errors.KernelError`."""
    with pins.program() as stub:
        info = stub.info()
    runs = info.run_cnt if info.run_cnt or counting() else None
    return Statistics(runs, info.run_time_ns / runs if runs else None, _answered(pins.maps[abi.RESULTS]), pins.swaps[0])


def counting() -> bool:
    """Whether the machine counts programs' runs by sysctl (kernel.bpf_stats_enabled, Linux 5.1)."""
    try:
        return _SWITCH.read_text().strip() == "1"
    except OSError:
        return False


def _answered(results: Map) -> int:
    """The sum of all sequences: of every slot, or of every CPU. Checks have left their count as it was."""
    stride = results.element_stride
    if results.type == MapType.PERCPU_ARRAY:
        data = results.lookup(bytes(4)) or b""
        return sum(_count(data[at : at + 8]) for at in range(0, len(data), stride))
    with results.mmap(writable=False) as memory:
        return sum(_count(memory[slot * stride : slot * stride + 8]) for slot in range(results.max_entries))


def _count(sequence: bytes) -> int:
    return int.from_bytes(sequence, "little") & (abi.CHECKED - 1)
