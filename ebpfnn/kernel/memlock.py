"""RLIMIT_MEMLOCK: kernels before 5.11 charge maps and programs to it, later ones do not."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from typing import TypeVar

from ..errors import KernelError

_Result = TypeVar("_Result")
_UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def charging(create: Callable[[], _Result]) -> _Result:
    """Runs ``create``; after EPERM, which may be due to the limit, raises the limit and runs it again.

    If that does not help, the limit is restored: the reason was missing privileges.
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
