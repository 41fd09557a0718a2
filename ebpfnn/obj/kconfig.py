"""The kernel's configuration as text, one ``CONFIG_HZ=250`` per line, and the encoding of its values in a program's memory.

The rules are libbpf's (``set_kcfg_value_tri``, ``_str`` and ``_num`` in libbpf 1.5): y, n and m go to bool, char and ``enum
libbpf_tristate``, strings to char arrays, numbers to integers that can hold them.
"""

from __future__ import annotations

from ..errors import ObjectError
from .btf import Btf, Kind

_TRISTATE = {"n": 0, "y": 1, "m": 2}  # enum libbpf_tristate


def parse_kconfig(text: str) -> dict[str, str]:
    """The values that are set, by name; ``# CONFIG_X is not set`` leaves X out."""
    lines = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name.strip(): value.strip() for name, equals, value in lines if equals}


def encode_value(btf: Btf, type_id: int, name: str, value: str | int) -> bytes:
    """``value`` encoded as a variable of ``type_id``. Raises :class:`ObjectError` if the type cannot hold it."""
    resolved = btf.resolve(type_id)
    size = btf.size_of(resolved)
    kind = btf[resolved].kind
    what = f"extern '{name}': the configuration says {value}"
    if isinstance(value, str) and value in _TRISTATE:
        return _tristate(btf, resolved, value, size, what)
    if isinstance(value, str) and value.startswith('"'):
        if kind is not Kind.ARRAY or btf.size_of(btf.array(resolved)[0]) != 1:
            raise ObjectError(f"{what}; declare it char[N]")
        return value.strip('"').encode()[: size - 1].ljust(size, b"\0")
    number = _number(value, what)
    if kind is not Kind.INT:
        raise ObjectError(f"{what}; declare it as an integer")
    signed = btf.integer(resolved)[2]
    try:
        return number.to_bytes(size, "little", signed=signed)
    except OverflowError:
        raise ObjectError(
            f"{what}, which {size} bytes {'with a sign ' if signed else ''}cannot hold; declare it wider"
        ) from None


def _number(value: str | int, what: str) -> int:
    try:
        return value if isinstance(value, int) else int(value, 0)
    except ValueError:
        raise ObjectError(f"{what}, which is not a number, a string, y, n or m; correct the configuration") from None


def _tristate(btf: Btf, type_id: int, value: str, size: int, what: str) -> bytes:
    """``bool`` takes y and n, ``char`` the letter, ``enum libbpf_tristate`` all three as numbers."""
    found = btf[type_id]
    if found.kind in (Kind.ENUM, Kind.ENUM64) and found.name == "libbpf_tristate":
        return _TRISTATE[value].to_bytes(size, "little")
    if found.kind is Kind.INT and size == 1:
        if "bool" in found.name.lower():
            if value == "m":
                raise ObjectError(f"{what}, which a bool cannot hold; declare it enum libbpf_tristate")
            return bytes([_TRISTATE[value]])
        return value.encode()
    raise ObjectError(f"{what}; declare it bool, char or enum libbpf_tristate")
