"""The ``run`` trigger: BPF_PROG_RUN runs the network. No event, no attachment: the shortest way from a sample to its scores."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from ebpfnn.errors import Error, PluginError
from ebpfnn.kernel import Object, Program, has_program_type
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Attachment, Trigger, hookimpl, object_path

_SYSCALL, _XDP = "ebpfnn_run", "ebpfnn_run_xdp"
_ETHERNET_HEADER = 14  # the shortest packet that a test run of XDP takes (bpf_test_init)


class RunAttachment(Attachment):
    """Nothing is attached; the program is run by name."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._is_packet = program.name == _XDP

    def fire(self, slot: int) -> None:
        context = struct.pack("<I", slot)
        if self._is_packet:
            self._program.run(data=context.ljust(_ETHERNET_HEADER, b"\0"))
        else:
            self._program.run(context=context)


class RunTrigger(Trigger):
    """A SYSCALL program (Linux 5.14), or an XDP one in a test run where the kernel has none."""

    name = "run"
    summary = "BPF_PROG_RUN, no event at all"

    def object_path(self) -> Path:
        return object_path("run")

    def program(self) -> str:
        return _SYSCALL if has_program_type(ProgramType.SYSCALL) else _XDP

    def attach(self, loaded: Object, target: str | None) -> Attachment:
        if target is not None:
            raise PluginError(f"trigger 'run' has no target, but '{target}' was given; leave it out")
        return RunAttachment(loaded.programs[self.program()])

    def supported(self) -> str | None:
        try:
            object_path("run")
            usable = has_program_type(ProgramType.SYSCALL) or has_program_type(ProgramType.XDP)
        except Error as lack:
            return str(lack)
        return None if usable else "this kernel takes neither SYSCALL nor XDP programs; it needs CONFIG_NET and Linux 4.8"


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [RunTrigger()]
