"""Lists the programs, maps and links in the kernel, whoever loaded them, with their owners."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeVar

from ...errors import KernelError
from ...obj.uapi import MapType, ProgramType
from ..fd import Descriptor
from ..ids import Kind, ids, open_id
from ..info import MapInfo, ProgramInfo, read_info
from ..link.link_info import read_link_info
from ..syscall import u32
from .owners import owners, stated

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class ProgramEntry:
    """``runs`` and ``run_time_ns`` count only while run statistics are on; ``memory`` is bytes."""

    id: int
    type: str
    name: str
    tag: str
    uid: int
    instructions: int
    memory: int | None
    runs: int
    run_time_ns: int
    map_ids: list[int]
    btf_id: int
    pids: list[int]


@dataclass(frozen=True)
class MapEntry:
    """Sizes and ``memory`` are bytes."""

    id: int
    type: str
    name: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int
    memory: int | None
    btf_id: int
    pids: list[int]


@dataclass(frozen=True)
class LinkEntry:
    """``target`` is what it hangs on, as :class:`ebpfnn.kernel.LinkInfo` tells it; empty where the kernel refuses to say."""

    id: int
    type: str
    program_id: int
    attach_type: str | None
    pids: list[int]
    target: dict[str, int | str] = field(default_factory=dict)


def programs() -> Iterator[ProgramEntry]:
    """Every loaded program. Raises :class:`~ebpfnn.errors.PermissionDenied` without CAP_SYS_ADMIN."""
    return _entries(Kind.PROGRAM, _program)


def maps() -> Iterator[MapEntry]:
    """Every map. Raises as :func:`programs` does."""
    return _entries(Kind.MAP, _map)


def links() -> Iterator[LinkEntry]:
    """Every link. Raises as :func:`programs` does."""
    return _entries(Kind.LINK, _link)


def _entries(kind: Kind, read: Callable[[Descriptor, list[int]], _Entry]) -> Iterator[_Entry]:
    held_by = owners()  # first, or this process would be among them
    for each in ids(kind):
        try:
            fd = open_id(kind, each)
        except KernelError as refusal:
            if refusal.errno == errno.ENOENT:  # it went meanwhile
                continue
            raise
        with Descriptor(fd, f"{kind.noun} {each}") as held:
            entry = read(held, sorted(held_by.get((kind, each), ())))
        yield entry


def _program(held: Descriptor, pids: list[int]) -> ProgramEntry:
    found = ProgramInfo()
    read_info(held, found)
    return ProgramEntry(
        id=found.id,
        type=_name(ProgramType, found.type),
        name=found.name.decode("ascii", "replace"),
        tag=bytes(found.tag).hex(),
        uid=found.created_by_uid,
        instructions=found.xlated_prog_len // 8,
        memory=_memory(held),
        runs=found.run_cnt,
        run_time_ns=found.run_time_ns,
        map_ids=_map_ids(held, found.nr_map_ids),
        btf_id=found.btf_id,
        pids=pids,
    )


def _map_ids(held: Descriptor, count: int) -> list[int]:
    """The maps that the program uses: the kernel writes as many as there is room for."""
    numbers = (u32 * count)()
    found = ProgramInfo(nr_map_ids=count, map_ids=ctypes.addressof(numbers))
    if count:
        read_info(held, found)
    return list(numbers[: found.nr_map_ids])


def _map(held: Descriptor, pids: list[int]) -> MapEntry:
    found = MapInfo()
    read_info(held, found)
    return MapEntry(
        id=found.id,
        type=_name(MapType, found.type),
        name=found.name.decode("ascii", "replace"),
        key_size=found.key_size,
        value_size=found.value_size,
        max_entries=found.max_entries,
        flags=found.map_flags,
        memory=_memory(held),
        btf_id=found.btf_id,
        pids=pids,
    )


def _link(held: Descriptor, pids: list[int]) -> LinkEntry:
    try:
        found = read_link_info(held)
    except KernelError:  # some kinds cannot tell while what they hang on is going; the others are still to be listed
        told = stated(held.fileno())
        return LinkEntry(int(told["link_id"]), told["link_type"], int(told.get("prog_id", 0)), None, pids)
    attach_type = None if found.attach_type is None else _word(found.attach_type)
    return LinkEntry(found.id, _word(found.type), found.program_id, attach_type, pids, found.target)


def _memory(held: Descriptor) -> int | None:
    told = stated(held.fileno()).get("memlock")
    return None if told is None else int(told)


def _name(kind: type[IntEnum], number: int) -> str:
    """``lru_hash`` for a known number; ``type 99`` for one of a later kernel."""
    return _word(kind(number) if number in kind._value2member_map_ else number)


def _word(number: int) -> str:
    return number.name.lower() if isinstance(number, IntEnum) else f"type {number}"
