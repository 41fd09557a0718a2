"""What this kernel can do, found out by trying: version numbers say little of a kernel that a distribution has patched."""

from __future__ import annotations

import errno
from functools import cache

from ..errors import KernelError
from ..obj import Image, ProgramSpec, ProgramType, insn
from ..obj.sections import SLEEPABLE
from .program import Program


@cache
def has_program_type(type: ProgramType) -> bool:  # noqa: A002
    """Whether programs of the type load. Raises :class:`~ebpfnn.errors.PermissionDenied` where nothing may be tried."""
    code = insn.trivial_program()
    flags = SLEEPABLE if type is ProgramType.SYSCALL else 0
    spec = ProgramSpec("probe", "", type, flags=flags)
    try:
        Program.load(spec, Image(code, (), (), (), ()), code, "GPL").close()
    except KernelError as refusal:
        if refusal.errno == errno.EINVAL:
            return False
        raise
    return True
