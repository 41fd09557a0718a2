"""The ``run`` trigger: BPF_PROG_RUN runs the network, without event and attachment. This is the fastest way to get scores."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from ebpfnn.errors import Error, UsageError
from ebpfnn.kernel import Object, PreparedRun, Program, has_program_type
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Attachment, Trigger, hookimpl, object_path

_SYSCALL, _XDP = "ebpfnn_run", "ebpfnn_run_xdp"
_CONTEXT = struct.Struct("=II")  # struct run_context of bpf/run.bpf.c
_OWN_SAMPLE = 0
_ETHERNET_HEADER = 14  # the shortest packet that an XDP test run takes (bpf_test_init)


class RunAttachment(Attachment):
    """Nothing is attached. The program is run by its name."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._prepared: list[PreparedRun] = []

    def fire(self, slot: int) -> None:
        self._lay_out(slot).run()

    def prepare(self, slot: int) -> Callable[[], None]:
        return self._keep(self._lay_out(slot)).run_quickly

    def prepare_batch(self, slot: int) -> Callable[[int], None]:
        prepared = self._keep(self._lay_out(slot))

        def run(count: int) -> None:
            _CONTEXT.pack_into(prepared.given, 0, slot, count)
            prepared.run()

        return run

    def close(self) -> None:
        for prepared in self._prepared:
            prepared.stop()

    def _lay_out(self, slot: int) -> PreparedRun:
        context = _CONTEXT.pack(slot, _OWN_SAMPLE)
        if self._program.name == _XDP:
            return self._program.prepare_run(data=context.ljust(_ETHERNET_HEADER, b"\0"))
        return self._program.prepare_run(context=context)

    def _keep(self, prepared: PreparedRun) -> PreparedRun:
        self._prepared.append(prepared)
        return prepared


class RunTrigger(Trigger):
    """A SYSCALL program (Linux 5.14), or, if the kernel does not have these, an XDP program in a test run."""

    name = "run"
    summary = "BPF_PROG_RUN, without an event"

    def __init__(self, *, by_xdp: bool = False) -> None:
        self._by_xdp = by_xdp
        if by_xdp:
            self.capabilities = (*self.capabilities, "CAP_NET_ADMIN")

    def object_path(self) -> Path:
        return object_path("run")

    def program(self) -> str:
        return _SYSCALL if not self._by_xdp and has_program_type(ProgramType.SYSCALL) else _XDP

    def resident(self) -> Trigger:
        """Uses XDP, since SYSCALL programs cannot use program arrays (check_map_prog_compatibility, Linux 6.18)."""
        return RunTrigger(by_xdp=True)

    def attach(self, loaded: Object, target: str | None) -> Attachment:
        if target is not None:
            raise UsageError(f"trigger 'run' has no target, but '{target}' was given; leave it out")
        return RunAttachment(loaded.programs[self.program()])

    def attached(self, program: Program, target: str | None) -> Attachment:
        del target
        return RunAttachment(program)

    def supported(self) -> str | None:
        try:
            object_path("run")
            usable = has_program_type(ProgramType.SYSCALL) or has_program_type(ProgramType.XDP)
        except Error as lack:
            return str(lack)
        return None if usable else "this kernel supports neither SYSCALL nor XDP programs; it needs CONFIG_NET and Linux 4.8"


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [RunTrigger()]
