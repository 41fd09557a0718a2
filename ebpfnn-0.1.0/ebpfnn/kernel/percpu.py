"""Per-CPU maps: one value for every CPU that the machine could ever have, each padded to 8 bytes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import KernelError
from ..obj.uapi import MapType
from .view import item_type

if TYPE_CHECKING:
    import numpy.typing as npt

    from .map import Map

_POSSIBLE, _ONLINE = (Path(f"/sys/devices/system/cpu/{which}") for which in ("possible", "online"))
TYPES = frozenset((MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH, MapType.PERCPU_CGROUP_STORAGE))


@cache
def possible_cpus() -> int:
    """How many values a per-CPU map has for a key: CPUs that could be plugged in count, whether or not they are online."""
    return len(parse_cpus(_POSSIBLE.read_text()))


def online_cpus() -> list[int]:
    """The CPUs that run now: those on which a perf event can be opened."""
    return parse_cpus(_ONLINE.read_text())


def parse_cpus(text: str) -> list[int]:
    """``0-2,5`` as numbers (the kernel's Documentation/admin-guide/cputopology.rst)."""
    ranges = [part.partition("-") for part in text.strip().split(",")]
    return [cpu for first, _, last in ranges for cpu in range(int(first), int(last or first) + 1)]


def values_size(value_size: int) -> int:
    """Bytes that bpf(2) exchanges for one key of a per-CPU map (``bpf_map_value_size``)."""
    return (value_size + 7) // 8 * 8 * possible_cpus()


def lookup(held: Map, key: bytes, dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
    """See :meth:`ebpfnn.kernel.Map.lookup_percpu`."""
    import numpy as np

    if held.type not in TYPES:
        raise KernelError(f"map '{held.name}' is not per CPU; use lookup()")
    kind = item_type(held, dtype)
    raw = held.lookup(key)
    if raw is None:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(possible_cpus(), -1)[:, : held.value_size]
    values = np.ascontiguousarray(rows).view(kind)
    return values[:, 0] if values.shape[1] == 1 else values


def update(held: Map, key: bytes, values: npt.ArrayLike, flags: int) -> None:
    """See :meth:`ebpfnn.kernel.Map.update_percpu`."""
    import numpy as np

    given = np.ascontiguousarray(values)
    cpus, size = possible_cpus(), held.value_size
    if held.type not in TYPES or given.shape[:1] != (cpus,) or given.nbytes != cpus * size:
        wanted = f"{cpus} values (one per possible CPU) of {size} bytes" if held.type in TYPES else "a plain update()"
        raise KernelError(f"map '{held.name}' takes {wanted}, not an array of shape {given.shape} and dtype {given.dtype}")
    rows = np.zeros((cpus, held.element_stride), np.uint8)
    rows[:, :size] = given.reshape(cpus, -1).view(np.uint8)
    held.update(key, rows.tobytes(), flags)
