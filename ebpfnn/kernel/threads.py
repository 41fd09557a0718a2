"""Threads by the kernel's number for them, which it gives to another once one has ended."""

from __future__ import annotations

import errno
import os
import threading

from .syscall import refusal, tgkill

_NONE = 1 << 31  # numbers lie below (PID_MAX_LIMIT)


def current() -> int:
    """The calling thread's number. Raises :class:`~ebpfnn.errors.KernelError` where a filter keeps gettid(2) from telling."""
    number = threading.get_native_id()
    if number < _NONE:
        return number
    raise refusal("this thread: gettid", errno.ENOSYS)  # Python makes -1 of whatever it was


def exists(thread: int) -> bool:
    """Whether a thread of any process has that number: signal 0 finds those of other users too, whom /proc may hide."""
    try:
        os.kill(thread, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's (kill(2))
        return True
    return True


def is_ours(thread: int) -> bool:
    """Whether a thread of this process has that number, be it about to end: the kernel's is there when join() has returned."""
    return tgkill(os.getpid(), thread) == 0
