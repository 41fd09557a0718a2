"""The input ``table``: each row of a file of numbers is one sample."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Sample, Wanted, hookimpl
from ebpfnn.preparation.tables import SUFFIXES, Table, form, read_table

STDIN = "-"
_HEAD = 64
_GZIP = b"\x1f\x8b"


class TableInput(InputSource):
    name = "table"
    summary = f"rows of a table: {', '.join(SUFFIXES)}"
    preparations = ("columns",)

    def accepts(self, uri: str, head: bytes) -> bool:
        return bool(head) and not head.startswith(_GZIP) and form(_unzipped(uri), head) is not None

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error]:
        name, columns = "stdin" if uri == STDIN else uri, _columns(wanted)
        kind = form(_unzipped(uri), b"") or form(STDIN, cast("io.BufferedReader", stream).peek(_HEAD)[:_HEAD]) or "csv"
        try:
            table = read_table(kind, stream, columns or None, wanted.form.shape)
            table.check_has(columns)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        yield from _samples(table, name, wanted, _ignored(table, columns))


def _samples(table: Table, name: str, wanted: Wanted, notes: tuple[str, ...]) -> Iterator[Sample | Error]:
    """``notes`` are given once, with the first sample."""
    empty = True
    for place, row in table.numbered(name):
        empty = False
        if isinstance(row, InputError):
            yield row
            continue
        for sample in wanted.samples(row, place):
            if notes and isinstance(sample, Sample):
                sample, notes = Sample(sample.data, sample.source, (*sample.notes, *notes), sample.warnings), ()
            yield sample
    if empty:
        yield InputError(f"{name}: no rows; give some")


def _columns(wanted: Wanted) -> list[str]:
    """The columns that a network takes by name. Empty if it takes something else."""
    preparation = wanted.form.preparation
    return [each["name"] for each in preparation.options["columns"]] if preparation.kind == "columns" else []


def _ignored(table: Table, columns: list[str]) -> tuple[str, ...]:
    extra = [name or "(no name)" for name in table.names if name not in columns]
    return (f"ignored columns: {', '.join(extra)}",) if extra and columns else ()


def _unzipped(uri: str) -> str:
    """The name of a gzipped file without its suffix: ``flows.csv`` for ``flows.csv.gz``."""
    return uri.removesuffix(".gz")


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [TableInput()]
