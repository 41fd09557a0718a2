"""RLIMIT_MEMLOCK, against which kernels before 5.11 count maps and programs, and later ones do not."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from typing import TypeVar

from ..errors import KernelError

_Result = TypeVar("_Result")
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def charging(create: Callable[[], _Result]) -> _Result:
    """Runs ``create``, and once more with the limit raised where the kernel refused with EPERM, which might be for its sake.

    Where that does not help the limit is put back: the refusal was for want of privilege.
    """
    try:
        return create()
    except KernelError as refusal:
        if refusal.errno != errno.EPERM:
            raise
        before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        if before == _UNLIMITED or not _set_limit(_UNLIMITED):
            raise
        try:
            return create()
        except KernelError:
            _set_limit(before)
            raise


def _set_limit(limit: tuple[int, int]) -> bool:
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, limit)
    except (ValueError, OSError):
        return False
    return True
