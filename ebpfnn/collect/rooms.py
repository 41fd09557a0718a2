"""Room for what will be written: it is reserved first, so that a full disk leaves a whole file."""

from __future__ import annotations

from ..files import FULL, Growing


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
