"""Ids: the numbers of all programs, maps, links and BTF objects in the kernel (Linux 4.13)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import Enum

from ..errors import KernelError
from .syscall import Command, ObjectId, bpf


class Kind(Enum):
    """The kinds of objects with ids, and the commands to list them and to open one."""

    PROGRAM = ("program", Command.PROG_GET_NEXT_ID, Command.PROG_GET_FD_BY_ID)
    MAP = ("map", Command.MAP_GET_NEXT_ID, Command.MAP_GET_FD_BY_ID)
    BTF = ("BTF", Command.BTF_GET_NEXT_ID, Command.BTF_GET_FD_BY_ID)
    LINK = ("link", Command.LINK_GET_NEXT_ID, Command.LINK_GET_FD_BY_ID)

    def __init__(self, noun: str, walk: Command, reach: Command) -> None:
        self.noun, self.walk, self.reach = noun, walk, reach


def ids(kind: Kind) -> Iterator[int]:
    """Every id of that kind, in ascending order. Objects that are created or removed meanwhile may be missing.

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
    """A new descriptor of the object with that id. Raises :class:`~ebpfnn.errors.KernelError`, ENOENT if it is gone."""
    try:
        return bpf(kind.reach, ObjectId(id=id), f"{kind.noun} {id}")
    except KernelError as refusal:
        if refusal.errno == errno.ENOENT:
            raise KernelError(
                f"{kind.noun} {id} does not exist; ebpfnn.kernel.inspect.listing lists those that do", errno.ENOENT
            ) from None
        raise
