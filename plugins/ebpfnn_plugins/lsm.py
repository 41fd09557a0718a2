"""The ``lsm`` trigger: the security hooks of the kernel, at which a thread can be denied what it is about to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ebpfnn.errors import KernelError, UsageError, VerifierError
from ebpfnn.events import Field, function_fields
from ebpfnn.kernel import Link, Object, Program, attach_tracing, lacks_lsm, vmlinux
from ebpfnn.obj import ObjectSpec, ProgramType
from ebpfnn.plugin import Trigger, hookimpl, nearest

from .task import TaskTrigger, do_nothing, known_functions

_PREFIX = "bpf_lsm_"  # the kernel's function for each hook (kernel/bpf/bpf_lsm.c, Linux 5.7)


class LsmTrigger(TaskTrigger):
    """A hook of include/linux/lsm_hook_defs.h, by name. The kernel must know it when the program is loaded."""

    name = "lsm"
    summary = "security hook of the kernel, HOOK; its guards can deny"
    default_target = "task_getpgid"
    shell = "lsm"
    entry = "ebpfnn_lsm"
    observing_entry = "ebpfnn_lsm_events"
    type = ProgramType.LSM

    def event(self, target: str | None) -> str:
        hook = target or self.default_target
        if not re.fullmatch(r"\w+", hook):
            raise UsageError(f"target '{hook}' is not the name of a security hook; give one such as {self.default_target}")
        return hook

    def prepare(self, shell: ObjectSpec, target: str | None) -> None:
        self.own_fields(target)
        program = replace(shell.programs[self.entry], attach_to=self.event(target))
        shell.programs[self.entry] = program
        try:
            Object.load(do_nothing(program)).close()
        except VerifierError as refused:
            fact = f"security hook '{program.attach_to}': this kernel takes no programs at it"
            raise KernelError(f"{fact}; give another hook", refused.errno) from refused

    def own_fields(self, target: str | None) -> Sequence[Field]:
        return tuple(field for field in hook_fields(self.event(target)) if field.name != "returned")

    def link(self, program: Program, target: str | None) -> Link:
        del target
        return attach_tracing(program)

    def lack(self) -> str | None:
        return lacks_lsm()


def hook_fields(hook: str) -> Sequence[Field]:
    """The arguments of a hook and, if it can deny, the field ``returned``.

    Raises :class:`KernelError` (ENOENT), with similar names, if the kernel has no such hook.
    """
    found = function_fields(vmlinux(), _PREFIX + hook, leaving=True)
    if found is None:
        known = {name.removeprefix(_PREFIX) for name in known_functions() if name.startswith(_PREFIX)}
        hint = nearest(hook, known) or "; /sys/kernel/btf/vmlinux has them as bpf_lsm_HOOK, if it was built with CONFIG_BPF_LSM"
        raise KernelError(f"security hook '{hook}' not found in the kernel's types{hint}", errno.ENOENT)
    return found


@hookimpl
def ebpfnn_triggers() -> Iterable[Trigger]:
    return [LsmTrigger()]
