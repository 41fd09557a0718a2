"""Reads files in /proc and /sys, with errors for files that cannot be read."""

from __future__ import annotations

import errno
from pathlib import Path

from ..errors import KernelError
from .remedies import remedy

_MOUNTS = {"proc": "mount -t proc proc /proc", "sys": "mount -t sysfs sysfs /sys"}


def read(path: Path, lost: str) -> str:
    """The text of ``path``. Raises :class:`KernelError` with the text of :func:`unreadable`."""
    try:
        return path.read_text()
    except OSError as fault:
        raise unreadable(path, fault, lost) from None


def unreadable(path: Path, fault: OSError, lost: str) -> KernelError:
    """The error to raise; ``lost`` says what is unknown without that file."""
    code = fault.errno or 0
    mount = _MOUNTS.get(path.parts[1], "") if code in (errno.ENOENT, errno.ENOTDIR) else ""
    mends = mount or remedy("open", code)
    return KernelError(f"{path} cannot be read ({fault.strerror}), so {lost}{mends and '; '}{mends}", code)
