"""BPF_PROG_RUN with everything laid out beforehand, for who runs one program millions of times."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

from .syscall import Command, ProgRun, bpf, system_call

if TYPE_CHECKING:
    from .program import Program

_NO_DESCRIPTOR = 0xFFFFFFFF


class PreparedRun:
    """``given`` is the memory of the context, or of the packet: what is written there the next run sees.

    One thread at a time may run it.
    """

    def __init__(self, program: Program, *, context: bytes = b"", data: bytes = b"") -> None:
        self.given = ctypes.create_string_buffer(context or data, len(context or data))
        place = ctypes.addressof(self.given)
        self._attributes = ProgRun(prog_fd=program.fileno())
        if context:
            self._attributes.ctx_in, self._attributes.ctx_size_in = place, len(context)
        else:
            self._attributes.data_in, self._attributes.data_size_in = place, len(data)
        self._what = f"program '{program.name}'"
        self.run_quickly = system_call(Command.PROG_RUN, self._attributes)
        """Runs the program once: one system call, and nothing is allocated. It does not tell of a refusal; :meth:`run` does."""

    def run(self) -> None:
        """Runs the program once. Raises :class:`~ebpfnn.errors.KernelError`, EBADF once it was stopped."""
        bpf(Command.PROG_RUN, self._attributes, self._what)

    def stop(self) -> None:
        """Keeps it from running: when the program is closed, its descriptor's number may come to mean another one."""
        self._attributes.prog_fd = _NO_DESCRIPTOR
