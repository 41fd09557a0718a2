"""The kernel's symbol table: addresses of functions and variables."""

from __future__ import annotations

from pathlib import Path

from ...errors import NotSupported

_TABLE = Path("/proc/kallsyms")


def address_of(name: str, table: Path = _TABLE) -> int | None:
    """The address of a symbol, None if the kernel has no such symbol.

    Raises :class:`NotSupported` if the table does not exist, or if its addresses are hidden from this user.
    """
    wanted = f" {name}"
    try:
        with table.open() as lines:
            for line in lines:
                if wanted in line and line.split()[2] == name:
                    return _visible(int(line.split()[0], 16), name)
    except OSError as fault:
        raise NotSupported(f"{table}: {fault.strerror}; the kernel needs CONFIG_KALLSYMS=y") from None
    return None


def _visible(address: int, name: str) -> int:
    if not address:
        raise NotSupported(f"symbol '{name}': its address is hidden (sysctl kernel.kptr_restrict); run as root, or lower it")
    return address
