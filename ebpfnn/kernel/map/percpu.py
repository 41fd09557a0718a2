"""Per-CPU maps: one value for each possible CPU. Each value is padded to a multiple of 8 bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import KernelError
from ..cpus import PER_CPU, possible_cpus
from .elements import Elements
from .view import item_type

if TYPE_CHECKING:
    import numpy.typing as npt


def lookup(held: Elements, key: bytes, dtype: npt.DTypeLike) -> npt.NDArray[Any] | None:
    """See :meth:`ebpfnn.kernel.Map.lookup_percpu`."""
    import numpy as np

    if held.type not in PER_CPU:
        raise KernelError(f"map '{held.name}' is not a per-CPU map; use lookup()")
    kind = item_type(held, dtype)
    raw = held.lookup(key)
    if raw is None:
        return None
    rows = np.frombuffer(raw, np.uint8).reshape(possible_cpus(), -1)[:, : held.value_size]
    values = np.ascontiguousarray(rows).view(kind)
    return values[:, 0] if values.shape[1] == 1 else values


def update(held: Elements, key: bytes, values: npt.ArrayLike, flags: int) -> None:
    """See :meth:`ebpfnn.kernel.Map.update_percpu`."""
    import numpy as np

    given = np.ascontiguousarray(values)
    cpus, size = possible_cpus(), held.value_size
    if held.type not in PER_CPU or given.shape[:1] != (cpus,) or given.nbytes != cpus * size:
        wanted = f"{cpus} values (one per possible CPU) of {size} bytes" if held.type in PER_CPU else "a plain update()"
        raise KernelError(f"map '{held.name}' takes {wanted}, not an array of shape {given.shape} and dtype {given.dtype}")
    rows = np.zeros((cpus, held.element_stride), np.uint8)
    rows[:, :size] = given.reshape(cpus, -1).view(np.uint8)
    held.update(key, rows.tobytes(), flags)
