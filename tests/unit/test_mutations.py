"""Damaged files of every kind: each is read, or ends in an Error of one line."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pytest
from mutations import MADE, damaged, made, read

from ebpfnn.errors import Error

COUNT = 60


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MADE)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    chance, path, refused = random.Random(name), tmp_path / name, 0
    path.write_bytes(made(name))
    read(path)
    for number in range(COUNT):
        path.write_bytes(damaged(made(name), chance))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                read(path)
        except Error as error:
            refused += 1
            assert str(error).isprintable(), number  # noqa: PT017  # most are read all the same
            assert len(str(error)) < 5_000, number  # noqa: PT017
    assert refused > 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MADE)
def test_files_cut_short(name: str, tmp_path: Path) -> None:
    whole, path = made(name), tmp_path / name
    for share in (0, 0.01, 0.1, 0.3, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(Error) as caught:
            read(path)
        assert str(caught.value).isprintable()
