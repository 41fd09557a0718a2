"""The running kernel's configuration: the values of ``__kconfig`` externs."""

from __future__ import annotations

import gzip
import os
import platform
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from ...errors import NotSupported, ObjectError
from ...obj import ObjectSpec
from ...obj.kconfig import encode_value, parse_kconfig
from ...obj.spec import KernelSymbol, SymbolKind
from .. import features

_LARGEST = 16 << 20  # of a configuration's text
_DERIVED: dict[str, Callable[[], int]] = {
    "LINUX_KERNEL_VERSION": lambda: kernel_version(),
    "LINUX_HAS_BPF_COOKIE": lambda: int(features.has_cookies()),
    "LINUX_HAS_SYSCALL_WRAPPER": lambda: int(_has_syscall_wrappers()),
}
"""Externs that the loader itself gives a value (libbpf 1.5, ``bpf_object__resolve_externs``)."""


def fill_kconfig(spec: ObjectSpec, text: str | None = None) -> ObjectSpec:
    """``spec`` with the values of its ``__kconfig`` externs, from ``text`` or else from the running kernel.

    Raises :class:`NotSupported` if there is no configuration to read, and :class:`ObjectError` for an option that is not set
    and not weak, or whose value does not fit its type.
    """
    symbols = [symbol for symbol in spec.kernel_symbols.values() if symbol.kind is SymbolKind.KCONFIG]
    if not symbols or spec.btf is None:
        return spec
    maps = dict(spec.maps)
    given = None if text is None else parse_kconfig(text)
    for symbol in symbols:
        value = _value(symbol, given, spec.name)
        if value is not None:
            data = encode_value(spec.btf, symbol.type_id, symbol.name, value)
            contents = bytearray(maps[symbol.map].contents or b"")
            contents[symbol.offset : symbol.offset + len(data)] = data
            maps[symbol.map] = replace(maps[symbol.map], contents=bytes(contents))
    return replace(spec, maps=maps)


def kernel_version(signature: Path = Path("/proc/version_signature")) -> int:
    """KERNEL_VERSION(a, b, c) of the running kernel.

    The releases of Ubuntu and Debian hide c: Ubuntu tells it in ``signature``, Debian in the version of uname(2)
    (libbpf 1.5, ``get_kernel_version``).
    """
    ubuntu = signature.read_text().split()[-1:] if signature.exists() else []
    debian = re.findall(r"Debian (\d+\.\d+\.\d+)", platform.version())
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", (ubuntu or debian or [platform.release()])[0])
    major, minor, patch = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return major << 16 | minor << 8 | min(patch, 255)


@cache
def running_configuration(root: Path = Path("/")) -> dict[str, str]:
    """The options of the running kernel. Raises :class:`NotSupported` if they cannot be read."""
    packed = root / "proc/config.gz"
    plain = root / "boot" / f"config-{os.uname().release}"
    for path, opener in ((plain, open), (packed, gzip.open)):
        try:
            with opener(path, "rb") as file:
                return parse_kconfig(file.read(_LARGEST).decode("utf-8", "replace"))
        except FileNotFoundError:
            continue
        except (OSError, EOFError, zlib.error) as fault:
            raise NotSupported(f"{path}: {fault}; give the text of the configuration (kconfig=...)") from None
    raise NotSupported(f"neither {plain} nor {packed} exists; give the text of the configuration (kconfig=...)")


def _value(symbol: KernelSymbol, given: dict[str, str] | None, name: str) -> str | int | None:
    if symbol.name in _DERIVED:
        return _DERIVED[symbol.name]()
    if not symbol.name.startswith("CONFIG_"):
        if symbol.weak:
            return None
        known = ", ".join(_DERIVED)
        raise ObjectError(f"{name}: extern '{symbol.name}' is not an option; name CONFIG_..., {known}, or make it __weak")
    values = running_configuration() if given is None else given
    if symbol.name not in values and not symbol.weak:
        raise ObjectError(f"{name}: extern '{symbol.name}' is not set in the kernel's configuration; make it __weak to get 0")
    return values.get(symbol.name)


def _has_syscall_wrappers() -> bool:
    """Whether system calls are functions with an architecture's prefix, such as ``__x64_sys_bpf`` (Linux 4.17)."""
    from .kallsyms import address_of

    prefixes = {"x86_64": "__x64_", "aarch64": "__arm64_"}
    return address_of(f"{prefixes.get(platform.machine(), '__')}sys_bpf") is not None
