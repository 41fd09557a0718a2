"""BPF_PROG_RUN with attributes prepared once, for callers that run one program millions of times."""

from __future__ import annotations

import ctypes
import os
from weakref import WeakSet

from .fd import Descriptor
from .syscall import Command, ProgRun, bpf, system_call

_NO_DESCRIPTOR = 0xFFFFFFFF


class PreparedRun:
    """A prepared run. ``given`` is the memory of the context or packet; the next run uses what is written there.

    Only one thread at a time may run it. In the child of a fork it is stopped.
    """

    def __init__(self, program: Descriptor, *, context: bytes = b"", data: bytes = b"") -> None:
        self.given = ctypes.create_string_buffer(context or data, len(context or data))
        place = ctypes.addressof(self.given)
        self._attributes = ProgRun(prog_fd=program.fileno())
        if context:
            self._attributes.ctx_in, self._attributes.ctx_size_in = place, len(context)
        else:
            self._attributes.data_in, self._attributes.data_size_in = place, len(data)
        self._what = f"program '{program.name}'"
        _all.add(self)
        self.run_quickly = system_call(Command.PROG_RUN, self._attributes)
        """Runs the program once, by one system call, without allocations. It does not report errors; :meth:`run` does."""

    def run(self) -> None:
        """Runs the program once. Raises :class:`~ebpfnn.errors.KernelError`, EBADF after it was stopped."""
        bpf(Command.PROG_RUN, self._attributes, self._what)

    def stop(self) -> None:
        """Stops it: after the program is closed, its descriptor number may refer to another program."""
        self._attributes.prog_fd = _NO_DESCRIPTOR


_all: WeakSet[PreparedRun] = WeakSet()


def _leave() -> None:
    for prepared in _all:
        prepared.stop()


os.register_at_fork(after_in_child=_leave)
