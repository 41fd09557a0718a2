"""Which processes hold what: read from /proc, for bpf(2) does not tell."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .ids import Kind

_PROC = Path("/proc")
_ID = re.compile(r"^(link|prog|map|btf)_id:\s*(\d+)$", re.MULTILINE)
_KINDS = {"link": Kind.LINK, "prog": Kind.PROGRAM, "map": Kind.MAP, "btf": Kind.BTF}


def owners() -> dict[tuple[Kind, int], set[int]]:
    """The process ids that have an open descriptor of each object; what is held by pins or links alone is not there.

    Processes that this user may not look into are left out.
    """
    found: dict[tuple[Kind, int], set[int]] = {}
    for process in _PROC.iterdir():
        if process.name.isdigit():
            for held in _held(process):
                found.setdefault(held, set()).add(int(process.name))
    return found


def memory(fd: int) -> int | None:
    """Bytes of kernel memory that a map's or program's descriptor says it takes, None where the kernel does not say."""
    stated = re.search(r"^memlock:\s*(\d+)$", (_PROC / "self" / "fdinfo" / str(fd)).read_text(), re.MULTILINE)
    return int(stated[1]) if stated else None


def _held(process: Path) -> Iterator[tuple[Kind, int]]:
    with suppress(OSError):  # it ended, or it is not ours to look into
        for fd in (process / "fd").iterdir():
            with suppress(FileNotFoundError):  # closed meanwhile
                if str(fd.readlink()).startswith("anon_inode:"):
                    yield from _object((process / "fdinfo" / fd.name).read_text())


def _object(text: str) -> Iterator[tuple[Kind, int]]:
    """A link's text names its program too, which the process does not hold; a map's may name its owner program."""
    stated = {noun: int(number) for noun, number in _ID.findall(text)}
    noun = next((noun for noun in ("link", "map", "prog", "btf") if noun in stated), None)
    if noun:
        yield _KINDS[noun], stated[noun]
