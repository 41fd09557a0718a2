"""The directory of instances: directories in a BPF file system that appear whole or not at all.

An instance that is being made or removed is in a directory whose name no instance can have. Its process holds a lock on that
directory. One rename(2) moves it in place or away. If the process was killed, nobody holds the lock, and the next process
removes the directory.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from ..errors import Error, SessionError
from ..plugin import nearest
from .links import detaching
from .locks import entries, is_locked, lock, telling, try_lock
from .place import ROOT_VARIABLE, check_open, check_owned, check_place, check_writable, default_root

EXPORTED = ("input", "output", "callers", "verdicts")
"""The maps that have a name of their own, ``<instance>_<map>``, beside the directory of instances, if it has them."""
LOCKS = "locks"
CALLERS_LOCK, SWAP_LOCK, WATCH_LOCK, ALERTS_LOCK = "callers", "swap", "watch", "alerts"
"""Directories in an instance for locks, for changing its callers, swapping its network, watching it, and reading its alerts."""
HELD = "held"
"""The lock that a process holds on an instance whose attachment ends with it."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # no dot: a BPF file system refuses names with one (bpf_lookup, Linux 6.18)
_UNFINISHED, _LOCK, _CHANGING = "~", "~lock", "~changing"
_counter = itertools.count()


def is_name(name: str) -> bool:
    """Whether an instance can have this name."""
    return _NAME.fullmatch(name) is not None


