"""Directories of one run, in the cache. Whoever made one holds flock(2) on it: nobody holds what a killed run left."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


@contextmanager
def own_directory(cache: Path, kind: str) -> Iterator[Path]:
    """A new directory ``kind-*`` in ``cache``, removed at the end; what killed runs left of that kind is removed first."""
    with ExitStack() as held:
        with _locked(cache):  # so that nobody takes for abandoned what is made and not locked yet
            remove_abandoned(cache, kind)
            path = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=cache))
            held.enter_context(_locked(path))
        try:
            yield path
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)  # what ends with this run may be writing still: the next removes it
            raise
        shutil.rmtree(path)


def remove_abandoned(cache: Path, kind: str) -> None:
    """Removes the directories of runs that were killed before they could."""
    for path in cache.glob(f"{kind}-*"):
        with suppress(BlockingIOError, FileNotFoundError), _locked(path, fcntl.LOCK_NB):
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _locked(directory: Path, how: int = 0) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(descriptor)
