"""Links: a program attached to an event, until the link is closed or, if it is pinned, unpinned."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from ...errors import KernelError, NotSupported
from .. import ids, pinning
from ..fd import Descriptor
from ..load.program import Program
from ..syscall import Command, LinkCreate, LinkFd, LinkUpdate, bpf, refusal
from .link_info import LinkInfo, LinkType, read_link_info

_REPLACE = 1 << 2  # BPF_F_REPLACE
_UNSUPPORTED = (errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, 524)
# Kinds of link that have no update_prog (struct bpf_link_ops, Linux 6.18).
_FIXED = frozenset(
    {LinkType.RAW_TRACEPOINT, LinkType.TRACING, LinkType.PERF_EVENT}
    | {LinkType.KPROBE_MULTI, LinkType.UPROBE_MULTI, LinkType.NETFILTER}
)
_Self = TypeVar("_Self", bound="Link")


class Link(Descriptor):
    """An attached program. It detaches when the link's last descriptor and pin are gone.

    If the kernel has no link for it, ``interface`` is the index of the interface that it depends on; else 0.
    """

    interface = 0

    @classmethod
    def create(cls: type[_Self], attributes: LinkCreate, what: str) -> _Self:
        """Attaches by BPF_LINK_CREATE (Linux 5.7). Raises :class:`~ebpfnn.errors.KernelError`."""
        return cls(bpf(Command.LINK_CREATE, attributes, what), what)

    @classmethod
    def open(cls: type[_Self], path: Path) -> _Self:
        """The link that is pinned at ``path``. Raises :class:`~ebpfnn.errors.KernelError`."""
        return cls(pinning.open_pin(path, "a link"), path.name)

    @classmethod
    def from_id(cls: type[_Self], id: int) -> _Self:  # noqa: A002
        """The link of that id, whoever made it. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT where there is none."""
        return cls(ids.open_id(ids.Kind.LINK, id), f"link {id}")

    def pin(self, path: Path) -> None:
        """Keeps the program attached after this process. Raises as :func:`ebpfnn.kernel.pinning.pin` does."""
        pinning.pin(self, path)

    def update(self, program: Program, old: Program | None = None) -> None:
        """Replaces the attached program by ``program`` atomically.

        With ``old``, only if that program is still attached. Raises :class:`~ebpfnn.errors.NotSupported` if this kind of link
        cannot be updated, else KernelError: EPERM if ``old`` is not the attached program.
        """
        attributes = LinkUpdate(self.fileno(), program.fileno())
        if old is not None:
            attributes.flags, attributes.old_prog_fd = _REPLACE, old.fileno()
        try:
            bpf(Command.LINK_UPDATE, attributes, self.name)
        except KernelError as refused:
            if refused.errno == errno.EPERM and old is not None:
                raise KernelError(
                    f"{self.name}: '{old.name}' is not the attached program; see info().program_id", errno.EPERM
                ) from None
            if refused.errno not in _UNSUPPORTED:
                raise
            if self.info().type in _FIXED:
                raise NotSupported(f"{self.name}: this kind of link cannot be updated; close it and attach again") from None
            fact = f"cannot change to '{program.name}' in place ({refused.code})"
            raise NotSupported(f"{self.name}: {fact}; give a program of the same type, or close it and attach again") from None

    def detach(self) -> None:
        """Detaches the program now, pinned or not (Linux 5.9); the link stays, without a program.

        Raises :class:`~ebpfnn.errors.NotSupported` if this kind of link cannot be detached, else KernelError.
        """
        try:
            bpf(Command.LINK_DETACH, LinkFd(self.fileno()), self.name)
        except KernelError as refused:
            if refused.errno in _UNSUPPORTED:
                raise NotSupported(f"{self.name}: this kind of link detaches by being closed; close and unpin it") from None
            raise

    def info(self) -> LinkInfo:
        """The kernel's information about the link. Raises :class:`~ebpfnn.errors.KernelError`."""
        return read_link_info(self)


def duplicate(held: Descriptor, what: str) -> Descriptor:
    """A second descriptor of ``held``. Raises :class:`~ebpfnn.errors.KernelError`, EMFILE where there is no room for it."""
    try:
        return Descriptor(os.dup(held.fileno()), held.name)
    except OSError as fault:
        raise refusal(f"{what}: dup", fault.errno or 0) from None


class HeldLink(Link):
    """An attachment without a kernel link: this process holds it, and ``undo`` ends it.

    In the child of a fork, closing it does not end the parent's attachment.
    """

    def __init__(self, fd: int, name: str, undo: Callable[[], None] = lambda: None, interface: int = 0) -> None:
        super().__init__(fd, name)
        self._undo, self.interface, self._process = undo, interface, os.getpid()

    def pin(self, path: Path) -> None:
        raise NotSupported(f"pin '{path}': {self.name} is no link on this kernel and ends with the process; keep that running")

    def update(self, program: Program, old: Program | None = None) -> None:
        del old
        raise NotSupported(f"{self.name}: no link on this kernel, so '{program.name}' cannot take its place; close it first")

    def info(self) -> LinkInfo:
        raise NotSupported(f"{self.name}: no link on this kernel, which keeps no information of it; use a newer kernel")

    def detach(self) -> None:
        try:
            if not self.closed:
                self._undo()
        finally:
            super().close()

    def close(self) -> None:
        if self._process == os.getpid():
            self.detach()
        else:
            super().close()


class LinkGroup(Link):
    """One attachment that consists of several links, such as one per CPU; it owns them. ``info()`` is the first one's."""

    def __init__(self, links: Sequence[Link], name: str) -> None:
        super().__init__(links[0].fileno(), name)
        self.links = links

    def pin(self, path: Path) -> None:
        """Makes a directory, with a pin of each link in it. Raises as :meth:`Link.pin` does, and leaves nothing then."""
        with ExitStack() as undo:
            try:
                path.mkdir()
            except OSError as fault:
                raise refusal(f"pin '{path}': mkdir", fault.errno or 0) from None
            undo.callback(path.rmdir)
            for number, link in enumerate(self.links):
                link.pin(path / str(number))
                undo.callback((path / str(number)).unlink)
            undo.pop_all()

    def update(self, program: Program, old: Program | None = None) -> None:
        for link in self.links:
            link.update(program, old)

    def detach(self) -> None:
        for link in self.links:
            link.detach()

    def info(self) -> LinkInfo:
        return self.links[0].info()

    def close(self) -> None:
        self._fd = -1  # the first link's own
        for link in self.links:
            link.close()
