"""Finds the processes that hold an object: from /proc, because bpf(2) does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..ids import Kind
from ..system_files import read, unreadable

_PROC = Path("/proc")
_ID = re.compile(r"^(link|prog|map|btf)_id:\s*(\d+)$", re.MULTILINE)
_OURS = ("anon_inode:bpf", "anon_inode:btf")  # bpf-prog, bpf-map, bpf_link, btf
_KINDS = {"link": Kind.LINK, "prog": Kind.PROGRAM, "map": Kind.MAP, "btf": Kind.BTF}


def owners() -> dict[tuple[Kind, int], set[int]]:
    """The process ids that have a descriptor of each object. Objects that only pins or links hold are not included.

    Processes that this user may not inspect are omitted.
    """
    found: dict[tuple[Kind, int], set[int]] = {}
    for process in _processes():
        if process.name.isdigit():
            for held in _held(process):
                found.setdefault(held, set()).add(int(process.name))
    return found


def stated(fd: int) -> dict[str, str]:
    """What /proc says of a descriptor of this process, by name: ``memlock`` (bytes of kernel memory), ``link_type``."""
    lines = read(_PROC / "self" / "fdinfo" / str(fd), "object details are unknown").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _processes() -> list[Path]:
    try:
        return list(_PROC.iterdir())
    except OSError as fault:
        raise unreadable(_PROC, fault, "owners are unknown") from None


def _held(process: Path) -> Iterator[tuple[Kind, int]]:
    with suppress(OSError):  # it ended, or it is not ours to look into
        for fd in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                if str(fd.readlink()).startswith(_OURS):
                    yield from _object((process / "fdinfo" / fd.name).read_text())


def _object(text: str) -> Iterator[tuple[Kind, int]]:
    """A link's text names its program too, which the process does not hold; a map's may name its owner program."""
    numbers = {noun: int(number) for noun, number in _ID.findall(text)}
    noun = next((noun for noun in ("link", "map", "prog", "btf") if noun in numbers), None)
    if noun:
        yield _KINDS[noun], numbers[noun]
