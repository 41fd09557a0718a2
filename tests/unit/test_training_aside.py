"""What is chosen after a training is chosen on the same samples that the training held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import dense, network

from ebpfnn.errors import InputError
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.plugin import Plugins
from ebpfnn.training import Options
from ebpfnn.training.aside import held_out_and_test
from ebpfnn.training.data import Data, load

ROWS = 240


def write(path: Path) -> Path:
    """Rows of sessions of six, and a column of text that a training must be told to ignore."""
    random = np.random.default_rng(0)
    port, size = random.choice([53, 80, 443, 8080], ROWS), random.integers(40, 1500, ROWS)
    lines = ["id,port,size,session,class"]
    lines += [f"x{n},{p},{s},s{n // 6},{'bad' if s > 700 else 'good'}" for n, (p, s) in enumerate(zip(port, size, strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def trained_on(data: Data) -> QuantizedNetwork:
    """A network as a training on ``data`` would save it."""
    size = data.training.samples.shape[1]
    made = network([dense(np.ones((len(data.names), size)), np.zeros(len(data.names)))], InputFormat((size,)))
    form = replace(made.input, prepared=data.preparation)
    return replace(made, input=form, labels=data.names, card=dict(data.card))


@pytest.mark.parametrize("split_by", ["", "session"])
@pytest.mark.parametrize("divided", [False, True])
def test_rows_of_a_table(tmp_path: Path, split_by: str, divided: bool) -> None:
    path = write(tmp_path / "train.csv") if divided else write(tmp_path / "flows.csv")
    if divided:
        lines = (tmp_path / "train.csv").read_text().splitlines()
        (tmp_path / "test.csv").write_text("\n".join([lines[0], *lines[5:45]]) + "\n")
        path = tmp_path
    ignored = ("id",) if split_by else ("id", "session")
    plugins = Plugins.installed()
    data = load(Options(tmp_path / "a", path, ignore=ignored, split_by=split_by, threads=1), plugins)
    held_out, test = held_out_and_test(path, trained_on(data), plugins)
    for ours, theirs in ((held_out, data.held_out), (test, data.test)):
        assert np.array_equal(ours.samples, theirs.samples)
        assert np.array_equal(ours.labels, theirs.labels)


@pytest.mark.parametrize("divided", [False, True])
def test_arrays(tmp_path: Path, divided: bool) -> None:
    random = np.random.default_rng(1)
    for part, count in (("train", 100), ("test", 30)) if divided else (("all", 100),):
        np.savez(tmp_path / f"{part}.npz", samples=random.integers(0, 256, (count, 7)), labels=random.integers(0, 3, count))
    path, plugins = tmp_path if divided else tmp_path / "all.npz", Plugins.installed()
    data = load(Options(tmp_path / "a", path, threads=1), plugins)
    held_out, test = held_out_and_test(path, trained_on(data), plugins)
    assert np.array_equal(held_out.samples, data.held_out.samples)
    assert np.array_equal(test.samples, data.test.samples)
    assert (len(held_out.labels), len(test.labels)) == ((8, 30) if divided else (7, 16))


def test_a_table_without_its_groups(tmp_path: Path) -> None:
    path, plugins = write(tmp_path / "flows.csv"), Plugins.installed()
    made = trained_on(load(Options(tmp_path / "a", path, ignore=("id",), split_by="session", threads=1), plugins))
    text = path.read_text().replace("session", "other")
    path.write_text(text)
    with pytest.raises(InputError, match="no column 'session', by which the network's rows were split; give the file it had"):
        held_out_and_test(path, made, plugins)


def test_too_few(tmp_path: Path) -> None:
    np.savez(tmp_path / "all.npz", samples=np.zeros((5, 7), np.uint8), labels=np.arange(5) % 2)
    plugins = Plugins.installed()
    made = network([dense(np.ones((3, 7)), np.zeros(3))])
    with pytest.raises(InputError, match=r"all\.npz: 5 samples are too few to choose and to measure by; give more"):
        held_out_and_test(tmp_path / "all.npz", made, plugins)
