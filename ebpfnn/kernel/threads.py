"""Threads, by the kernel's thread id, which is reused after a thread has ended."""

from __future__ import annotations

import errno
import os
import threading

from .syscall import refusal, tgkill

_NONE = 1 << 31  # numbers lie below (PID_MAX_LIMIT)


def current() -> int:
    """The id of the calling thread. Raises :class:`~ebpfnn.errors.KernelError` if a filter refuses gettid(2)."""
    number = threading.get_native_id()
    if number < _NONE:
        return number
    raise refusal("this thread: gettid", errno.ENOSYS)  # whatever it was, Python makes -1 of it


def exists(thread: int) -> bool:
    """Whether a thread of any process has that id: signal 0 also finds threads of other users, which /proc may hide."""
    try:
        os.kill(thread, 0)
    except ProcessLookupError:
        return False
    except OSError:  # EPERM: it is another user's (kill(2)), or a filter keeps it from being told
        return True
    return True


def is_ours(thread: int) -> bool:
    """Whether a thread of this process has that number, be it about to end: the kernel's is there when join() has returned."""
    return tgkill(os.getpid(), thread) != errno.ESRCH
