"""Training, for real but short: on digits made here, written as MNIST's files."""

from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ebpfnn import modelfile, reference
from ebpfnn.cli.train import command
from ebpfnn.errors import InputError, ModelError, NotSupported
from ebpfnn.training import Options, train
from ebpfnn.training.data import load

NAMES = {"train": 600, "t10k": 100}


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [count, 8, 8], of a bar in one of four quarters, and which quarter: easy to learn."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, count).astype(np.uint8)
    images = random.integers(0, 40, (count, 8, 8)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label * 2 : label * 2 + 2, 1:7] = 230
    return images, labels


def write_idx(path: Path, array: np.ndarray, compress: Callable[[bytes], bytes] = bytes) -> None:
    path.write_bytes(compress(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    for seed, (name, count) in enumerate(NAMES.items()):
        images, labels = bars(count, seed)
        write_idx(directory / f"{name}-images-idx3-ubyte", images)
        write_idx(directory / f"{name}-labels-idx1-ubyte.gz", labels, gzip.compress)
    return directory


def options(tmp_path: Path, data: Path, **fields: object) -> Options:
    given: dict[str, object] = {"architecture": "64-12-4", "data": data, "epochs": 8, "batch_size": 32, "name": "bars"}
    return Options(tmp_path / "out.safetensors", **{**given, **fields})


@pytest.mark.parametrize("slope", [0.0, 0.125])
def test_a_network_learns(tmp_path: Path, data: Path, slope: float) -> None:
    pytest.importorskip("torch")
    network = modelfile.load(train(options(tmp_path, data, slope=slope)))
    images, labels = bars(NAMES["t10k"], seed=1)
    assert (reference.labels(network, images) == labels).mean() > 0.9
    assert (network.name, network.architecture, network.input_shape, network.labels) == (
        "bars",
        "64-12-4",
        (8, 8),
        tuple("0123"),
    )
    assert network.layers[0].slope == slope
    found = (reference.labels(network, images) == labels).mean()
    assert network.card["integer accuracy"] == f"{found:.2%} of the test images"


def test_the_same_seed_makes_the_same_file(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("torch")
    first, again, other = (train(options(tmp_path, data, epochs=2, seed=seed)).read_bytes() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_interrupt_keeps_the_best_so_far(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from ebpfnn.training import loop

    epochs, real = [], loop._epoch

    def interrupted(*arguments: object) -> None:
        if len(epochs) == 2:
            raise KeyboardInterrupt
        epochs.append(real(*arguments))

    monkeypatch.setattr(loop, "_epoch", interrupted)
    assert modelfile.load(train(options(tmp_path, data))).architecture == "64-12-4"
    epochs[:] = [None, None]
    with pytest.raises(KeyboardInterrupt):
        train(options(tmp_path, data))


def test_augmentation_moves_little_and_keeps_the_shape() -> None:
    torch = pytest.importorskip("torch")
    from ebpfnn.training.augment import augment

    images = torch.zeros(50, 28, 28)
    images[:, 12:16, 12:16] = 1.0
    distorted = augment(images, torch.Generator().manual_seed(1))
    assert distorted.shape == images.shape
    assert len(torch.unique(distorted, dim=0)) == 50
    assert distorted[:, :8].max() == distorted[:, 20:].max() == 0
    assert (distorted.sum(dim=(1, 2)) - 16).abs().max() < 4


@pytest.mark.parametrize("text", ["", "784", "784-", "a-b", "784-0-10", "784--10", "1-99999999-1", "७-1"])
def test_architectures_that_cannot_be(text: str) -> None:
    with pytest.raises(ModelError, match="is not a list of widths; give one such as 784-32-10"):
        _ = Options(Path("x"), text).widths


@pytest.mark.parametrize("text", ["63-12-4", "64-12-3"])
def test_architectures_that_do_not_fit_the_data(tmp_path: Path, data: Path, text: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(ModelError, match="an image has 64 pixels and there are 4 classes; give 64-"):
        train(options(tmp_path, data, architecture=text))
    assert not (tmp_path / "out.safetensors").exists()


def test_data_in_torchvisions_tree(data: Path) -> None:
    raw = data / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in data.glob("*-ubyte*"):
        path.rename(raw / path.name)
    training, test = load(data)
    assert (training.images.shape, test.labels.shape) == ((600, 8, 8), (100,))


def test_data_that_is_not_there_or_does_not_fit(data: Path) -> None:
    write_idx(data / "t10k-images-idx3-ubyte", np.zeros((99, 8, 8), np.uint8))
    with pytest.raises(InputError, match=r"images and labels are \[99, 8, 8\] and \[100\]"):
        load(data)
    (data / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(InputError, match=r"has no t10k-images-idx3-ubyte\[.gz\]; give a directory"):
        load(data)


def test_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ebpfnn.training.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("ebpfnn.training.loop", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotSupported, match=r"torch is not installed; pip install 'ebpfnn\[train\]'"):
        train(Options(tmp_path / "x"))


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("torchvision.datasets")

    def refuse(root: str, download: bool) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "MNIST", refuse)
    with pytest.raises(InputError, match=r"MNIST: cannot be downloaded to .*; give a directory that has it with --data"):
        load(None)


def test_without_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.datasets", None)
    with pytest.raises(NotSupported, match="downloading needs torchvision"):
        load(None)


def test_the_verb(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("torch")
    output = tmp_path / "verb.safetensors"
    arguments = ["--arch", "64-4", "--epochs", "1", "--data", str(data), "--output", str(output), "--name", "verb"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert f"{output}\n" in result.output
    assert modelfile.load(output).name == "verb"
