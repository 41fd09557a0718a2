"""Code that the inputs ``tar`` and ``zip`` share: reads one file of an archive at a time, in memory, within a limit."""

from __future__ import annotations

import io
from typing import BinaryIO, cast

from ebpfnn.errors import InputError
from ebpfnn.plugin import Member

MAX_MEMBER = 256 << 20
"""The maximum size of a file in an archive, in bytes: that of a data set."""


def member(archive: str, name: str, data: bytes | bytearray) -> Member:
    """The file ``name`` of ``archive``, which holds ``data``."""
    return Member(shown(archive, name), cast("BinaryIO", io.BytesIO(data)))


def shown(archive: str, name: str) -> str:
    """The name of the file ``name`` of ``archive`` in messages."""
    return f"{'stdin' if archive == '-' else archive}:{name}"


def too_large(archive: str, name: str, size: int) -> InputError:
    return InputError(f"{shown(archive, name)}: {size} bytes, over {MAX_MEMBER >> 20} MiB; unpack it")
