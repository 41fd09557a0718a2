"""Tables are read row by row, the same rows whatever the form; what is damaged is refused before memory is taken."""

from __future__ import annotations

import csv
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from ebpfnn.errors import InputError
from ebpfnn.preparation import Row, Values, cells
from ebpfnn.preparation.tables import form, is_table, parquet, read_table

NAMES = ["id", "size", "ratio"]
ROWS = [[2**53 + 1, 2**63 + 7, 0.1], [-5, 3, -2.5e-300], [0, 0, 1e30]]


def write_csv(rows: list[list[Any]], names: list[str]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file).writerows([names, *rows])
    return file.getvalue().encode()


def write_jsonl(rows: list[list[Any]], names: list[str]) -> bytes:
    return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in rows).encode()


def write_npz(rows: list[list[Any]], names: list[str]) -> bytes:
    file = io.BytesIO()
    kinds = [np.int64, np.uint64, np.float64]
    columns = ([row[n] for row in rows] for n in range(len(names)))
    np.savez_compressed(
        file, **{name: np.array(column, kind) for name, column, kind in zip(names, columns, kinds, strict=True)}
    )
    return file.getvalue()


def write_parquet(rows: list[list[Any]], names: list[str]) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    kinds = [pyarrow.int64(), pyarrow.uint64(), pyarrow.float64()]
    arrays = [pyarrow.array([row[n] for row in rows], kind) for n, kind in enumerate(kinds)]
    file = io.BytesIO()
    pq.write_table(pyarrow.Table.from_arrays(arrays, names), file, row_group_size=2)
    return file.getvalue()


WRITERS: dict[str, Callable[..., bytes]] = {"csv": write_csv, "jsonl": write_jsonl, "npz": write_npz, "parquet": write_parquet}


class Pipe(io.RawIOBase):
    """What can be read once, and gives three bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._data.readinto(memoryview(buffer)[:3])


def piped(data: bytes) -> BinaryIO:
    return io.BufferedReader(Pipe(data), 16)


def refusal(kind: str, data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        list(read_table(kind, piped(data)).rows)
    assert "; " in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("stream", [io.BytesIO, piped])
def test_every_form_has_the_same_rows(kind: str, stream: Callable[[bytes], BinaryIO]) -> None:
    table = read_table(kind, stream(WRITERS[kind](ROWS, NAMES)))
    assert list(table.names) == NAMES
    found = [[cells.number(row.cells[name]) for name in NAMES] for row in table.rows if isinstance(row, Row)]
    assert [[type(cell) for cell in row] for row in found] == [[int, int, float]] * 3
    assert found == ROWS


@pytest.mark.parametrize("kind", WRITERS)
def test_only_what_is_wanted_has_to_be_read(kind: str) -> None:
    table = read_table(kind, io.BytesIO(WRITERS[kind](ROWS, NAMES)), ["size"])
    assert list(table.names) == NAMES
    assert [row.cells["size"] for row in table.rows if isinstance(row, Row)] in ([2**63 + 7, 3, 0], [str(2**63 + 7), "3", "0"])


def test_more_rows_than_a_block(tmp_path: Path) -> None:
    values = np.arange(5000, dtype=np.int32).reshape(2500, 2)
    np.savez(tmp_path / "a.npz", samples=values, columns=["a", "b"], labels=np.arange(2500))
    with open(tmp_path / "a.npz", "rb") as file:
        found = [list(row.cells.values()) for row in read_table("npz", file).rows if isinstance(row, Row)]
    assert found == [[*row, n] for n, row in enumerate(values.tolist())]
    np.save(tmp_path / "a.npy", values)
    found = [
        row.array.tolist()
        for row in read_table("npy", piped((tmp_path / "a.npy").read_bytes())).rows
        if isinstance(row, Values)
    ]
    assert found == values.tolist()


@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_in_either_order_and_one_sample(order: Any) -> None:
    def saved(array: np.ndarray) -> BinaryIO:
        file = io.BytesIO()
        np.save(file, np.asarray(array, order=order))
        return piped(file.getvalue())

    def rows(array: np.ndarray, sample: tuple[int, ...] | None = None) -> list[Any]:
        return [row.array.tolist() for row in read_table("npy", saved(array), None, sample).rows if isinstance(row, Values)]

    values = np.arange(24.0).reshape(2, 3, 4)
    assert rows(values) == values.tolist()
    assert rows(values[0], (3, 4)) == [values[0].tolist()]
    assert rows(values[0]) == values[0].tolist()
    assert rows(values[0, 0]) == [values[0, 0].tolist()]


def test_csv_as_rfc_4180_has_it() -> None:
    data = b'\xef\xbb\xbf a ,"b, ""c"""\r\n1,"2\r\n3"\r\n\r\n4,5'
    table = read_table("csv", piped(data))
    assert table.names == ("a", 'b, "c"')
    assert [list(row.cells.values()) for row in table.rows if isinstance(row, Row)] == [["1", "2\r\n3"], ["4", "5"]]


