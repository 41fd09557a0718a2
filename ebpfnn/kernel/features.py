"""Probes what this kernel can do. Versions are not compared, because distributions backport features.

Every probe is one or two system calls, made on first use.
"""

from __future__ import annotations

import ctypes
import errno
from contextlib import suppress
from functools import cache

from ..errors import KernelError, PermissionDenied
from ..obj import ProgramType, insn
from ..obj.btf.sanitize import BtfFeature, probe_types
from ..obj.uapi import MMAPABLE, SLEEPABLE, AttachType, MapType
from .fd import Descriptor
from .memlock import charging
from .syscall import (
    BtfLoad,
    Command,
    KprobeMultiLinkCreate,
    LinkCreate,
    MapCreate,
    ProgLoad,
    UprobeMultiLinkCreate,
    bpf,
)

KMALLOC_LARGEST = 4 << 20
"""KMALLOC_MAX_SIZE, with pages of 4 KiB."""
_GET_ATTACH_COOKIE = 174  # BPF_FUNC_get_attach_cookie
_LOOP = 181  # BPF_FUNC_loop
_STORE_U64, _LOAD_S8, _STACK_POINTER = 0x7A, 0x91, 10  # *(u64 *)(r10 + offset) = imm, r0 = *(s8 *)(r10 + offset)
_UNREADABLE = 1  # no address of user space, which EFAULT says of a request that was understood so far
_PROGRAM, _LOG_SIZE = "program 'probe'", 4096
# What a trivial program of the type says it is for, where 0 is not among its attach types.
_ATTACH_TYPES = {
    ProgramType.CGROUP_SOCK_ADDR: AttachType.CGROUP_INET4_CONNECT,
    ProgramType.CGROUP_SOCKOPT: AttachType.CGROUP_GETSOCKOPT,
    ProgramType.LIRC_MODE2: AttachType.LIRC_MODE2,
    ProgramType.SK_LOOKUP: AttachType.SK_LOOKUP,
    ProgramType.NETFILTER: AttachType.NETFILTER,
    ProgramType.TRACING: AttachType.TRACE_FENTRY,
    ProgramType.LSM: AttachType.LSM_MAC,
}
# What a kernel that knows the type answers to one of these bound to the kernel's type 1: the number and the verifier's words.
_BOUND_ANSWERS = {
    ProgramType.TRACING: (errno.EINVAL, "attach_btf_id 1 is not a "),  # function, or of a tracepoint typedef
    ProgramType.LSM: (errno.EINVAL, "attach_btf_id 1 is not a "),
    ProgramType.EXT: (errno.EINVAL, "Cannot replace kernel functions"),
    ProgramType.STRUCT_OPS: (524, ""),
}
_REFUSED = (errno.EINVAL, errno.E2BIG)


@cache
def has_program_type(type: ProgramType, attach_type: int | None = None) -> bool:  # noqa: A002
    """Whether programs of this type load. For a type that is bound to a function: of one attach type; for TRACING, fentry.

    A type that is bound to a function or struct of the kernel is probed with a wrong target, as libbpf does
    (``probe_prog_load``, libbpf 1.5): a kernel that supports the type answers that the target is wrong.

    Raises :class:`~ebpfnn.errors.PermissionDenied` without privileges, and KernelError if the answer is unclear.
    """
    if type in _BOUND_ANSWERS:
        return _knows_bound(type, attach_type)
    flags = SLEEPABLE if type is ProgramType.SYSCALL else 0
    return _loads(type, insn.trivial_program(), prog_flags=flags, expected_attach_type=_ATTACH_TYPES.get(type, 0))


@cache
def is_closed_to_all(type: ProgramType, attach_type: int | None = None) -> bool:  # noqa: A002
    """Whether the kernel refuses a bound type with EPERM to a process that may load a kprobe, which needs the same privileges.

    A kernel may refuse some attach types of a type and accept others: fentry, but not iterators.
    """
    if type not in _BOUND_ANSWERS:
        return False
    try:
        _probe_bound(type, attach_type)
    except PermissionDenied:
        with suppress(KernelError):
            return has_program_type(ProgramType.KPROBE)
    return False


@cache
def has_object_names() -> bool:
    """Whether maps and programs can have names (Linux 4.15)."""
    return _creates(map_name=b"probe")


@cache
def has_expected_attach_type() -> bool:
    """Whether a program has an expected attach type (Linux 4.17)."""
    attach_type = AttachType.CGROUP_INET_SOCK_CREATE
    return _loads(ProgramType.CGROUP_SOCK, insn.trivial_program(), expected_attach_type=attach_type)


@cache
def has_mmapable_arrays() -> bool:
    """Whether user space can map an array into its memory (Linux 5.5)."""
    return _creates(map_flags=MMAPABLE)


@cache
def has_cookies() -> bool:
    """Whether a program can read the cookie it was attached with (Linux 5.15)."""
    call = insn.Instruction(insn.CALL, imm=_GET_ATTACH_COOKIE).encode()
    return _loads(ProgramType.TRACEPOINT, call + insn.Instruction(insn.EXIT).encode())


@cache
def has_multi_kprobes(attach_type: AttachType = AttachType.TRACE_KPROBE_MULTI) -> bool:
    """Whether one link can probe many kernel functions (Linux 5.18), or as a session (Linux 6.10)."""
    return _links(KprobeMultiLinkCreate(attach_type=attach_type, count=1, symbols=_UNREADABLE))


