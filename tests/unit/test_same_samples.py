"""The law: one source and one network give the same bytes, whichever verb reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import random_network
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from prepared import plugins

import ebpfnn
from ebpfnn.bodies import modelfile
from ebpfnn.cli import inference, main, quantize
from ebpfnn.cli.measured import read_measured
from ebpfnn.cli.report import Report
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.preparation import Preparation
from ebpfnn.remote.query import Answer, Client
from ebpfnn.training.data import load
from ebpfnn.training.options import Options

CLASSES = ("one", "seven")
COUNT = 4
"""Pictures of each class."""
WAYS = {
    "glyph": ("glyph", (28, 28), {}),
    "glyph, dark ink": ("glyph", (28, 28), {"ink": "dark"}),
    "gray picture": ("picture", (14, 12), {}),
    "color picture, cropped": ("picture", (3, 10, 9), {"fit": "crop"}),
}


def drawn(kind: str, number: int) -> Image.Image:
    """A digit, dark on light and off the middle, of one size or another, in color or gray."""
    size = (60 + 17 * number, 50 + 11 * number)
    image = Image.new("RGB", size, (230 - 5 * number, 235, 240))
    stroke = [(20, 12), (22, 44)] if kind == "one" else [(12, 10), (42, 12), (24, 45)]
    ImageDraw.Draw(image).line(stroke, fill=(20, 30 + 20 * number, 60), width=4 + number % 3, joint="curve")
    return image if number % 2 else image.convert("L")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    for kind in CLASSES:
        (folder / kind).mkdir()
        for number in range(COUNT):
            drawn(kind, number).save(folder / kind / f"{number}.{'png' if number % 2 else 'bmp'}")
    return folder


@pytest.fixture(params=WAYS)
def network(request: pytest.FixtureRequest, tmp_path: Path) -> QuantizedNetwork:
    kind, shape, options = WAYS[request.param]
    made = random_network((int(np.prod(shape)), 5, len(CLASSES)), 1, shape)
    made = replace(made, input=replace(made.input, prepared=Preparation(kind, options)), labels=CLASSES)
    modelfile.save(made, tmp_path / "net.safetensors")
    return modelfile.load(tmp_path / "net.safetensors")


def bytes_of(samples: Any) -> list[bytes]:
    """Of each sample, in an order of their own: what is split is shuffled."""
    return sorted(np.asarray(sample).tobytes() for sample in samples)


def infer(files: list[str], model: Path, monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.uint8]]:
    """What ``ebpfnn infer`` would have the kernel compute."""
    given: list[NDArray[np.uint8]] = []

    def note(self: inference.Inference, sample: ebpfnn.plugin.Sample) -> Report:
        given.append(sample.data)
        return Report(sample, self.network, "run", 0, (0,) * len(CLASSES), 1)

    monkeypatch.setattr(inference.Inference, "infer", note)
    monkeypatch.setattr(inference.Inference, "open", lambda self: None)
    ran = CliRunner().invoke(main, ["infer", "--private", "--model", str(model), *files])
    assert ran.exit_code == 0, ran.output
    return given


def query(files: list[str], model: Path, monkeypatch: pytest.MonkeyPatch) -> list[NDArray[np.uint8]]:
    """What ``ebpfnn query`` would send."""
    given: list[NDArray[np.uint8]] = []

    def note(self: Client, sample: NDArray[np.uint8]) -> Answer:
        given.append(sample)
        return Answer(0, np.zeros(len(CLASSES), np.int32), 1, 0.1)

    monkeypatch.setattr(Client, "infer", note)
    ran = CliRunner().invoke(main, ["query", "127.0.0.1", "--model", str(model), *files])
    assert ran.exit_code == 0, ran.output
    return given


def python(files: list[str], model: Path, _: pytest.MonkeyPatch) -> list[NDArray[np.uint8]]:
    return [sample.data for sample in ebpfnn.samples(ebpfnn.load(model), *files)]


def trained(folder: Path, network: QuantizedNetwork) -> list[bytes]:
    """All samples that ``ebpfnn train`` would learn from, choose by, or measure."""
    preparation = network.input.preparation
    options = ",".join(f"{key}={value}" for key, value in preparation.options.items())
    told = f"{preparation.kind}:{options}" if options else preparation.kind
    data = load(Options(Path("x"), data=folder, prepare=told, input_shape=network.input_shape), plugins())
    assert data.preparation == preparation
    return bytes_of([*data.training.samples, *data.held_out.samples, *data.test.samples])


def test_folders_of_pictures(folder: Path, network: QuantizedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = read_measured(str(folder), network, plugins()).samples
    assert measured.shape == (2 * COUNT, *network.input_shape)
    assert len(set(bytes_of(measured))) > COUNT  # glyphs of one digit come out alike
    expected = bytes_of(measured)
    assert trained(folder, network) == expected
    calibration = quantize._calibration(folder, network, plugins().wanted(network.input))
    assert bytes_of(calibration.samples) == expected
    files = [str(path) for kind in CLASSES for path in sorted((folder / kind).iterdir())]
    ways: tuple[Callable[..., list[NDArray[np.uint8]]], ...] = (infer, query, python)
    for way in ways:
        assert [sample.tobytes() for sample in way(files, tmp_path / "net.safetensors", monkeypatch)] == [
            sample.tobytes() for sample in measured
        ]


def test_arrays_are_taken_as_they_lie(tmp_path: Path) -> None:
    arrays = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", samples=arrays, labels=np.arange(12) % 2)
    data = load(Options(Path("x"), data=tmp_path / "a.npz"), plugins())
    assert bytes_of([*data.training.samples, *data.held_out.samples, *data.test.samples]) == bytes_of(arrays)
    network = random_network((784, 4, 2), 1, (28, 28))
    assert bytes_of(read_measured(str(tmp_path / "a.npz"), network, plugins()).samples) == bytes_of(arrays)


@pytest.mark.parametrize(("ground", "ink"), [(0, "light"), (255, "dark")])
def test_polarity_is_learned_from_arrays(ground: int, ink: str, tmp_path: Path) -> None:
    """A picture of a digit, either way round, becomes a sample as the arrays are."""
    digits = ebpfnn.read_test()[0][:12]
    arrays = digits if ink == "light" else 255 - digits
    np.savez(tmp_path / "a.npz", samples=arrays, labels=np.arange(12) % 2)
    preparation = load(Options(Path("x"), data=tmp_path / "a.npz"), plugins()).preparation
    assert preparation == Preparation("glyph", {"ink": ink})
    network = random_network((784, 4, 2), 1, (28, 28))
    network = replace(network, input=replace(network.input, prepared=preparation))
    drawn("one", 3).save(tmp_path / "a.png")
    (sample,) = ebpfnn.samples(network, tmp_path / "a.png")
    assert np.median(sample.data) == ground
    assert abs(int(sample.data[14, 14]) - ground) > 100