def test_rows_behind_a_bad_one_are_read() -> None:
    found = list(read_table("csv", piped(b"a,b\n1\n2,3\n")).numbered("x.csv"))
    assert [place for place, _ in found] == ["x.csv:1", "x.csv:2"]
    assert str(found[0][1]) == "x.csv:1: 1 fields, but the header has 2; give as many"
    assert isinstance(found[1][1], Row)
    found = list(read_table("jsonl", piped(b'{"a": 1}\n[1]\nnope\n\n{"a": 2}\n')).numbered("x.jsonl"))
    assert [isinstance(row, Row) for _, row in found] == [True, False, False, True]
    assert "x.jsonl:3: not JSON" in str(found[2][1])


def test_what_ends_a_table_names_its_row() -> None:
    table = read_table("csv", piped(b'a,b\n1,2\n"3"4,5\n'))
    with pytest.raises(InputError, match=r"^x\.csv:2: not CSV as RFC 4180"):
        list(table.numbered("x.csv"))


@pytest.mark.parametrize(
    ("kind", "data", "fact"),
    [
        ("csv", b"", "empty"),
        ("csv", b"1,2\n3,4\n", "its first line is numbers"),
        ("csv", b"a,b,a\n", "column 'a' is there more than once"),
        ("csv", b",".join(b"c%d" % n for n in range(10_001)), "10001 columns"),
        ("jsonl", b"", "empty"),
        ("jsonl", b"[1, 2]\n", "not a JSON object"),
        ("jsonl", b"[" * 100_000, "not JSON"),
        ("jsonl", b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        ("npy", b"", "not an .npy file"),
        ("npz", b"PK\3\4", "not an .npz file"),
    ],
)
def test_what_is_refused(kind: str, data: bytes, fact: str) -> None:
    assert fact in refusal(kind, data)


class Endless(io.RawIOBase):
    """A piece of text without an end; more than 8 MiB of it must not be asked for."""

    def __init__(self, piece: bytes) -> None:
        self._piece, self._given = piece, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._given += len(self._piece)
        assert self._given < 8 << 20
        buffer[: len(self._piece)] = self._piece
        return len(self._piece)


@pytest.mark.parametrize("piece", [b"1," * 2000, b'"1\n",' * 500])
@pytest.mark.parametrize("begin", [b"", b"a,b\n"])
def test_a_row_without_an_end_is_not_held(piece: bytes, begin: bytes) -> None:
    class Stream(Endless):
        def readinto(self, buffer: Any) -> int:
            if begin and not self._given:
                self._given = len(begin)
                buffer[: len(begin)] = begin
                return len(begin)
            return super().readinto(buffer)

    with pytest.raises(InputError):
        list(read_table("csv", io.BufferedReader(Stream(piece), 8192)).rows)


def header(shape: tuple[int, ...], dtype: str = "<i8", order: bool = False) -> bytes:
    told = f"{{'descr': '{dtype}', 'fortran_order': {order}, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(told)) + told


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (header((1 << 40, 4)), "not an .npy file, or damaged"),
        (header((4, 1 << 40)), "over 256 MiB at once"),
        (header((1 << 40, 4), order=True), "save it by rows"),
        (header((1 << 62, 0)), "no values"),
        (header((4,), "<U3"), "<U3"),
        (header((4,), "<c16"), "complex128"),
        (header((4,), "<M8[s]"), "datetime64"),
        (header((4,), "|O"), "not an .npy file"),
        (header((2, 2)) + bytes(31), "damaged"),
    ],
)
def test_npy_that_says_what_it_is_not(data: bytes, fact: str) -> None:
    assert fact in refusal("npy", data)


