"""Training, for real but short: on digits made here, written as MNIST's files."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hostile import tensor
from networks import around_own, own_format
from prepared import plugins

from ebpfnn.bodies import modelfile
from ebpfnn.cli.train import command
from ebpfnn.errors import InputError, ModelError, NotSupported
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.encoding import levels
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Conv2d, Dense, Window
from ebpfnn.quantize import float_reference, floatfile
from ebpfnn.quantize.floats import Activation, AvgPool, FloatDense, Network
from ebpfnn.quantize.quantization import quantize
from ebpfnn.training import Distortion, Options, Precision, Teaching, train
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


def options(tmp_path: Path, data: Path, **fields: Any) -> Options:
    given: dict[str, Any] = {
        "architecture": "64-12-4",
        "data": data,
        "epochs": 8,
        "batch_size": 32,
        "name": "bars",
        "threads": 1,
    }
    return Options(tmp_path / "out.safetensors", **{**given, **fields})


def five_classes(tmp_path: Path) -> Path:
    samples, labels = bars(60, seed=0)
    labels[0] = 4
    np.savez(tmp_path / "five.npz", samples=samples, labels=labels)
    return tmp_path / "five.npz"


def share_right(network: QuantizedNetwork) -> float:
    images, labels = bars(NAMES["t10k"], seed=1)
    return float((reference.labels(network, images) == labels).mean())


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_levels_by_thresholds_of_each_value_are_trained_with(bits: int) -> None:
    import torch

    from ebpfnn.training.loop import as_input

    form = own_format(13, bits, 1)
    given = around_own(form)
    found = as_input(torch.from_numpy(given), form) * form.highest
    assert found.round().tolist() == levels(form, given).tolist()


@pytest.mark.parametrize("slope", [0.0, 0.125])
def test_a_network_learns(tmp_path: Path, data: Path, slope: float) -> None:
    network = modelfile.load(train(options(tmp_path, data, slope=slope)))
    assert share_right(network) > 0.9
    assert (network.name, network.architecture, network.input_shape) == ("bars", "64-12-4", (8, 8))
    assert network.labels == tuple("0123")
    assert network.layers[0].requantization.slope == slope
    assert network.card["integer accuracy"].startswith(f"{share_right(network):.2%} of the test samples, ")


def test_the_float_network_lies_beside(tmp_path: Path, data: Path) -> None:
    path = train(options(tmp_path, data))
    network, images = floatfile.load(floatfile.beside(path)), bars(NAMES["t10k"], seed=1)[0]
    same = float_reference.logits(network, images).argmax(axis=1) == reference.labels(modelfile.load(path), images)
    assert same.mean() > 0.95
    assert not list(tmp_path.glob("*.checkpoint"))


@pytest.mark.parametrize(
    ("architecture", "precision"),
    [
        ("conv4x3-pool2-conv6x3g2-4", Precision()),
        ("conv4x3p1s2-dw3-avgpool2-4", Precision(input_bits=2)),
        ("64-16-4", Precision(input_bits=1, thresholds=(100,), packed=True)),
        ("64-16-4", Precision(aware=True, hidden_bits=3)),
        ("conv6x3-pool2-8-4", Precision(aware=True, weight_bits=4)),
        ("64-16-4", Precision(aware=True, weight_bits=2, hidden_bits=4)),
    ],
)
def test_every_kind_of_network_learns(tmp_path: Path, data: Path, architecture: str, precision: Precision) -> None:
    given = options(tmp_path, data, architecture=architecture, precision=precision, epochs=12, learning_rate=1e-2, slope=0.0)
    path = train(given)
    network = modelfile.load(path)
    assert share_right(network) > 0.9
    assert network.input.bits == precision.input_bits
    assert network.input.packed == precision.packed
    hidden, limit = network.layers[0].requantization, 2 ** (precision.weight_bits - 1) - 1
    assert hidden.high - hidden.low < 2**precision.hidden_bits
    assert max(int(abs(layer.weights).max()) for layer in network.layers if isinstance(layer, (Dense, Conv2d))) <= limit


def test_the_same_seed_makes_the_same_file(tmp_path: Path, data: Path) -> None:
    first, again, other = (train(options(tmp_path, data, epochs=2, seed=seed)).read_bytes() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_interrupted_run_keeps_its_best_and_goes_on(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpfnn.training.views import Views

    whole = train(options(tmp_path, data, epochs=5)).read_bytes()
    shown = Views.shown

    def interrupted(views: Views, epoch: int) -> object:
        if epoch == 3:
            raise KeyboardInterrupt
        return shown(views, epoch)

    monkeypatch.setattr(Views, "shown", interrupted)
    arguments = ["--arch", "64-12-4", "--epochs", "5", "--batch-size", "32", "--threads", "1", "--name", "bars"]
    arguments += ["--data", str(data), "--output", str(tmp_path / "out.safetensors")]
    result = CliRunner().invoke(command, arguments)
    assert result.exit_code == 130
    assert "interrupted after 3 of 5 epochs; run the same command with --resume to continue" in result.output
    assert modelfile.load(tmp_path / "out.safetensors").card["interrupted"] == "after 3 of 5 epochs"
    monkeypatch.setattr(Views, "shown", shown)
    with pytest.raises(ModelError, match=r"out.safetensors.checkpoint: belongs to a run of other options; give the same ones"):
        train(options(tmp_path, data, epochs=6, resume=True))
    images, _ = bars(600, seed=7)
    swapped = tmp_path / "other" / "data"
    shutil.copytree(data, swapped)
    write_idx(swapped / "train-images-idx3-ubyte", images)
    with pytest.raises(ModelError, match=r"checkpoint: belongs to a run on other data; give the same"):
        train(options(tmp_path, swapped, epochs=5, resume=True))
    assert train(options(tmp_path, data, epochs=5, resume=True)).read_bytes() == whole
    with pytest.raises(ModelError, match=r"checkpoint: cannot be read .*; train without --resume"):
        train(options(tmp_path, data, epochs=5, resume=True))


@pytest.mark.parametrize("fields", [{}, {"dropout": 0.3}, {"schedule": "onecycle"}])
def test_a_run_interrupted_within_an_epoch_goes_on(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    from ebpfnn.training import loop

    given = options(tmp_path, data, epochs=3, **fields)
    whole = train(given).read_bytes()
    losses = []
    loss = loop._loss

    def interrupted(*arguments: Any) -> Any:
        losses.append(loss(*arguments))
        if len(losses) == 25:  # 18 batches an epoch
            raise KeyboardInterrupt
        return losses[-1]

    monkeypatch.setattr(loop, "_loss", interrupted)
    assert train(given).read_bytes() != whole
    monkeypatch.setattr(loop, "_loss", loss)
    assert train(replace(given, resume=True)).read_bytes() == whole


def test_an_interrupt_in_the_first_epoch_keeps_what_there_is(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ebpfnn.training import loop

    loss, given = loop._loss, options(tmp_path, data, epochs=2)
    whole = train(given).read_bytes()
    assert re.search(r"loss \d\.\d{3}, held-out accuracy", capsys.readouterr().err)
    losses: list[Any] = []

    def interrupted(*arguments: Any) -> Any:
        losses.append(loss(*arguments))
        if len(losses) == 10:
            raise KeyboardInterrupt
        return losses[-1]

    monkeypatch.setattr(loop, "_loss", interrupted)
    card = modelfile.load(train(given)).card
    assert card["interrupted"] == "after 0 of 2 epochs"
    assert float(card["integer accuracy"].split("%")[0]) > 30  # of four classes: it has learned
    monkeypatch.setattr(loop, "_loss", loss)
    assert train(replace(given, resume=True)).read_bytes() == whole


def test_an_interrupt_before_the_first_batch_keeps_nothing(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpfnn.training.views import Views

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Views, "shown", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(options(tmp_path, data))
    assert not list(tmp_path.glob("out.*"))


@pytest.mark.parametrize("damage", [b"", b"PK", b"\x80\x02cos\nsystem\n.", tensor([1], [2**70]), tensor([0, 2**62], [1, 1])])
def test_a_damaged_checkpoint(tmp_path: Path, data: Path, damage: bytes) -> None:
    (tmp_path / "out.safetensors.checkpoint").write_bytes(damage)
    with pytest.raises(ModelError, match=r"out.safetensors.checkpoint: not a checkpoint, or damaged; train without --resume"):
        train(options(tmp_path, data, resume=True))


def interrupted_at(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Options:
    """The options of a run of 3 epochs that was interrupted after 2, its checkpoint beside it."""
    from ebpfnn.training.views import Views

    shown, given = Views.shown, options(tmp_path, data, epochs=3, **more)

    def interrupted(views: Views, epoch: int) -> object:
        if epoch == 2:
            raise KeyboardInterrupt
        return shown(views, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(Views, "shown", interrupted)
        train(given)
    return given


DAMAGED: dict[str, Callable[[dict[str, Any]], object]] = {
    "an epoch of text": lambda held: held.update(epoch="2"),
    "an epoch before the first": lambda held: held.update(epoch=-1),
    "far more epochs": lambda held: held.update(epoch=10**9),
    "another epoch": lambda held: held.update(epoch=1),
    "a best of text": lambda held: held.update(best="1"),
    "a best of NaN": lambda held: held.update(best=float("nan")),
    "a field of its own": lambda held: held.update(more=1),
    "no fields": lambda held: held.clear(),
    "a list for a state": lambda held: held.update(model=[1]),
    "a generator of floats": lambda held: held.update(generator=held["generator"].float()),
    "a generator cut short": lambda held: held.update(generator=held["generator"][:8].clone()),
    "a rate of text": lambda held: held["optimizer"]["param_groups"][0].update(lr="1"),
    "moments of text": lambda held: held["optimizer"]["state"][0].update(exp_avg="1"),
    "moments of another shape": lambda held: held["optimizer"]["state"][0].update(exp_avg=held["dropout"].float()),
    "moments of one kind": lambda held: held["optimizer"]["state"][0].pop("exp_avg"),
    "moments that are complex": lambda held: held["optimizer"]["state"][0].update(step=1j * held["dropout"][0]),
    "moments of nothing": lambda held: held["optimizer"]["state"].update({99: held["optimizer"]["state"][0]}),
    "a schedule of its own": lambda held: held["schedule"].update(step=1),
    "a schedule of text": lambda held: held["schedule"].update(last_epoch="1"),
    "a schedule without": lambda held: held["schedule"].clear(),
    "sparse weights": lambda held: held["model"].update({key: each.to_sparse() for key, each in held["model"].items()}),
}


@pytest.mark.parametrize("schedule", ["cosine", "onecycle", "constant"])
def test_a_checkpoint_whose_fields_are_not_a_runs(
    schedule: str, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    given = interrupted_at(tmp_path, data, monkeypatch, schedule=schedule)
    path = tmp_path / "out.safetensors.checkpoint"
    whole = path.read_bytes()
    for kind, damage in DAMAGED.items():
        held = torch.load(io.BytesIO(whole), weights_only=True)
        damage(held)
        torch.save(held, path)
        fact = (
            "(not a checkpoint, or damaged|does not fit this network|is after 1000000000 of 3 epochs); train without --resume"
        )
        with pytest.raises(ModelError, match=fact) as caught:
            train(replace(given, resume=True))
        assert "\n" not in str(caught.value), kind
    path.write_bytes(whole)
    train(replace(given, resume=True))


def test_a_checkpoint_of_another_module(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpfnn.training.views import Views

    text = (
        "from torch import nn\nbuild = lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, {0}), nn.ReLU(), nn.Linear({0}, 4))\n"
    )
    module, shown = tmp_path / "mine.py", Views.shown

    def interrupted(views: Views, epoch: int) -> object:
        if epoch == 1:
            raise KeyboardInterrupt
        return shown(views, epoch)

    module.write_text(text.format(8))
    given = options(tmp_path, data, module=f"{module}:build", epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(Views, "shown", interrupted)
        train(given)
    module.write_text(text.format(11))
    with pytest.raises(ModelError, match=r"checkpoint: does not fit this network; train without --resume"):
        train(replace(given, resume=True))


def test_a_module_with_neighbors_and_dataclasses(tmp_path: Path) -> None:
    from ebpfnn.training.model import from_file

    (tmp_path / "the_neighbor.py").write_text("WIDTH = 5\n")
    (tmp_path / "mine.py").write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom torch import nn\n"
        "from the_neighbor import WIDTH\n"
        "@dataclass\nclass Sizes:\n    width: int = WIDTH\n"
        "def build():\n    return nn.Linear(4, Sizes().width)\n"
    )
    before = list(sys.path)
    assert from_file(f"{tmp_path / 'mine.py'}:build").out_features == 5
    assert sys.path == before


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY\x01\x00", b"cut"])
def test_a_damaged_view_is_drawn_again(tmp_path: Path, damage: bytes) -> None:
    from ebpfnn.training.data import Part
    from ebpfnn.training.views import Views

    def shown() -> np.ndarray:
        views = Views(Part(*bars(30, seed=0)), Distortion(), None, count=2, directory=tmp_path)
        return views.shown(1).samples.numpy()

    first = shown()
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:-9] if damage == b"cut" else damage)
    assert (shown() == first).all()
    assert (np.load(kept) == first).all()


def test_more_views_than_memory_should_hold() -> None:
    from ebpfnn.training.data import Part
    from ebpfnn.training.views import Views

    with pytest.raises(InputError, match=r"10000000 views of 30 samples take 17.9 GiB of memory; give --views 4473924, or 0"):
        Views(Part(*bars(30, seed=0)), Distortion(), None, count=10_000_000)


def test_teachers_are_told_apart_by_more_than_weights() -> None:
    from ebpfnn.training.teacher import Teacher

    weights, bias = np.ones((4, 64), np.float32), np.zeros(4, np.float32)
    networks = [
        Network("one", InputFormat((8, 8)), tuple("0123"), (FloatDense(weights, bias, Activation(slope=slope)),))
        for slope in (0.0, 0.5, 0.5)
    ]
    first, second, again = (Teacher(network, (8, 8), 4).digest for network in networks)
    assert first != second == again


def test_a_pupil_learns_from_a_teachers_views(tmp_path: Path, data: Path) -> None:
    teacher = train(options(tmp_path, data, architecture="conv4x3p1-pool2-4", name="teacher"))
    taught = Teaching(floatfile.beside(teacher).rename(tmp_path / "teacher.float.safetensors"), temperature=2.0, share=1.0)
    given = options(tmp_path, data, teaching=taught, views=3, cache=tmp_path / "views", epochs=12)
    first = train(given).read_bytes()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "views").iterdir()}
    assert len(kept) == 6
    assert train(given).read_bytes() == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "views").iterdir()} == kept
    assert share_right(modelfile.load(given.output)) > 0.9
    with pytest.raises(
        ModelError, match=r"teacher 'teacher' takes 8-bit \[8, 8\] to 4 classes; give one from 8-bit \[8, 8\] to 5"
    ):
        train(options(tmp_path, five_classes(tmp_path), architecture="64-5", teaching=taught))


def test_a_module_of_ones_own(tmp_path: Path, data: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(
        "from torch import nn\n"
        "def build():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.ReLU6(), nn.Linear(9, 4))\n"
        "def wrong():\n    return 3\n"
        "def breaks():\n    raise KeyError('gone')\n"
    )
    network = modelfile.load(train(options(tmp_path, data, module=f"{module}:build")))
    assert network.architecture == "64-9-4"
    assert share_right(network) > 0.9
    for text, fact in (
        (f"{module}:none", "has no function 'none'"),
        (f"{module}:wrong", "the function returned int"),
        (f"{module}:breaks", "KeyError: 'gone'; mend it"),
        ("absent.py:build", "absent.py is no Python file"),
    ):
        with pytest.raises(ModelError, match=fact):
            train(options(tmp_path, data, module=text))


def test_rounding_follows_calls_not_declarations(tmp_path: Path, data: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(
        "from torch import nn\n"
        "class Mine(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.last, self.first, self.relu = nn.Linear(12, 4), nn.Linear(64, 16), nn.ReLU()\n"
        "        self.middle = nn.Linear(16, 12)\n"
        "    def forward(self, x):\n"
        "        return self.last(self.relu(self.middle(self.relu(self.first(x.flatten(1))))))\n"
    )
    precision = Precision(aware=True, hidden_bits=4, weight_bits=4)
    path = train(options(tmp_path, data, module=f"{module}:Mine", precision=precision, epochs=12, learning_rate=1e-2))
    assert share_right(modelfile.load(path)) > 0.9
    first, middle, last = (layer.activation for layer in floatfile.load(floatfile.beside(path)).layers)
    assert first.scale == middle.scale is not None
    assert (first.bits, middle.bits, last.bits) == (4, 4, 8)


def test_activations_round_as_integers_do() -> None:
    import torch
    from torch import nn

    from ebpfnn.training.rounding import _Activations, _signed

    rounded = _Activations(3, signed=True)
    rounded.step.data.fill_(0.5)
    assert rounded(torch.tensor([[-0.75, -0.25, 0.25, 0.75, 9.0]])).tolist() == [[-0.5, 0.0, 0.5, 1.0, 1.5]]
    assert _Activations(3, signed=False)(torch.zeros(2, 5)).tolist() == [[0.0] * 5] * 2
    known = (nn.ReLU(), nn.ReLU6(), nn.Hardtanh(0, 4), nn.LeakyReLU(0.0), nn.Hardtanh(), nn.LeakyReLU(0.1))
    assert [_signed(module) for module in known] == [False] * 4 + [True] * 2


def test_few_bits_do_not_outlive_a_normalization_before_the_layer(tmp_path: Path, data: Path) -> None:
    module = tmp_path / "mine.py"
    module.write_text(
        "from torch import nn\n"
        "def build():\n"
        "    layers = nn.Linear(64, 12), nn.ReLU(), nn.BatchNorm1d(12), nn.Linear(12, 4)\n"
        "    return nn.Sequential(nn.Flatten(), *layers)\n"
    )
    given = options(tmp_path, data, module=f"{module}:build", precision=Precision(aware=True, weight_bits=4), epochs=1)
    with pytest.raises(
        ModelError, match="scales its inputs, which few bits of weights do not outlive; put it behind the layer"
    ):
        train(given)


def test_the_float_file_makes_the_same_integers(tmp_path: Path, data: Path) -> None:
    given = options(tmp_path, data, precision=Precision(aware=True, weight_bits=3), epochs=2)
    network, kept = modelfile.load(train(given)), floatfile.load(floatfile.beside(given.output))
    again = quantize(kept, load(given, plugins()).training.samples)
    for ours, theirs in zip(network.layers, again.layers, strict=True):
        assert (ours.weights == theirs.weights).all()


def test_few_bits_without_training_for_them() -> None:
    with pytest.raises(ModelError, match="3 hidden and 8 weight bits: fewer than 8 must be trained for; give --aware too"):
        Precision(hidden_bits=3)


def test_a_teacher_whose_averages_are_padded() -> None:
    import torch

    from ebpfnn.training.teacher import Teacher

    random = np.random.default_rng(0)
    weights, bias = random.normal(size=(4, 16)).astype(np.float32), np.zeros(4, np.float32)
    layers = (AvgPool(Window((3, 3), (2, 2), (1, 1, 1, 1))), FloatDense(weights, bias))
    network = Network("padded", InputFormat((8, 8)), tuple("0123"), layers)
    images = bars(9, seed=0)[0]
    found = Teacher(network, (8, 8), 4)(torch.from_numpy(images).view(9, 1, 8, 8).float() / 255)
    assert np.abs(found.numpy() - float_reference.logits(network, images)).max() < 0.05


def test_ten_steps_of_one_cycle(tmp_path: Path, data: Path) -> None:
    assert train(options(tmp_path, data, schedule="onecycle", batch_size=600, epochs=10)).exists()


@pytest.mark.parametrize("architecture", ["conv4x8-4", "64-4"])
def test_one_sample_left_over(tmp_path: Path, data: Path, architecture: str) -> None:
    assert train(options(tmp_path, data, architecture=architecture, batch_size=549, epochs=1)).exists()  # 550 to train on


def test_what_cannot_be_written_is_said_before_training(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ebpfnn.training import run

    monkeypatch.delattr(run, "fitted")
    with pytest.raises(ModelError, match="cannot be written; give an --output in a directory you may write to"):
        train(replace(options(tmp_path, data), output=tmp_path / "absent" / "x.safetensors"))
    module = tmp_path / "mine.py"
    module.write_text("from torch import nn\nbuild = lambda: nn.Sequential(nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 4))\n")
    with pytest.raises(ModelError, match=r"layer_norm.* cannot be imported"):
        train(options(tmp_path, data, module=f"{module}:build"))


@pytest.mark.parametrize(
    ("count", "label", "fact"), [(3, 2, "or are too few"), (60, 64, "labels reach 64, but a network tells 64 classes apart")]
)
def test_data_that_no_network_can_learn(tmp_path: Path, count: int, label: int, fact: str) -> None:
    samples, labels = bars(count, seed=0)
    labels[0] = label
    np.savez(tmp_path / "own.npz", samples=samples, labels=labels)
    with pytest.raises(InputError, match=fact):
        load(options(tmp_path, tmp_path / "own.npz"), plugins())


_STOPPED = """
import os, signal, sys
from pathlib import Path
from ebpfnn.cli import main
from ebpfnn.training import loop
place, accuracy = Path(__file__).parent, loop.accuracy

