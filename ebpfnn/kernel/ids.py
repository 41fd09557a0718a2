"""Ids: the numbers under which the kernel lists every program, map, link and set of types that it holds (Linux 4.13)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import Enum

from ..errors import KernelError
from .syscall import Command, ObjectId, bpf


class Kind(Enum):
    """What has ids, with the commands that walk over them and that turn one into a descriptor."""

    PROGRAM = ("program", Command.PROG_GET_NEXT_ID, Command.PROG_GET_FD_BY_ID)
    MAP = ("map", Command.MAP_GET_NEXT_ID, Command.MAP_GET_FD_BY_ID)
    BTF = ("BTF", Command.BTF_GET_NEXT_ID, Command.BTF_GET_FD_BY_ID)
    LINK = ("link", Command.LINK_GET_NEXT_ID, Command.LINK_GET_FD_BY_ID)

    def __init__(self, noun: str, walk: Command, reach: Command) -> None:
        self.noun, self.walk, self.reach = noun, walk, reach


def ids(kind: Kind) -> Iterator[int]:
    """Every id of that kind, in rising order; what comes or goes meanwhile may or may not be among them.

    Raises :class:`~ebpfnn.errors.PermissionDenied` without CAP_SYS_ADMIN.
    """
    attributes = ObjectId()
    while True:
        try:
            bpf(kind.walk, attributes, f"list of every {kind.noun}")
        except KernelError as refusal:
            if refusal.errno == errno.ENOENT:
                return
            raise
        yield attributes.next_id
        attributes.id = attributes.next_id


def open_id(kind: Kind, id: int) -> int:  # noqa: A002
    """A new descriptor of what has that id. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT where it has gone."""
    try:
        return bpf(kind.reach, ObjectId(id=id), f"{kind.noun} {id}")
    except KernelError as refusal:
        if refusal.errno == errno.ENOENT:
            raise KernelError(
                f"{kind.noun} {id} does not exist; ebpfnn.kernel.inspect.listing lists those that do", errno.ENOENT
            ) from None
        raise
