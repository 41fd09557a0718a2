"""The CPUs of the machine: the possible ones, for which per-CPU maps have values, and the online ones."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..obj.uapi import MapType
from .system_files import read

_POSSIBLE, _ONLINE = (Path(f"/sys/devices/system/cpu/{which}") for which in ("possible", "online"))
PER_CPU = frozenset((MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH, MapType.PERCPU_CGROUP_STORAGE))


@cache
def possible_cpus() -> int:
    """The number of values per key in a per-CPU map: one for each possible CPU, online or not."""
    return len(parse_cpus(read(_POSSIBLE, "the number of values of a per-CPU map is unknown")))


def online_cpus() -> list[int]:
    """The online CPUs, on which a perf event can be opened. Raises :class:`KernelError` without /sys."""
    return parse_cpus(read(_ONLINE, "the CPUs are unknown"))


def parse_cpus(text: str) -> list[int]:
    """Parses a CPU list such as ``0-2,5`` (the kernel's Documentation/admin-guide/cputopology.rst)."""
    ranges = [part.partition("-") for part in text.strip().split(",")]
    return [cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)]


def values_size(value_size: int) -> int:
    """Bytes that bpf(2) exchanges for one key of a per-CPU map (``bpf_map_value_size``)."""
    return (value_size + 7) // 8 * 8 * possible_cpus()
