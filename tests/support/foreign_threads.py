"""Threads that Python did not start, as libraries written in C have."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

_libc = ctypes.CDLL(None)
_START = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
_END = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class ForeignThread:
    """A thread that calls ``work``, and ``again`` in a second call into Python, to which it is another thread by then."""

    def __init__(self, work: Callable[[], object], again: Callable[[], object] | None = None) -> None:
        key = ctypes.c_uint()
        end = _END(lambda _: again and again())

        def run(_: int) -> None:
            if again:
                _libc.pthread_setspecific(key, ctypes.c_void_p(1))  # whose end the thread has told once it returned
            work()

        self._kept = start, end = _START(run), end
        check(_libc.pthread_key_create(ctypes.byref(key), end))
        self._thread, self._key = ctypes.c_ulong(), key
        check(_libc.pthread_create(ctypes.byref(self._thread), None, start, None))

    def join(self) -> None:
        check(_libc.pthread_join(self._thread, None))
        check(_libc.pthread_key_delete(self._key))


def check(code: int) -> None:
    if code:
        raise OSError(code, os.strerror(code))
