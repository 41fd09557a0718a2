"""Array maps in shared memory: maps with BPF_F_MMAPABLE (Linux 5.5) are accessed without system calls."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

from ...errors import KernelError
from ..syscall import refusal
from .elements import Elements

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def share(held: Elements, writable: bool) -> mmap.mmap:
    """See :meth:`ebpfnn.kernel.Map.mmap`."""
    page = mmap.PAGESIZE
    size = (held.element_stride * held.max_entries + page - 1) // page * page
    access = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    try:
        return mmap.mmap(held.fileno(), size, mmap.MAP_SHARED, access)
    except OSError as fault:
        raise refusal(f"map '{held.name}': mmap", fault.errno or 0) from None


def item_type(held: Elements, dtype: npt.DTypeLike) -> np.dtype[Any]:
    """Returns ``dtype`` as a numpy dtype.

    Raises :class:`~ebpfnn.errors.KernelError` if the size of a value is not a multiple of the item size.
    """
    import numpy as np

    kind = np.dtype(dtype)
    if kind.itemsize == 0 or held.value_size % kind.itemsize:
        raise KernelError(
            f"map '{held.name}': values of {held.value_size} bytes are not a whole number of {kind} items; choose a dtype"
        )
    return kind


def as_array(held: Elements, dtype: npt.DTypeLike, writable: bool) -> npt.NDArray[Any]:
    """See :meth:`ebpfnn.kernel.Map.array`."""
    import numpy as np

    kind = item_type(held, dtype)
    width = held.value_size // kind.itemsize
    shape, strides = (held.max_entries, width), (held.element_stride, kind.itemsize)
    values: npt.NDArray[Any] = np.ndarray(shape, kind, share(held, writable), strides=strides)
    return values[:, 0] if width == 1 else values
