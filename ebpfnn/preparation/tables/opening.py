"""Finds the form of a table, and reads it. Data sets and inference use the same code."""

from __future__ import annotations

import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from ...errors import InputError
from ...files import npy
from ...files.streams import take
from . import arrays, parquet, text
from .table import MAX_BYTES, Table

CSV, JSONL, NPY, NPZ, PARQUET = "csv", "jsonl", "npy", "npz", "parquet"
SUFFIXES = {".csv": CSV, ".jsonl": JSONL, ".ndjson": JSONL, ".npy": NPY, ".npz": NPZ, ".parquet": PARQUET}
"""The suffixes of tables."""
_MAGICS = {npy.MAGIC: NPY, b"PK\3\4": NPZ, b"PAR1": PARQUET, b"{": JSONL}
_PNM = re.compile(rb"P[1-7fF][\s#]")
"""The image formats that begin like text."""
_TEXT = frozenset(range(32, 127)) | {9, 10, 13} | frozenset(range(128, 256))


def form(name: str, head: bytes) -> str | None:
    """The form of a table called ``name`` whose first bytes are ``head``. None if it is not a table.

    Data without a name of its own (``-``) is recognized by its first bytes, a CSV by the comma in its text.
    """
    suffix = SUFFIXES.get(Path(name).suffix.lower())
    if suffix or name != "-":
        return suffix
    known = next((kind for magic, kind in _MAGICS.items() if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(magic)), None)
    return known or (CSV if b"," in head and _TEXT.issuperset(head) and not _PNM.match(head) else None)


def is_table(path: Path) -> bool:
    """Whether the file at ``path`` is a table with labels, by its name. An .npz file is a table if its columns have names."""
    kind = SUFFIXES.get(path.suffix.lower())
    if kind != NPZ:
        return kind not in (None, NPY)
    try:
        with open(path, "rb") as file:
            return arrays.is_named(file)
    except OSError:
        return False


def read_table(
    kind: str, stream: BinaryIO, only: Collection[str] | None = None, sample: tuple[int, ...] | None = None
) -> Table:
    """The table of form ``kind`` in ``stream``. Rows are read on demand, while ``stream`` is open.

    ``only`` names the wanted columns. Other columns may be missing from the rows, but not from the names. ``sample`` is the
    shape of a network's sample: an .npy file of that shape is one sample. A stream that has to be seekable and is not is held
    in memory, up to 256 MiB. Raises :class:`InputError`, without the file's name, and :class:`NotSupported` for Parquet without
    pyarrow.
    """
    if kind in (NPZ, PARQUET):
        held = stream if stream.seekable() else _held(stream)
        return arrays.read_npz(held, only) if kind == NPZ else parquet.read_parquet(held, only)
    if kind == NPY:
        return arrays.read_npy(stream, sample)
    return text.read_csv(stream) if kind == CSV else text.read_jsonl(stream)


def _held(stream: BinaryIO) -> BinaryIO:
    data = take(stream, MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise InputError(f"over {MAX_BYTES >> 20} MiB through a pipe; give its path")
    return io.BytesIO(data)
