"""Counters of an instance: the kernel's run counts of its program, and the inferences of its callers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import abi
from ..kernel import Map
from ..obj.uapi import MapType
from ..session import verdicts
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
    count, time_ns = runs(pins)
    found = count if count or counting() else None
    answered = counts(pins)["inferences"] if pins.observes else _answered(pins.maps[abi.RESULTS])
    return Statistics(found, time_ns / found if found else None, answered, pins.swaps[0])


def runs(pins: Pins) -> tuple[int, int]:
    """How often its attached programs ran, and for how long in ns. 0 for what the kernel did not count."""
    infos = [stub.info() for stub in pins.programs()]
    return sum(info.run_cnt for info in infos), sum(info.run_time_ns for info in infos)


def counts(pins: Pins) -> Mapping[str, int]:
    """What the observers of an instance counted, on all CPUs: :data:`ebpfnn.abi.COUNTED` by name."""
    return verdicts.counts(pins.maps[abi.COUNTS])


def classes(pins: Pins, count: int) -> list[int]:
    """How many verdicts there were of each of the first ``count`` labels."""
    each = (pins.maps[abi.LABELS].lookup_percpu(label.to_bytes(4, "little"), np.uint64) for label in range(count))
    return [0 if found is None else int(found.sum()) for found in each]


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
