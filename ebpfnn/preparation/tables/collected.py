"""What tables of collected rows have in common: columns that are never inputs, and the spec that the rows were made by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import InputError, NotSupported
from ...files import npy, zips

KEY, NUMBER, TIME, LABEL, GROUP = "key", "number", "time", "label", "group"
OWN = (KEY, NUMBER, TIME, LABEL, GROUP)
"""The columns beside the results: the key as text, the number of the event and its time (ns), the class, the session."""
SPEC = "spec"
"""The member of an .npz file, uint8 [n], and the key of Parquet's metadata, that hold :func:`read_about` as JSON."""
_MOST_BYTES = 1 << 20


def is_collected(names: Iterable[str]) -> bool:
    """Whether these are the columns of collected rows."""
    return set(OWN) <= set(names)


def read_about(path: Path) -> dict[str, Any]:
    """The spec, trigger and mode that ``path`` was collected with, as a network carries them. ``{}`` if the file has none.

    CSV has none. Raises :class:`InputError` for a file whose spec is damaged.
    """
    readers = {".npz": _of_npz, ".parquet": _of_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None or not path.is_file():
        return {}
    try:
        with open(path, "rb") as file:
            data = reader(file)
        return _decoded(data) if data else {}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its spec is damaged ({error}); collect again") from error


def encode_about(about: Mapping[str, Any]) -> bytes:
    """The JSON that :func:`read_about` reads."""
    return json.dumps(about, ensure_ascii=False, separators=(",", ":")).encode()


def _decoded(data: bytes) -> dict[str, Any]:
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    encode_about(found)  # JSON may escape half of a character, which cannot be written again
    return found


def _of_npz(file: BinaryIO) -> bytes:
    try:
        with zips.opened(file) as archive:
            name = SPEC + ".npy"
            names = [each.removesuffix(".npy") for each in archive.namelist()]
            if SPEC not in names or not is_collected(names):
                return b""
            if archive.getinfo(name).file_size > _MOST_BYTES:
                raise ValueError(f"over {_MOST_BYTES >> 20} MiB")
            with zips.member(archive, name) as member:
                return npy.read(member).tobytes()
    except (*zips.DAMAGE, *npy.DAMAGE) as error:
        raise ValueError(str(error) or "not an .npz file") from error


def _of_parquet(file: BinaryIO) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise NotSupported("Parquet: pyarrow is not installed; pip install 'ebpfnn[tables]'") from error
    try:
        limits = {"thrift_string_size_limit": 16 << 20, "thrift_container_size_limit": 1 << 20}
        schema = parquet.ParquetFile(file, pre_buffer=False, **limits).schema_arrow
    except (pyarrow.ArrowException, OSError, TypeError, LookupError, MemoryError) as error:
        raise ValueError("not a Parquet file") from error
    found = (schema.metadata or {}).get(SPEC.encode(), b"")
    return bytes(found) if is_collected(schema.names) and len(found) <= _MOST_BYTES else b""
