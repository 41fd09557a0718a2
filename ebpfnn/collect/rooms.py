"""Room for what will be written: it is reserved first, so that a full disk leaves a whole file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import InputError
from ..files import FULL, Growing, growing

_REMEDY = "free some space, or write elsewhere"


class NoRoom(Exception):
    """The file cannot take more: the disk is full, or it has reached its limit. The message says which."""


def reserve(held: Growing, size: int) -> None:
    """Raises :class:`NoRoom` if the file cannot have ``size`` bytes, :class:`OSError` for other reasons."""
    try:
        held.reserve(size)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise NoRoom(error.strerror) from error


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Errors of the file at ``path``, which is written inside, as :class:`InputError`. :class:`NoRoom` goes on."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}); {_REMEDY}") from error


@contextmanager
def filling(path: Path) -> Iterator[Growing]:
    """As :func:`growing`, with errors of the file told as :func:`telling` does. Those of what is done inside are not touched.

    Raises :class:`InputError` also for a :class:`NoRoom` that nobody caught.
    """
    with ExitStack() as held:
        try:
            with telling(path):
                file = held.enter_context(growing(path))
            yield file
        except NoRoom as error:
            raise InputError(f"{path}: nothing was written ({error}); {_REMEDY}") from None
        with telling(path):
            held.close()