class Store:
    """The instances under ``root``, a BPF file system. For None, the one that the environment names, else /sys/fs/bpf."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or default_root()
        self.directory = self.root / "ebpfnn"

    def names(self, *, sweep: bool = True) -> list[str]:
        """The names of all instances, sorted. With ``sweep``, the remains of killed processes are removed before.

        Raises :class:`SessionError`, and :class:`~ebpfnn.errors.PermissionDenied` if this user may not read the directory.
        """
        if ROOT_VARIABLE in os.environ:
            check_place(self.root)
        check_open(self.root)
        if sweep:
            self.sweep()
        return self._names()

    def find(self, name: str) -> Path:
        """The directory of the instance ``name``. Raises :class:`SessionError`, with similar names, if there is none."""
        names = self.names()
        if name not in names:
            known = nearest(name, names, alike=0.65) or ("; loaded: " + ", ".join(names) if names else "; nothing is loaded")
            raise SessionError(f"instance '{name}' is not loaded{known}")
        return self.directory / name

    def check_free(self, name: str) -> None:
        """Raises :class:`SessionError` for a name that is taken, or that no instance can have."""
        if not is_name(name):
            raise SessionError(
                f"instance name '{name}' is not valid: use 1 to 64 characters of A-Z a-z 0-9 _ -; give another with --name"
            )
        if name in self._names():
            raise SessionError(f"instance '{name}' is loaded already; unload or swap it, or give another name with --name")
        taken = next((link for link in self._exports(name) if os.path.lexists(link)), None)
        if taken:
            raise SessionError(f"'{taken}' exists already and is not ebpfnn's; give another name with --name")

    def check_usable(self) -> None:
        """Checks that this user can load instances here.

        Raises :class:`~ebpfnn.errors.NotSupported` if there is no BPF file system, and :class:`~ebpfnn.errors.PermissionDenied`
        if this user has no access to it.
        """
        check_place(self.root)
        check_writable(self.root, self.directory)

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """A new directory that is not taken for an instance. It is removed at the end if it was not published."""
        self._prepare()
        with ExitStack() as held:
            with self._locked():
                directory = self._new_name()
                with telling(directory):
                    directory.mkdir(mode=0o700)
                    discard = partial(_discard, directory, directory.lstat(), os.getpid())
                held.callback(discard)  # after its lock is released: that frees a descriptor if none was left
                held.enter_context(lock(directory))
                held.callback(discard)  # under its lock, so that a sweep does not remove it as well
            with telling(directory):
                (directory / LOCKS).mkdir(mode=0o700)
            yield directory

    def publish(self, staged: Path, name: str) -> Path:
        """Makes ``staged`` the instance ``name`` atomically. Raises :class:`SessionError` if the name was taken meanwhile."""
        with self._locked():
            self.check_free(name)
            with telling(staged):
                for link, exported in zip(self._exports(name), EXPORTED, strict=True):
                    if (staged / exported).exists():
                        link.symlink_to(f"ebpfnn/{name}/{exported}")
                return staged.rename(self.directory / name)

    def remove(self, name: str) -> None:
        """Removes the instance ``name``: first its name, atomically, then its content. It is detached afterwards.

        Raises as :meth:`find`.
        """
        path = self.find(name)
        check_owned(self.directory)
        with self._locked():
            gone = self._new_name()
            try:
                with telling(path):
                    path.rename(gone)
            except SessionError:
                return  # another process was faster
            self._remove_dangling()
            with telling(gone), detaching(gone):
                shutil.rmtree(gone)

    @contextmanager
    def set_aside(self, name: str) -> Iterator[Path]:
        """Takes the name from an instance, which stays attached, and yields its directory. At the end it is removed.

        After an exception it gets its name back instead, unless another one has that by then. If this process is killed, the
        next one removes it. Raises as :meth:`find`.
        """
        path = self.find(name)
        check_owned(self.directory)
        with ExitStack() as held:
            with self._locked():
                aside = self._new_name()
                held.enter_context(lock(path))
                with telling(path):
                    path.rename(aside)
                self._remove_dangling()
            try:
                yield aside
            except BaseException:
                self.publish(aside, name)
                raise
            with self._locked(), detaching(aside):
                shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Excludes others that change many instances at once. Raises :class:`SessionError` if there is one already."""
        self._prepare()
        place = self.directory / _CHANGING
        with telling(place):
            place.mkdir(mode=0o700, exist_ok=True)
        with try_lock(place) as free:
            if not free:
                raise SessionError("another `ebpfnn apply` is running; wait until it has ended")
            yield

    def sweep(self) -> None:
        """Removes what killed processes left, while they made or removed an instance, or while they held one."""
        if not self._is_there():
            return
        self._check_owner()
        if not os.access(self.directory, os.W_OK):
            return
        with self._locked():
            for path in self._abandoned():
                gone = path if path.name.startswith(_UNFINISHED) else path.rename(self._new_name())
                with detaching(gone):
                    shutil.rmtree(gone, ignore_errors=True)
            self._remove_dangling()

    def _names(self) -> list[str]:
        if not self._is_there():
            return []
        self._check_owner()
        return sorted(path.name for path in entries(self.directory) if _NAME.fullmatch(path.name))

    def _prepare(self) -> None:
        """Makes the directory of all instances. Raises as :meth:`check_usable`."""
        self.check_usable()
        with telling(self.directory):
            if not os.path.lexists(self.directory):
                self.directory.mkdir()
                self.directory.chmod(0o755)  # regardless of the umask: each instance has its own mode
        self._check_owner()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Excludes all others that make, publish or remove an instance.

        The lock is on a directory that is closed to other users, since everybody who can open a directory can lock it forever.
        """
        place = self.directory / _LOCK
        with telling(place):
            place.mkdir(mode=0o700, exist_ok=True)
        with lock(place):
            yield

    def _is_there(self) -> bool:
        """Whether it exists. False if this user may not search the file system, for which pathlib raises."""
        return os.path.isdir(self.directory)  # noqa: PTH112

    def _check_owner(self) -> None:
        """Checks that no other user made the directory, who could read the pins in it: anybody may write to /sys/fs/bpf."""
        found = self.directory.lstat()  # symbolic links are not followed: their owner can change the target
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
            fact = f"'{self.directory}' is a link, belongs to user {found.st_uid}, or others may write to it"
            raise SessionError(f"{fact}; find out who made it, and remove it")

    def _new_name(self) -> Path:
        while os.path.lexists(path := self.directory / f"{_UNFINISHED}{os.getpid()}-{next(_counter)}"):
            pass
        return path

    def _abandoned(self) -> Iterator[Path]:
        for path in entries(self.directory):
            if path.name in (_LOCK, _CHANGING):
                continue
            held = path if path.name.startswith(_UNFINISHED) else path / LOCKS / HELD
            if held.is_dir() and _is_free(held):
                yield path

    def _exports(self, name: str) -> list[Path]:
        return [self.root / f"{name}_{exported}" for exported in EXPORTED]

    def _remove_dangling(self) -> None:
        for path in entries(self.root):
            with suppress(FileNotFoundError):  # another user with write permission removed it meanwhile
                if path.is_symlink() and str(path.readlink()).startswith("ebpfnn/") and not path.exists():
                    path.unlink()


def _is_free(held: Path) -> bool:
    """Whether it exists and nobody holds its lock. The process that made it may remove it meanwhile."""
    try:
        return not is_locked(held)
    except SessionError:
        return False


def _discard(directory: Path, made: os.stat_result, process: int) -> None:
    """Removes what ``process`` made, unless it was published. The name may by then be in use by another process."""
    with suppress(OSError):
        if process == os.getpid() and os.path.samestat(made, directory.lstat()):
            with detaching(directory):
                _remove(directory)


def _remove(directory: Path) -> None:
    """As :func:`shutil.rmtree`, with one descriptor at a time. The path may not exist. Errors were reported already."""
    with suppress(OSError, Error):
        for path in entries(directory):
            if path.is_dir() and not path.is_symlink():
                _remove(path)
            else:
                path.unlink()
        directory.rmdir()
