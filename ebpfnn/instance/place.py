"""The directory of instances, and whether this user can keep instances there."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ..errors import NotSupported, PermissionDenied
from ..kernel.pinning import BPFFS, is_bpffs

ROOT_VARIABLE = "EBPFNN_BPFFS"
"""The environment variable that names another directory on a BPF file system."""
_AS_ROOT = "run as root (sudo)"


def default_root() -> Path:
    """The directory that the environment names, else the usual mount point of the BPF file system."""
    return Path(os.environ.get(ROOT_VARIABLE) or BPFFS)


def check_place(root: Path) -> None:
    """Raises :class:`NotSupported` if ``root`` is not a directory on a BPF file system, else as :func:`check_open`."""
    named = os.environ.get(ROOT_VARIABLE) == str(root)
    what = f"{ROOT_VARIABLE}={root}" if named else f"'{root}'"
    other = f"unset {ROOT_VARIABLE}, or " if named else ""
    kind = _kind(root)
    if kind is not None and not stat.S_ISDIR(kind):
        raise NotSupported(f"{what} is no directory; {other}name a directory on a BPF file system")
    missing, make = ("", "") if kind is not None else (" is not there", f"mkdir {root}")
    if not is_bpffs(root):
        remedy = " && ".join(filter(None, (make, f"mount -t bpf bpf {root}")))
        raise NotSupported(f"{what}{missing or ' is not on a BPF file system'}; {other}{remedy}")
    if missing:
        raise NotSupported(f"{what}{missing}; {other}{make}")
    check_open(root)


def check_open(root: Path) -> None:
    """Raises :class:`PermissionDenied` if this user may not search ``root``, so that its content is not known."""
    if is_closed(root):
        remedy = f"{_AS_ROOT}, or have root open it: chmod o+x {root}"
        raise PermissionDenied(f"'{root}' is closed to this user; {remedy}", errno.EACCES)


def is_closed(root: Path) -> bool:
    return os.path.isdir(root) and not os.access(root, os.X_OK)  # noqa: PTH112


def check_writable(root: Path, directory: Path) -> None:
    """Raises :class:`PermissionDenied` if this user may not load instances into ``directory``, which is in ``root``."""
    place = directory if directory.exists() else root
    if _is_writable(place):
        return
    fact = f"'{place}' is not writable by this user, so no instance can be loaded there"
    raise PermissionDenied(f"{fact}; {_AS_ROOT}{_own_place(root)}", errno.EACCES)


def check_owned(directory: Path) -> None:
    """Raises :class:`PermissionDenied` if this user may not remove instances from ``directory``."""
    if not _is_writable(directory):
        fact = f"'{directory}' belongs to user {directory.stat().st_uid}, so this user can unload nothing in it"
        raise PermissionDenied(f"{fact}; {_AS_ROOT}", errno.EACCES)


def is_read_only(place: Path) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _is_writable(place: Path) -> bool:
    """Whether owner and mode allow writing. A read-only mount shows only on a write."""
    return is_read_only(place) or os.access(place, os.W_OK | os.X_OK)


def _own_place(root: Path) -> str:
    """What a user can do without root if the file system is open to everybody, as the kernel mounts it."""
    own = root / "mine"
    if os.access(root, os.W_OK | os.X_OK):
        return f", or load into a directory of your own: mkdir -p {own} && export {ROOT_VARIABLE}={own}"
    return f", or have root open it to a group: chgrp GROUP {root} && chmod g+rwx {root}" if not _has_instances(root) else ""


def _has_instances(root: Path) -> bool:
    return (root / "ebpfnn").exists()


def _kind(path: Path) -> int | None:
    """The mode of ``path``, None if it does not exist. Raises :class:`PermissionDenied` if this cannot be found out."""
    try:
        return path.stat().st_mode
    except PermissionError:
        fact = f"'{path}': a directory above it is closed to this user"
        raise PermissionDenied(f"{fact}; {_AS_ROOT}, or name another directory in {ROOT_VARIABLE}", errno.EACCES) from None
    except OSError:
        return None