def npz(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "fact"),
    [
        (npz(a=header((3,)) + bytes(24), b=header((2,)) + bytes(16)), "shapes [(2,), (3,)]"),
        (npz(a=header((3, 1)) + bytes(24)), "give each column [n]"),
        (npz(a=header((1 << 40,))), "damaged"),
        (npz(a=header((1 << 40, 0))), "no values"),
        (npz(a=header((1,)) + bytes(8), b=bytes(257 << 20)), "over 256 MiB"),
        (npz(samples=header((2, 2)) + bytes(32), columns=header((2,), "<U1") + "aa".encode("utf-32-le")), "more than once"),
        (
            npz(samples=header((2, 3)) + bytes(48), columns=header((2,), "<U1") + "ab".encode("utf-32-le")),
            "give samples [n, columns]",
        ),
        (npz(a=header((1,), "<c16") + bytes(16)), "give integers or floats"),
    ],
)
def test_npz_that_is_no_table(data: bytes, fact: str) -> None:
    assert fact in refusal("npz", data)


def test_parquet_that_is_damaged_or_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    data = write_parquet(ROWS, NAMES)
    assert "not a Parquet file" in refusal("parquet", b"PAR1" + bytes(100) + b"PAR1")
    assert "not a Parquet file" in refusal("parquet", data[: len(data) // 2])
    broken = data[:4] + bytes(len(data) // 3) + data[4 + len(data) // 3 :]
    assert "its rows cannot be read" in refusal("parquet", broken)
    monkeypatch.setattr(parquet, "MAX_BYTES", 10)
    assert "row group 0 has" in refusal("parquet", data)


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("x.csv", b"", "csv"),
        ("x.CSV", b"", "csv"),
        ("x.ndjson", b"", "jsonl"),
        ("x.npy", b"", "npy"),
        ("x.png", b"a,b", None),
        ("-", b"a,b\n1,2", "csv"),
        ("-", b"\xef\xbb\xbf{", "jsonl"),
        ("-", b"\x93NUMPY\1\0", "npy"),
        ("-", b"PAR1", "parquet"),
        ("-", b"PK\3\4abc", "npz"),
        ("-", b"P2\n# a, b\n", None),
        ("-", b"Port,Length\n", "csv"),
        ("-", b"\x89PNG\r\n\x1a\n,", None),
        ("-", b"BM,\0\0", None),
    ],
)
def test_forms(name: str, head: bytes, found: str | None) -> None:
    assert form(name, head) == found


def test_which_npz_files_are_tables(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", samples=np.zeros((2, 3)), labels=np.zeros(2))
    np.savez(tmp_path / "named.npz", samples=np.zeros((2, 3)), labels=np.zeros(2), columns=["a", "b", "c"])
    np.savez(tmp_path / "columns.npz", a=np.zeros(2), b=np.zeros(2))
    (tmp_path / "none.npz").write_bytes(b"hello")
    names = ("arrays.npz", "named.npz", "columns.npz", "none.npz", "absent.npz", "absent.csv", "x.npy", "x")
    assert [is_table(tmp_path / name) for name in names] == [False, True, True, False, False, True, False, False]


def test_parquet_text_that_many_rows_share_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq

    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 1000, pyarrow.int32()), pyarrow.array(["x" * 10_000]))
    lists = pyarrow.array([[1]] * 1000)
    out = io.BytesIO()
    pq.write_table(pyarrow.table({"a": text, "b": list(range(1000)), "c": lists}), out)
    (row, *_) = read_table("parquet", out, ["b", "c"]).rows
    assert isinstance(row, Row)
    assert row.cells == {"b": 0}
    monkeypatch.setattr(parquet, "MAX_BYTES", 1 << 20)
    assert "1000 rows of text over 1 MiB" in refusal("parquet", out.getvalue())
