"""Files in which the kernel tells of itself, in /proc and /sys: what is raised where one is not there to be read."""

from __future__ import annotations

import errno
from pathlib import Path

from ..errors import KernelError
from .remedies import remedy

_MOUNTS = {"proc": "mount -t proc proc /proc", "sys": "mount -t sysfs sysfs /sys"}


def read(path: Path, lost: str) -> str:
    """The text of ``path``. Raises :class:`KernelError` as :func:`unreadable` tells."""
    try:
        return path.read_text()
    except OSError as fault:
        raise unreadable(path, fault, lost) from None


def unreadable(path: Path, fault: OSError, lost: str) -> KernelError:
    """What to raise: ``lost`` is what is not known without that file."""
    code = fault.errno or 0
    mount = _MOUNTS.get(path.parts[1], "") if code in (errno.ENOENT, errno.ENOTDIR) else ""
    mends = mount or remedy("open", code)
    return KernelError(f"{path} cannot be read ({fault.strerror}), so {lost}{mends and '; '}{mends}", code)
