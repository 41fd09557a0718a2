"""Pins: names in a BPF file system that keep a map, a program or a link alive when its last descriptor goes."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from ..errors import KernelError, NotSupported
from .fd import Descriptor
from .syscall import Command, ObjectPath, bpf
from .system_files import read, unreadable

BPFFS = Path("/sys/fs/bpf")
# What the kernel calls the file behind a pin's descriptor (bpf_map_new_fd, bpf_prog_new_fd, bpf_link_new_fd; Linux 6.18).
_KINDS = {"anon_inode:bpf-map": "a map", "anon_inode:bpf-prog": "a program", "anon_inode:bpf-link": "a link"}


def pin(held: Descriptor, path: Path) -> None:
    """Pins ``held`` at ``path``. Raises :class:`NotSupported` if ``path`` is not on a BPF file system, else KernelError."""
    what = f"pin '{path}'"
    try:
        bpf(Command.OBJ_PIN, _attributes(path, held.fileno()), what)
    except KernelError as refusal:
        if refusal.errno == errno.EEXIST:
            fact = "something is pinned there already; unpin it, or choose another name"
            raise KernelError(f"{what}: {fact}", errno.EEXIST) from None
        if refusal.errno in (errno.EPERM, errno.ENOENT, errno.EINVAL) and not is_bpffs(path.parent):
            raise NotSupported(f"{what}: '{path.parent}' is not on a BPF file system; mount -t bpf bpf {BPFFS}") from None
        raise


def open_pin(path: Path, kind: str) -> int:
    """A new descriptor of the object pinned at ``path``, which must be of ``kind``: a map, a program or a link.

    Raises :class:`KernelError`, also for another kind.
    """
    try:
        fd = bpf(Command.OBJ_GET, _attributes(path, 0), f"pin '{path}'")
    except KernelError as refusal:
        if refusal.errno == errno.ENOENT:
            raise KernelError(f"pin '{path}': nothing is pinned there; look under {BPFFS}", errno.ENOENT) from None
        raise
    with Descriptor(fd, str(path)) as held:
        found = _KINDS.get(_target(fd), "something else")
        if found != kind:
            raise KernelError(f"pin '{path}': {found} is pinned there, not {kind}; look under {BPFFS}", errno.EINVAL)
        return held.release()


def is_bpffs(path: Path) -> bool:
    """Whether ``path`` is on a BPF file system. Python has no f_type of statfs(2), so this reads /proc/mounts."""
    text = read(Path("/proc/self/mounts"), "BPF file systems are not found")
    mounts = [line.split() for line in text.splitlines()]
    places = {entry[1]: entry[2] for entry in mounts if len(entry) > 2}
    resolved = path.resolve()
    nearest = next((place for place in (resolved, *resolved.parents) if str(place) in places), Path("/"))
    return places.get(str(nearest)) == "bpf"


def _target(fd: int) -> str:
    """The kernel's name of the file behind ``fd``."""
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError as fault:
        raise unreadable(Path("/proc/self/fd"), fault, "the type of a pin is unknown") from None


def _attributes(path: Path, fd: int) -> ObjectPath:
    attributes = ObjectPath(bpf_fd=fd)
    attributes.text = ctypes.create_string_buffer(os.fsencode(path))
    attributes.pathname = ctypes.addressof(attributes.text)
    return attributes
