"""BPF_PROG_ATTACH: for hooks without a link, and for kernels without a link for the hook."""

from __future__ import annotations

import errno
from contextlib import ExitStack

from ...errors import KernelError
from ..fd import Descriptor
from ..load.program import Program
from ..syscall import Command, LinkCreate, ProgAttach, bpf
from .link import HeldLink, Link, duplicate

_GONE = (errno.ENOENT, errno.EINVAL)


def link_or_attach(program: Program, target: Descriptor, attach_type: int, what: str, flags: int = 0) -> Link:
    """A link where the kernel has one for the hook, else BPF_PROG_ATTACH with ``flags``; ``target`` may be closed afterwards.

    Raises :class:`~ebpfnn.errors.KernelError`.
    """
    try:
        return Link.create(LinkCreate(program.fileno(), target.fileno(), attach_type), what)
    except KernelError as refused:
        if refused.errno != errno.EINVAL:
            raise
    return attach(program, target, attach_type, what, flags)


def attach(program: Program, target: Descriptor, attach_type: int, what: str, flags: int = 0) -> HeldLink:
    """Attaches without a link; closing detaches. Raises :class:`~ebpfnn.errors.KernelError`."""
    whole = f"{what}: attaching '{program.name}'"
    with ExitStack() as stack:  # first what detaching needs: nothing stays attached for want of a descriptor
        kept, place = (stack.enter_context(duplicate(held, whole)) for held in (program, target))
        bpf(Command.PROG_ATTACH, ProgAttach(place.fileno(), kept.fileno(), attach_type, flags), whole)
        stack.pop_all()
    fd = place.release()

    def undo() -> None:
        with kept:
            try:
                bpf(Command.PROG_DETACH, ProgAttach(fd, kept.fileno(), attach_type), what)
            except KernelError as refused:
                if refused.errno not in _GONE:  # somebody else has taken it off already
                    raise

    return HeldLink(fd, what, undo)
