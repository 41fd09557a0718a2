"""Tables in Apache Parquet's format, by pyarrow, which few need: it is imported when a file is one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, BinaryIO

from ...errors import InputError, NotSupported
from ..items import Row
from .table import BLOCK, MAX_BYTES, Table, check_names

_MAX_TEXT, _MAX_LIST = 16 << 20, 1 << 20
"""What the file's own description of itself may take, in bytes and in entries."""


def read_parquet(file: BinaryIO, only: Collection[str] | None = None) -> Table:
    """The rows of the Parquet ``file``, which can be sought; of its columns those in ``only`` are read.

    Raises :class:`InputError` for what is none, or has a row group over 256 MiB, and :class:`NotSupported` without pyarrow.
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
        names = check_names(tuple(opened.schema_arrow.names))
        _check(opened.metadata)
    except refusals as error:
        raise InputError(f"not a Parquet file, or damaged ({_told(error)}); give a whole one") from error
    return Table(names, _rows(opened, [name for name in names if only is None or name in only], refusals))


def _rows(opened: Any, names: list[str], refusals: tuple[type[Exception], ...]) -> Iterator[Row]:
    try:
        for batch in opened.iter_batches(batch_size=BLOCK, columns=names):
            for cells in batch.to_pylist():
                yield Row(cells)
    except refusals as error:
        raise InputError(f"its rows cannot be read ({_told(error)}); give a whole Parquet file") from error


def _check(metadata: Any) -> None:
    for number in range(metadata.num_row_groups):
        size = metadata.row_group(number).total_byte_size
        if not 0 <= size <= MAX_BYTES:
            raise InputError(f"row group {number} has {size} bytes, over {MAX_BYTES >> 20} MiB; write smaller ones")


def _told(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
