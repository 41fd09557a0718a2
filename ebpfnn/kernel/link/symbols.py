"""Where the functions of a program or library lie in its file."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import KernelError, nearest

_TABLES = (".symtab", ".dynsym")


def function_offset(path: Path, function: str) -> int:
    """The offset in the file of the first instruction of ``function``, from .symtab or .dynsym.

    Raises :class:`~ebpfnn.errors.KernelError`, ENOENT where there is no such file or function.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as stream:
            return _offset(ELFFile(stream), path, function)
    except OSError as fault:
        raise KernelError(
            f"'{path}' cannot be read ({fault.strerror}); give the program's or library's path", errno.ENOENT
        ) from None
    except (ELFError, UnicodeDecodeError) as fault:
        raise KernelError(f"'{path}' is no program or library ({fault}); give an ELF file", errno.EINVAL) from None


def _offset(elf: Any, path: Path, function: str) -> int:
    address = next((value for name, value in _functions(elf) if name == function), None)
    if address is None:
        hint = nearest(function, {name for name, _ in _functions(elf)})
        fact = f"'{path}' has no function '{function}'"
        raise KernelError(f"{fact}{hint or '; give its offset, or a file that is not stripped'}", errno.ENOENT)
    for segment in elf.iter_segments("PT_LOAD"):
        if segment["p_vaddr"] <= address < segment["p_vaddr"] + segment["p_filesz"]:
            return int(address - segment["p_vaddr"] + segment["p_offset"])
    raise KernelError(f"'{path}': function '{function}' is in no loaded part of the file; give its offset", errno.EINVAL)


def _functions(elf: Any) -> Iterator[tuple[str, int]]:
    for table in filter(None, map(elf.get_section_by_name, _TABLES)):
        for symbol in table.iter_symbols():
            if symbol["st_info"]["type"] == "STT_FUNC" and symbol["st_shndx"] != "SHN_UNDEF":
                yield symbol.name, symbol["st_value"]
