"""The law of tables: one row has the same bytes in training, in eval, in infer and query, and from ``ebpfnn.samples``."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ebpfnn
import ebpfnn.errors
from ebpfnn import datasets
from ebpfnn.datasets import tables
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import Plugins, Sample
from ebpfnn.plugin.reading import read

COUNT = 300
RANDOM = np.random.default_rng(3)
COLUMNS: dict[str, np.ndarray] = {
    "port": RANDOM.integers(0, 2**16, COUNT).astype(np.uint16),
    "bytes": RANDOM.integers(2**62, 2**64 - 1, COUNT, dtype=np.uint64),
    "offset": RANDOM.integers(-(2**63), 2**63 - 1, COUNT),
    "rate": RANDOM.normal(0, 1e12, COUNT),
    "share": RANDOM.random(COUNT).astype(np.float32),
    "flag": RANDOM.random(COUNT) < 0.5,
}
LABELS = np.where(COLUMNS["port"] > 2**15, "high", "low")


def write_csv(path: Path) -> None:
    rows = zip(*(values.tolist() for values in COLUMNS.values()), LABELS.tolist(), strict=True)
    lines = [",".join(str(int(cell) if isinstance(cell, bool) else cell) for cell in row) for row in rows]
    path.write_text("\n".join([",".join([*COLUMNS, "class"]), *lines]) + "\n")


def write_jsonl(path: Path) -> None:
    rows = zip(*(values.tolist() for values in COLUMNS.values()), LABELS.tolist(), strict=True)
    path.write_text("".join(json.dumps(dict(zip([*COLUMNS, "class"], row, strict=True))) + "\n" for row in rows))


def write_npz(path: Path) -> None:
    arrays: dict[str, Any] = {**COLUMNS, "class": LABELS}
    np.savez(path, **arrays)


def write_parquet(path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({**COLUMNS, "class": LABELS.tolist()}), path, row_group_size=70)


WRITERS: dict[str, Callable[[Path], None]] = {
    "csv": write_csv,
    "jsonl": write_jsonl,
    "npz": write_npz,
    "parquet": write_parquet,
}


def bounds_of(values: np.ndarray) -> list[Any]:
    """Values themselves, so that equality is met, and their neighbors."""
    own = sorted({value for value in values[:40].tolist() if not isinstance(value, bool)}) or [1]
    return own if isinstance(own[0], float) else sorted({*own, own[0] + 1, own[-1] - 1})


BOUNDS = {name: bounds_of(values) for name, values in COLUMNS.items()}


def expected(encode: str) -> list[list[int]]:
    """By loops over the values as Python has them."""
    rows = []
    for row in zip(*(values.tolist() for values in COLUMNS.values()), strict=True):
        sample: list[int] = []
        for value, bounds in zip(row, BOUNDS.values(), strict=True):
            reached = [int(value >= bound) for bound in bounds]
            sample += reached if encode == "thermometer" else [sum(reached)]
        rows.append(sample)
    return rows


def form(encode: str) -> InputFormat:
    kinds = {name: "float" if values.dtype.kind == "f" else "integer" for name, values in COLUMNS.items()}
    described = [{"name": name, "type": kinds[name], "encode": encode, "bounds": BOUNDS[name]} for name in COLUMNS]
    preparation = Preparation("columns", {"columns": described})
    if encode == "thermometer":
        return InputFormat((sum(map(len, BOUNDS.values())),), 1, (1,), packed=True, prepared=preparation)
    return InputFormat((len(COLUMNS),), prepared=preparation)


@dataclass
class Served:
    input: InputFormat


@pytest.mark.parametrize("encode", ["bins", "thermometer"])
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_row_has_the_same_bytes_everywhere(tmp_path: Path, suffix: str, encode: str) -> None:
    path, plugins = tmp_path / f"x.{suffix}", Plugins.installed()
    WRITERS[suffix](path)
    wanted, law = plugins.wanted(form(encode)), expected(encode)
    whole = tables.load(path)
    assert [wanted.one(row).tolist() for row in whole.rows()] == law  # as training learns from them
    measured, labels = datasets.read(path, "test", wanted.one, ("high", "low"))  # as eval reads them
    assert measured.tolist() == law
    assert labels.tolist() == whole.labels.tolist() == (LABELS == "low").astype(int).tolist()
    inferred = list(read([str(path)], plugins, wanted))  # as infer and query read them
    assert [each.data.tolist() for each in inferred if isinstance(each, Sample)] == law
    assert [each.data.tolist() for each in ebpfnn.samples(Served(form(encode)), path)] == law


def test_numbers_by_position_have_the_same_bytes(tmp_path: Path) -> None:
    integers = {name: COLUMNS[name].astype(np.int64) for name in ("port", "offset")}
    described = [{"name": name, "type": "integer", "encode": "bins", "bounds": BOUNDS[name]} for name in integers]
    served = Served(InputFormat((2,), prepared=Preparation("columns", {"columns": described})))
    matrix = np.stack(list(integers.values()), axis=1)
    np.save(tmp_path / "a.npy", matrix)
    np.savez(tmp_path / "a.npz", samples=matrix, columns=list(integers), labels=np.zeros(COUNT, int))
    by_position, by_name = ([each.data.tolist() for each in ebpfnn.samples(served, tmp_path / f"a.np{end}")] for end in "yz")
    law = [[sum(v >= b for b in BOUNDS[name]) for name, v in zip(integers, row, strict=True)] for row in matrix.tolist()]
    assert by_position == by_name == law


def test_columns_that_are_missing_or_too_many_are_said(tmp_path: Path) -> None:
    plugins = Plugins.installed()
    wanted = plugins.wanted(form("bins"))
    write_csv(tmp_path / "a.csv")
    first, second, *_ = read([str(tmp_path / "a.csv")], plugins, wanted)
    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert (first.notes, second.notes) == (("ignored columns: class",), ())
    assert first.source == f"{tmp_path / 'a.csv'}:1"
    (tmp_path / "b.csv").write_text("port,bytes,offset,rate,shares,flag\n1,1,1,1,1,1\n")
    (error,) = read([str(tmp_path / "b.csv")], plugins, wanted)
    assert str(error).startswith(f"{tmp_path / 'b.csv'}: no column 'share', but port, bytes")
    assert str(error).replace("'", "").endswith("; did you mean shares?")


def test_a_bad_row_takes_no_other_with_it(tmp_path: Path) -> None:
    plugins = Plugins.installed()
    path = tmp_path / "a.csv"
    path.write_text("port,bytes,offset,rate,share,flag\n1,2,3,4,5,0\ntcp,2,3,4,5,0\n1,2\n1,2,3,,5,0\n1,2,3,4,5,1\n")
    found = list(read([str(path)], plugins, plugins.wanted(form("bins"))))
    assert [isinstance(each, Sample) for each in found] == [True, False, False, False, True]
    assert str(found[1]) == f"{path}:2: column 'port': 'tcp' is not a number; give one"
    assert str(found[3]) == f"{path}:4: column 'rate': no value; give a number"


def test_a_network_of_arrays_takes_npy_and_no_rows(tmp_path: Path) -> None:
    served = Served(InputFormat((2, 3)))
    np.save(tmp_path / "a.npy", np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    assert [each.data.tolist() for each in ebpfnn.samples(served, tmp_path / "a.npy")] == [
        [[0, 1, 2], [3, 4, 5]],
        [[6, 7, 8], [9, 10, 11]],
    ]
    write_csv(tmp_path / "a.csv")
    with pytest.raises(ebpfnn.errors.InputError, match="use a network that was trained on a table"):
        list(ebpfnn.samples(served, tmp_path / "a.csv"))


def test_an_empty_table_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("port,bytes,offset,rate,share,flag\n")
    (error,) = read([str(tmp_path / "a.csv")], Plugins.installed(), Plugins.installed().wanted(form("bins")))
    assert str(error).endswith("a.csv: no rows; give some")
