"""Tables in Apache Parquet's format, read by pyarrow. It is imported only when a file needs it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from ...errors import InputError, NotSupported
from ..items import Row
from .table import BLOCK, MAX_BYTES, Table, check_names

_MAX_TEXT, _MAX_LIST = 16 << 20, 1 << 20
"""Limits of the file's metadata, in bytes and in entries."""


def read_parquet(file: BinaryIO, only: Collection[str] | None = None) -> Table:
    """The rows of the seekable Parquet ``file``, with the columns in ``only``.

    Raises :class:`InputError` if it is not a Parquet file, or has a row group over 256 MiB, and :class:`NotSupported` without
    pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise NotSupported("Parquet: pyarrow is not installed; pip install 'ebpfnn[tables]'") from error
    refusals = (pyarrow.ArrowException, OSError, ValueError, TypeError, LookupError, MemoryError)
    try:
        limits = {"thrift_string_size_limit": _MAX_TEXT, "thrift_container_size_limit": _MAX_LIST}
        opened = parquet.ParquetFile(file, pre_buffer=False, **limits)
        schema = opened.schema_arrow
        names = check_names(tuple(schema.names))
        _check(opened.metadata)
        text = [each.name for each in schema if _is_text(pyarrow.types, each.type)]
        opened = parquet.ParquetFile(file, pre_buffer=False, read_dictionary=text, **limits)
    except refusals as error:
        raise InputError(f"not a Parquet file, or damaged ({_told(error)}); give a whole one") from error
    flat = {each.name for each in schema if each.name in text or _is_number(pyarrow.types, each.type)}
    return Table(names, _rows(opened, [name for name in names if name in flat and (only is None or name in only)], refusals))


def _is_text(types: Any, kind: Any) -> bool:
    return any(is_text(_stored(types, kind)) for is_text in (types.is_string, types.is_large_string, types.is_binary))


def _is_number(types: Any, kind: Any) -> bool:
    """Whether values have a known size. Lists and structs are left out, since a few bytes of them can expand to gigabytes."""
    return any(is_number(_stored(types, kind)) for is_number in (types.is_primitive, types.is_decimal, types.is_null))


def _stored(types: Any, kind: Any) -> Any:
    return kind.value_type if types.is_dictionary(kind) else kind


def _rows(opened: Any, names: list[str], refusals: tuple[type[Exception], ...]) -> Iterator[Row]:
    try:
        for batch in opened.iter_batches(batch_size=BLOCK, columns=names):
            _check_text(batch)
            for cells in batch.to_pylist():
                yield Row(cells)
    except refusals as error:
        raise InputError(f"its rows cannot be read ({_told(error)}); give a whole Parquet file") from error


def _check(metadata: Any) -> None:
    for number in range(metadata.num_row_groups):
        size = metadata.row_group(number).total_byte_size
        if not 0 <= size <= MAX_BYTES:
            raise InputError(f"row group {number} has {size} bytes, over {MAX_BYTES >> 20} MiB; write smaller ones")


def _check_text(batch: Any) -> None:
    """Checks the size of text: a value that many rows share is in the file once, but in memory once per row."""
    from pyarrow import compute, types

    columns = [each for each in batch.columns if types.is_dictionary(each.type) and _is_text(types, each.type)]
    sizes = [compute.sum(compute.binary_length(each.dictionary).take(each.indices)).as_py() or 0 for each in columns]
    if sum(sizes) > MAX_BYTES:
        raise InputError(f"{len(batch)} rows of text over {MAX_BYTES >> 20} MiB; give shorter text, or leave the column out")


def _told(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
