"""What this kernel can do, found out by trying: version numbers say little of a kernel that a distribution has patched.

Every probe is one or two system calls, made when somebody asks for the first time.
"""

from __future__ import annotations

import ctypes
import errno
from functools import cache

from ..errors import KernelError
from ..obj import ProgramType, insn
from ..obj.sanitize import BtfFeature, probe_types
from ..obj.uapi import MMAPABLE, SLEEPABLE, AttachType, MapType
from .fd import Descriptor
from .memlock import charging
from .syscall import BtfLoad, Command, MapCreate, ProgLoad, bpf

_GET_ATTACH_COOKIE = 174  # BPF_FUNC_get_attach_cookie
_REFUSED = (errno.EINVAL, errno.E2BIG)


@cache
def has_program_type(type: ProgramType) -> bool:  # noqa: A002
    """Whether programs of the type load. Raises :class:`~ebpfnn.errors.PermissionDenied` where nothing may be tried."""
    return _loads(type, insn.trivial_program(), prog_flags=SLEEPABLE if type is ProgramType.SYSCALL else 0)


@cache
def has_object_names() -> bool:
    """Whether maps and programs can have names (Linux 4.15)."""
    return _creates(map_name=b"probe")


@cache
def has_expected_attach_type() -> bool:
    """Whether a program says what it will be attached to (Linux 4.17)."""
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
def missing_btf() -> frozenset[BtfFeature]:
    """What this kernel does not take in an object's types."""
    return frozenset(feature for feature in BtfFeature if not _takes_types(probe_types(feature)))


def _loads(type: ProgramType, code: bytes, **attributes: int) -> bool:  # noqa: A002
    data, license = ctypes.create_string_buffer(code, len(code)), ctypes.create_string_buffer(b"GPL")  # noqa: A001
    request = ProgLoad(
        prog_type=type,
        insn_cnt=len(code) // insn.SIZE,
        insns=ctypes.addressof(data),
        license=ctypes.addressof(license),
        **attributes,
    )
    return _succeeds(Command.PROG_LOAD, request, "program 'probe'")


def _creates(**attributes: int | bytes) -> bool:
    request = MapCreate(map_type=MapType.ARRAY, key_size=4, value_size=4, max_entries=1, **attributes)
    return _succeeds(Command.MAP_CREATE, request, "map 'probe'")


def _takes_types(data: bytes) -> bool:
    buffer = ctypes.create_string_buffer(data, len(data))
    return _succeeds(Command.BTF_LOAD, BtfLoad(btf=ctypes.addressof(buffer), btf_size=len(data)), "BTF probe")


def _succeeds(command: Command, request: ctypes.Structure, what: str) -> bool:
    """Whether the kernel takes it. Raises :class:`~ebpfnn.errors.KernelError` where its refusal says nothing of a feature."""
    try:
        Descriptor(charging(lambda: bpf(command, request, what)), what).close()
    except KernelError as refusal:
        if refusal.errno in _REFUSED:
            return False
        raise
    return True
