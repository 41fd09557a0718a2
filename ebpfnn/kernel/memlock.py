"""RLIMIT_MEMLOCK, against which kernels before 5.11 count maps and programs, and later ones do not."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from typing import TypeVar

from ..errors import KernelError

_Result = TypeVar("_Result")


def charging(create: Callable[[], _Result]) -> _Result:
    """Runs ``create``, and once more with the limit raised where the kernel refused with EPERM for its sake.

    The limit is touched only then: a kernel that charges the memory cgroup never lets it come to that.
    """
    try:
        return create()
    except KernelError as refusal:
        if refusal.errno != errno.EPERM or not _raise_limit():
            raise
        return create()


def _raise_limit() -> bool:
    """Whether there was anything to raise."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    if resource.getrlimit(resource.RLIMIT_MEMLOCK) == unlimited:
        return False
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, unlimited)
    except (ValueError, OSError):
        return False
    return True