def noted(model, *given):
    rank = os.environ["RANK"]
    steps = [float(parameter) for name, parameter in model.named_parameters() if name.endswith("rounded.step")]
    with open(place / f"steps-{rank}", "a") as file:
        print(steps, file=file)
    if rank == "1" and len((place / "steps-1").read_text().splitlines()) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
    return accuracy(model, *given)

loop.accuracy = noted
main()
"""


def test_several_processes_train_one_network_and_stop_together(tmp_path: Path, data: Path) -> None:
    import torch  # noqa: F401 # here, so that whoever left it out is not told of a failure

    output, driver = tmp_path / "out.safetensors", tmp_path / "driver.py"
    driver.write_text(_STOPPED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    given = ["train", "--data", data, "--arch", "64-12-4", "--epochs", "8", "--batch-size", "32", "--threads", "1", "--aware"]
    given += ["--output", output]
    stopped = subprocess.run([*command, driver, *map(str, given)], capture_output=True, text=True, timeout=300)
    assert stopped.returncode
    assert "ebpfnn: interrupted after 2 of 8 epochs; run the same command with --resume to continue" in stopped.stderr
    first, second = ((tmp_path / f"steps-{rank}").read_text() for rank in (0, 1))
    assert first == second
    subprocess.run([*command, "-m", "ebpfnn", *map(str, given), "--resume"], check=True, capture_output=True, timeout=300)
    network = modelfile.load(output)
    assert share_right(network) > 0.9
    assert "interrupted" not in network.card


def test_data_in_other_forms(tmp_path: Path, data: Path) -> None:
    samples, labels = bars(600, seed=0)
    np.savez(tmp_path / "own.npz", samples=samples.reshape(600, 4, 16), labels=labels)
    network = modelfile.load(train(options(tmp_path, tmp_path / "own.npz")))
    assert network.input_shape == (4, 16)
    found = load(options(tmp_path, tmp_path / "own.npz"), plugins())
    assert [len(part.samples) for part in (found.training, found.held_out, found.test)] == [459, 41, 100]
    everything = np.concatenate([part.samples for part in (found.training, found.held_out, found.test)])
    assert sorted(map(bytes, everything)) == sorted(map(bytes, samples.reshape(600, 4, 16)))


def test_augmentation_moves_little_and_keeps_the_shape() -> None:
    import torch

    from ebpfnn.training.augment import distort

    images = torch.zeros(50, 1, 28, 28)
    images[:, :, 12:16, 12:16] = 1.0
    distorted = distort(images, Distortion(), torch.Generator().manual_seed(1))
    assert distorted.shape == images.shape
    assert len(torch.unique(distorted, dim=0)) == 50
    assert distorted[:, :, :8].max() == distorted[:, :, 20:].max() == 0
    assert (distorted.sum(dim=(1, 2, 3)) - 16).abs().max() < 4


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("63-12-4", "a sample has 64 values .8x8.; begin with 64"),
        ("64-12-3", "gives .3. scores, but there are 4 classes; end it with 4"),
        ("64-12-5", "gives .5. scores, but there are 4 classes; end it with 4"),
        ("conv4x9-4", "has a window larger than its input"),
        ("conv4x3g3-4", "does not split in 3 groups"),
        ("64-banana", "'banana' is not a layer"),
    ],
)
def test_architectures_that_do_not_fit_the_data(tmp_path: Path, data: Path, text: str, fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        train(options(tmp_path, data, architecture=text))
    assert not (tmp_path / "out.safetensors").exists()


def test_a_device_that_is_not_here(tmp_path: Path, data: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(NotSupported, match="device 'none' cannot be used here; give cpu, or auto"):
        train(options(tmp_path, data, device="none"))


def test_a_rate_that_explodes_leaves_the_former_file(tmp_path: Path, data: Path) -> None:
    former = train(options(tmp_path, data, epochs=1)).read_bytes()
    with pytest.raises(ModelError, match="NaN"):
        train(options(tmp_path, data, optimizer="sgd", learning_rate=1e30, epochs=1))
    assert (tmp_path / "out.safetensors").read_bytes() == former


def test_data_is_split_the_same_whatever_the_seed(tmp_path: Path, data: Path) -> None:
    first, other = (load(options(tmp_path, data, seed=seed), plugins()) for seed in (1, 2))
    assert (first.held_out.samples == other.held_out.samples).all()
    assert (len(first.training.samples), len(first.held_out.samples), len(first.test.samples)) == (550, 50, 100)


def test_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("ebpfnn.training.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("ebpfnn.training.run", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(NotSupported, match=r"torch is not installed; pip install 'ebpfnn\[train\]'"):
        train(Options(tmp_path / "x"))


def test_a_download_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    def refuse(root: str, train: bool, download: bool) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(datasets, "MNIST", refuse)
    with pytest.raises(InputError, match=r"MNIST: cannot be downloaded to .*; give a directory that has it with --data"):
        load(Options(tmp_path / "x"), plugins())


def test_without_torchvision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(NotSupported, match="downloading needs torchvision"):
        load(Options(tmp_path / "x"), plugins())


def test_the_verb(tmp_path: Path, data: Path) -> None:
    output = tmp_path / "verb.safetensors"
    arguments = ["--arch", "64-4", "--epochs", "1", "--data", str(data), "--output", str(output), "--name", "verb"]
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert f"{output}\n" in result.output
    assert modelfile.load(output).name == "verb"


def test_data_names_itself(tmp_path: Path) -> None:
    own = Options(tmp_path / "x", data=tmp_path / "my.own.npz")
    assert (own.dataset, own.name) == ("my.own", "my.own")
    assert (Options(tmp_path / "x").dataset, Options(tmp_path / "x").name) == ("MNIST", "mnist")
    known = Options(tmp_path / "x", data=tmp_path, dataset="FashionMNIST")
    assert (known.dataset, known.name) == ("FashionMNIST", "fashionmnist")


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--cache", "kept"], "kept: there are no views to keep; give --views too, or leave --cache out"),
        (["--name", "a\x1b[0m"], "cannot be printed; give another --name"),
        (["--arch", "64-4", "--module", "mine.py:build"], "--arch and --module: the module is the architecture; leave one out"),
    ],
)
def test_options_that_contradict_each_other(arguments: list[str], fact: str) -> None:
    from ebpfnn.cli import main

    result = CliRunner().invoke(main, ["train", *arguments])
    assert result.exit_code in (1, 2)
    assert fact in result.output


@pytest.mark.parametrize(("shape", "told"), [((64,), False), ((8, 8), True)])
def test_the_card_tells_of_distortion_where_samples_were_distorted(shape: tuple[int, ...], told: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 4
    np.savez(tmp_path / "own.npz", samples=random.integers(0, 256, (60, *shape)).astype(np.uint8), labels=labels)
    given = Options(tmp_path / "own.safetensors", data=tmp_path / "own.npz", architecture="64-4", epochs=1)
    assert ("rotated by" in modelfile.load(train(given)).card["recipe"]) is told
