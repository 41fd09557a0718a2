"""What goes wrong while rows are collected: errors of the file name the file, and others are told as what they are."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebpfnn.collect.recorded import recording
from ebpfnn.collect.rooms import NoRoom
from ebpfnn.collect.rows import Rows
from ebpfnn.collect.writing import writing
from ebpfnn.errors import InputError
from ebpfnn.files import Growing

NAMES = ("a", "b")
ABOUT: dict[str, Any] = {}
SUFFIXES = [".csv", ".npz", ".parquet"]


def rows(count: int) -> Rows:
    numbers = np.arange(count, dtype=np.uint64)
    return Rows(np.zeros((count, 2), np.uint64), ["key"] * count, numbers, numbers, [""] * count, ["g"] * count)


def opened(path: Path, kind: str) -> AbstractContextManager[Any]:
    if kind == ".parquet":
        pytest.importorskip("pyarrow")
    return recording(path, [np.dtype([("x", "u8")])], ABOUT) if kind == "events" else writing(path, NAMES, ABOUT)


def path_of(tmp_path: Path, kind: str) -> Path:
    return tmp_path / ("a.npz" if kind == "events" else f"a{kind}")


@pytest.mark.parametrize("kind", [*SUFFIXES, "events"])
@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), OSError(errno.EPERM, "no")], ids=["pipe", "other"]
)
def test_an_error_of_something_else_is_not_the_files(tmp_path: Path, kind: str, error: OSError) -> None:
    with pytest.raises(type(error)) as told, opened(path_of(tmp_path, kind), kind):
        raise error
    assert told.value is error
    assert not list(tmp_path.iterdir())


FAULT = OSError(errno.EIO, "Input/output error")
FACT = r"{}: cannot be written \(Input/output error\); free some space"


def fails(*_given: object) -> None:
    raise FAULT


def written(path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, before: tuple[Any, str], behind: tuple[Any, str]) -> None:
    """Writes a file, where a function fails from before it on, or when all is written."""
    with opened(path, kind) as into:
        monkeypatch.setattr(*before, fails)
        into.add(*((0, bytes(8)) if kind == "events" else (rows(3),)))
        into.finish()
        monkeypatch.setattr(*behind, fails)


NOTHING = (sys.modules[__name__], "NAMES")


@pytest.mark.parametrize("kind", [*SUFFIXES, "events"])
def test_an_error_of_the_file_names_it(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = path_of(tmp_path, kind)
    with pytest.raises(InputError, match=FACT.format(path.name)):
        written(path, kind, monkeypatch, (Growing, "reserve"), NOTHING)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", [*SUFFIXES, "events"])
@pytest.mark.parametrize("name", ["fsync", "replace", "ftruncate"])
def test_an_error_when_it_is_put_in_place_names_it(
    tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(tmp_path, kind)
    with pytest.raises(InputError, match=FACT.format(path.name)):
        written(path, kind, monkeypatch, NOTHING, (os, name))
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", SUFFIXES)
def test_no_room_at_all_is_told(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=r"nothing was written \(full\)"), opened(path_of(tmp_path, kind), kind):
        raise NoRoom("full")
