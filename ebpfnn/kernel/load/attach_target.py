"""Finds the load-time target of a program: a function or tracepoint of the kernel, or a function of another program."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import NamedTuple

from ...errors import ObjectError
from ...obj import Kind, ProgramSpec
from ...obj.uapi import AttachType, ProgramType
from .btf import module_btf, module_names, vmlinux
from .kernel_symbols import find_type
from .module_types import module_descriptor, program_types
from .program import Program

_KERNEL = "vmlinux"
_BOUND = (ProgramType.TRACING, ProgramType.LSM, ProgramType.EXT)


class AttachTarget(NamedTuple):
    """The id of a type, and the descriptor of the module or program it is in, 0 for the kernel itself."""

    btf_id: int = 0
    fd: int = 0


class _Naming(NamedTuple):
    """How the kernel's types name a place to attach to."""

    prefix: str
    kind: Kind
    noun: str


_NAMINGS = {
    AttachType.TRACE_RAW_TP: _Naming("btf_trace_", Kind.TYPEDEF, "tracepoint"),
    AttachType.LSM_MAC: _Naming("bpf_lsm_", Kind.FUNC, "LSM hook"),
    AttachType.LSM_CGROUP: _Naming("bpf_lsm_", Kind.FUNC, "LSM hook"),
    AttachType.TRACE_ITER: _Naming("bpf_iter_", Kind.FUNC, "iterator"),
}
_FUNCTION = _Naming("", Kind.FUNC, "function")


def find_target(program: ProgramSpec, name: str, targets: Mapping[str, Program], held: ExitStack) -> AttachTarget:
    """The target of ``program`` in the object ``name``; ``targets`` has, by name, the programs whose functions are targets.

    Raises :class:`ObjectError` if the section name does not say it, or names something that does not exist.
    """
    if program.type not in _BOUND:
        return AttachTarget()
    what = f"{name}: program '{program.name}'"
    if not program.attach_to:
        section = program.section.removeprefix("?")
        raise ObjectError(f'{what}: SEC("{section}") does not name a target; write SEC("{section}/NAME")')
    if program.name in targets:
        return _program_target(program, targets[program.name], what)
    if program.type == ProgramType.EXT:
        raise ObjectError(
            f"{what} replaces a function of another program; name that program with targets={{'{program.name}': ...}}"
        )
    return _kernel_target(program, what, held)


def _program_target(program: ProgramSpec, target: Program, what: str) -> AttachTarget:
    found = program_types(target).find(program.attach_to, Kind.FUNC)
    if found is None:
        raise ObjectError(f"{what}: program '{target.name}' has no function '{program.attach_to}'; name one that is not static")
    return AttachTarget(found, target.fileno())


def _kernel_target(program: ProgramSpec, what: str, held: ExitStack) -> AttachTarget:
    """``module:function`` is looked up in that module alone (``vmlinux`` is the kernel itself), else everywhere."""
    naming = _naming(program.expected_attach_type, what)
    module, _, wanted = program.attach_to.rpartition(":")
    found = _find_in(module, naming.prefix + wanted, naming.kind) if module else find_type(naming.prefix + wanted, naming.kind)
    if found is None:
        where = f"module '{module}'" if module not in ("", _KERNEL) else "the kernel"
        fact = f"{where} has no {naming.noun} '{wanted}' in its types"
        raise ObjectError(f"{what}: {fact}; it may be inlined, static, or in a module that is not loaded")
    type_id, module = found
    return AttachTarget(type_id, held.enter_context(module_descriptor(module)).fileno() if module else 0)


def _naming(number: int, what: str) -> _Naming:
    try:
        return _NAMINGS.get(AttachType(number), _FUNCTION)
    except ValueError:
        fact = f"attach type {number} is unknown to ebpfnn"
        raise ObjectError(f"{what}: {fact}; give one of AttachType as expected_attach_type") from None


def _find_in(module: str, name: str, kind: Kind) -> tuple[int, str] | None:
    """Like :func:`find_type`, only in the types of one module, without the kernel's types that it builds on."""
    if module == _KERNEL:
        found = vmlinux().find(name, kind)
        return None if found is None else (found, "")
    if module not in module_names():
        return None
    found = module_btf(module).find(name, kind)
    return None if found is None or found < len(vmlinux()) else (found, module)