@cache
def has_multi_uprobes(attach_type: AttachType = AttachType.TRACE_UPROBE_MULTI) -> bool:
    """Whether one link can probe many functions of a file (Linux 6.6), or as a session (Linux 6.13)."""
    return _links(UprobeMultiLinkCreate(attach_type=attach_type, count=1, path=_UNREADABLE, offsets=_UNREADABLE))


@cache
def has_large_values() -> bool:
    """Whether an array value may be larger than what the kernel's allocator gives in one piece (Linux 5.18)."""
    return _creates(value_size=KMALLOC_LARGEST + 8)


@cache
def has_sign_extension() -> bool:
    """Whether a load can extend the sign of what it reads (ISA v4, Linux 6.6)."""
    clear = insn.Instruction(_STORE_U64, _STACK_POINTER, offset=-8).encode()
    load = insn.Instruction(_LOAD_S8, 0, _STACK_POINTER, -8).encode()
    return _loads(ProgramType.SOCKET_FILTER, clear + load + insn.Instruction(insn.EXIT).encode())


@cache
def has_callback_loops() -> bool:
    """Whether the kernel has the helper ``bpf_loop`` (Linux 5.17).

    The probe calls it without a callback, because a callback needs BTF. A kernel that knows the helper reports this error.
    """
    code = insn.Instruction(insn.CALL, imm=_LOOP).encode() + insn.Instruction(insn.EXIT).encode()
    try:
        return _loads(ProgramType.SOCKET_FILTER, code)
    except PermissionDenied as refusal:
        if refusal.errno == errno.EACCES:
            return True
        raise


@cache
def missing_btf() -> frozenset[BtfFeature]:
    """The BTF features that this kernel does not support."""
    return frozenset(feature for feature in BtfFeature if not _takes_types(probe_types(feature)))


def _knows_bound(type: ProgramType, attach_type: int | None) -> bool:  # noqa: A002
    if is_closed_to_all(type, attach_type):
        return False
    code, words = _BOUND_ANSWERS[type]
    refusal, log = _probe_bound(type, attach_type)
    if refusal.errno == code and words in log:
        return True
    if refusal.errno in _REFUSED:
        return False
    raise refusal


def _probe_bound(type: ProgramType, attach_type: int | None) -> tuple[KernelError, str]:  # noqa: A002
    """The error and the verifier's log for a program that is bound to type 1 of the kernel, which is not a function."""
    log = ctypes.create_string_buffer(_LOG_SIZE)
    expected = _ATTACH_TYPES.get(type, 0) if attach_type is None else attach_type
    request = _request(type, insn.trivial_program(), expected_attach_type=expected, attach_btf_id=1)
    request.log_buf, request.log_size, request.log_level = ctypes.addressof(log), _LOG_SIZE, 1
    try:
        Descriptor(charging(lambda: bpf(Command.PROG_LOAD, request, _PROGRAM)), _PROGRAM).close()
    except PermissionDenied:
        raise
    except KernelError as refusal:
        return refusal, log.value.decode("utf-8", "replace")
    raise KernelError(
        f"{_PROGRAM}: a {type.name} program loaded without a function, so the probe is unclear; report the kernel"
    )


def _loads(type: ProgramType, code: bytes, **attributes: int) -> bool:  # noqa: A002
    return _succeeds(Command.PROG_LOAD, _request(type, code, **attributes), _PROGRAM)


def _links(attributes: LinkCreate) -> bool:
    """Whether a link of that type is taken, which is to be refused for its unreadable part alone, with a kprobe program."""
    load = _request(ProgramType.KPROBE, insn.trivial_program(), expected_attach_type=attributes.attach_type)
    try:
        with Descriptor(charging(lambda: bpf(Command.PROG_LOAD, load, _PROGRAM)), _PROGRAM) as program:
            attributes.prog_fd = program.fileno()
            Descriptor(bpf(Command.LINK_CREATE, attributes, "link 'probe'"), "link 'probe'").close()
    except KernelError as refusal:
        if refusal.errno in (*_REFUSED, errno.EOPNOTSUPP, errno.EFAULT):
            return refusal.errno == errno.EFAULT
        raise
    return True


def _request(type: ProgramType, code: bytes, **attributes: int) -> ProgLoad:  # noqa: A002
    data, license = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")  # noqa: A001
    request = ProgLoad(
        prog_type=type,
        insn_cnt=len(code) // insn.SIZE,
        insns=ctypes.addressof(data),
        license=ctypes.addressof(license),
        **attributes,
    )
    request.kept = data, license  # as long as the request points to them
    return request


def _creates(**attributes: int | bytes) -> bool:
    request = MapCreate(**{"map_type": MapType.ARRAY, "key_size": 4, "value_size": 4, "max_entries": 1, **attributes})
    return _succeeds(Command.MAP_CREATE, request, "map 'probe'")


def _takes_types(data: bytes) -> bool:
    buffer = ctypes.create_string_buffer(data, len(data))
    return _succeeds(Command.BTF_LOAD, BtfLoad(btf=ctypes.addressof(buffer), btf_size=len(data)), "BTF probe")


def _succeeds(command: Command, request: ctypes.Structure, what: str) -> bool:
    """Whether the kernel accepts it. Raises :class:`~ebpfnn.errors.KernelError` if the error says nothing about a feature."""
    try:
        Descriptor(charging(lambda: bpf(command, request, what)), what).close()
    except KernelError as refusal:
        if refusal.errno in _REFUSED:
            return False
        raise
    return True
