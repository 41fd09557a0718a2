"""``ebpfnn quantize``: files in, a network and a report out."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner, Result
from onnxes import model, node

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.cli.quantize_report import Calibration, agreement, clipped_shares
from ebpfnn.datasets import mnist
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Dense, MaxPool, Requantization, Window
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.float_reference import logits

ROOT = Path(__file__).parents[2]
IMAGES, LABELS = mnist.read_test()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def quantize(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["quantize", *arguments])


def digits() -> dict[str, np.ndarray]:
    """The weights of a network of one layer that knows digits, by least squares."""
    extended = np.concatenate([IMAGES.reshape(512, -1) / 255, np.ones((512, 1))], axis=1)
    solved = np.linalg.solve(extended.T @ extended + 5 * np.eye(785), extended.T @ (np.eye(10)[LABELS] * 2 - 1))
    return {"last.weight": np.ascontiguousarray(solved[:-1].T, np.float32), "last.bias": solved[-1].astype(np.float32)}


def write(path: str, **more: np.ndarray) -> None:
    Path(path).write_bytes(safetensors.numpy.save({**digits(), **more}))


ARCHITECTURE = ("--arch", "784-10", "--input-shape", "28x28")


def test_the_report_and_the_files() -> None:
    write("digits.safetensors")
    done = quantize("digits.safetensors", *ARCHITECTURE, "--output", "out.safetensors", "--name", "mine")
    assert done.exit_code == 0, done.output
    network, floats = modelfile.load("out.safetensors"), floatfile.load("out.float.safetensors")
    same = int((reference.labels(network, IMAGES) == logits(floats, IMAGES).argmax(axis=1)).sum())
    right, bound = (reference.labels(network, IMAGES) == LABELS).mean(), 0
    layer = network.layers[0]
    assert isinstance(layer, Dense)
    bound = int((np.abs(layer.weights.astype(int)).sum(axis=1) * 255 + np.abs(layer.bias)).max())
    lines = done.stdout[done.stdout.index("out.safetensors") :].splitlines()
    assert lines[0] == f"out.safetensors: mine, 784-10, {Path('out.safetensors').stat().st_size:,} bytes"
    assert "  calibration: the 512 bundled digits" in lines
    assert "  source: safetensors, state dict" in lines
    assert any(line.startswith("dense") and f" {bound:,} " in line and " 0.000% " in line for line in lines)
    assert f"  floats and integers give the same label for {same} of 512 samples" in lines
    assert any(line.startswith("  right: floats ") and line.endswith(f"integers {right:.2%}") for line in lines)
    assert done.stderr == "ebpfnn: no --calibration given; using the bundled digits\n"
    assert right > 0.95


def test_the_output_is_named_as_the_network() -> None:
    write("digits.safetensors")
    assert quantize("digits.safetensors", *ARCHITECTURE, "--name", "mine").exit_code == 0
    assert modelfile.load("mine.safetensors").name == "mine"
    refused = quantize("digits.safetensors", *ARCHITECTURE)
    assert refused.exit_code == 2
    assert "digits.safetensors' is also the input file; give another --output" in refused.output
    assert len(safetensors.numpy.load(Path("digits.safetensors").read_bytes())) == 2


def test_inputs_weights_and_outputs_of_fewer_bits() -> None:
    write("digits.safetensors")
    levels = (
        "--bits",
        "2",
        "--threshold",
        "64",
        "--threshold",
        "128",
        "--threshold",
        "192",
        "--packed",
        "--bit-order",
        "little",
    )
    done = quantize("digits.safetensors", *ARCHITECTURE, *levels, "--weight-bits", "4", "--output", "o.safetensors")
    assert done.exit_code == 0, done.output
    network = modelfile.load("o.safetensors")
    assert network.input == InputFormat((28, 28), 2, (64, 128, 192), True, "little")
    assert isinstance(network.layers[0], Dense)
    assert np.abs(network.layers[0].weights).max() == 7
    wrong = quantize("digits.safetensors", *ARCHITECTURE, "--bits", "2", "--threshold", "9", "--output", "p.safetensors")
    assert wrong.exit_code == 1
    assert "2 bits take 3 thresholds, not 1" in wrong.output


def samples_file(labels: np.ndarray, count: int = 30, shape: tuple[int, ...] = (28, 28), name: str = "samples.npz") -> str:
    np.savez(name, samples=np.random.default_rng(0).integers(0, 256, (count, *shape)).astype(np.uint8), labels=labels)
    return name


def test_samples_and_labels_of_ones_own() -> None:
    write("digits.safetensors")
    names = "a,b,c,d,e,f,g,h,i,j"
    given = ("--calibration", samples_file(np.arange(30) % 10), "--labels", names, "--output", "o.safetensors")
    done = quantize("digits.safetensors", *ARCHITECTURE, *given)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    network = modelfile.load("o.safetensors")
    assert network.labels == tuple(names.split(","))
    assert network.card["calibration"] == "30 samples of samples.npz"
    assert 0.9 < network.density[0] <= 1


def test_of_many_samples_2000_are_used() -> None:
    held = {"a.weight": np.ones((2, 4), np.float32)}
    Path("net.safetensors").write_bytes(safetensors.numpy.save(held))
    path = samples_file(np.zeros(5000, int), 5000, (4,))
    done = quantize(
        "net.safetensors", "--arch", "4-2", "--input-shape", "4", "--calibration", path, "--output", "o.safetensors"
    )
    assert "give the same label for 2,000 of 2,000 samples" in done.output


def test_folders_of_images_name_the_classes() -> None:
    from PIL import Image

    for number, name in enumerate(["cat", "dog"]):
        (Path("images") / name).mkdir(parents=True)
        for image in range(3):
            Image.fromarray(np.full((4, 4), 40 * image + number, np.uint8)).save(Path("images") / name / f"{image}.png")
    Path("net.safetensors").write_bytes(safetensors.numpy.save({"a.weight": np.ones((2, 16), np.float32)}))
    given = ("--arch", "16-2", "--input-shape", "4x4", "--calibration", "images", "--output", "o.safetensors")
    done = quantize("net.safetensors", *given)
    assert done.exit_code == 0, done.output
    assert modelfile.load("o.safetensors").labels == ("cat", "dog")


def qdq() -> bytes:
    held = {
        "s": np.float32(1 / 255),
        "z": np.uint8(0),
        "w": np.random.default_rng(0).integers(-127, 128, (10, 784)).astype(np.int8),
        "ws": np.float32(0.01),
    }
    nodes = [
        node("Flatten", "x"),
        node("QuantizeLinear", "Flatten", "s", "z", out="q"),
        node("DequantizeLinear", "q", "s", "z", out="d"),
        node("DequantizeLinear", "w", "ws", out="wd"),
        node("Gemm", "d", "wd", transB=1),
    ]
    return model(nodes, held, ("n", 1, 28, 28))


def test_a_file_that_is_quantized_leaves_no_floats() -> None:
    write("digits.safetensors")
    assert quantize("digits.safetensors", *ARCHITECTURE, "--output", "o.safetensors").exit_code == 0
    assert Path("o.float.safetensors").exists()
    Path("net.onnx").write_bytes(qdq())
    done = quantize("net.onnx", "--output", "o.safetensors")
    assert done.exit_code == 0, done.output
    assert "  the file is already quantized; there is no floating-point form to compare with" in done.stdout.splitlines()
    assert modelfile.load("o.safetensors").density[0] == pytest.approx(np.count_nonzero(IMAGES) / IMAGES.size)
    assert not Path("o.float.safetensors").exists(), "floats of another network"
    refused = quantize("net.onnx", "--weight-bits", "4", "--output", "p.safetensors")
    assert (refused.exit_code, "the file is quantized already; --hidden-bits" in refused.output) == (2, True)


def failing(kind: str) -> list[str]:
    """The arguments of a run that fails, of files that this makes."""
    write("digits.safetensors")
    write("nan.safetensors", **{"last.bias": np.full(10, np.nan, np.float32)})
    Path("four.safetensors").write_bytes(safetensors.numpy.save({"a.weight": np.ones((2, 4), np.float32)}))
    Path("cut.onnx").write_bytes(qdq()[:-3000])
    plain = ["digits.safetensors", *ARCHITECTURE]
    return {
        "NaN": ["nan.safetensors", *ARCHITECTURE],
        "labels outside the classes": [*plain, "--calibration", samples_file(np.arange(30))],
        "too few labels": [*plain, "--labels", "a,b"],
        "samples of another shape": [*plain, "--calibration", samples_file(np.zeros(30, int), shape=(9, 9), name="nine.npz")],
        "no samples of this shape": ["four.safetensors", "--arch", "4-2", "--input-shape", "4"],
        "a file cut short": ["cut.onnx"],
        "no file": ["none.onnx"],
        "no architecture": ["digits.safetensors"],
        "an architecture without a size": ["digits.safetensors", "--arch", "conv8x3-10"],
        "an architecture beside a graph": ["cut.onnx", "--arch", "784-99-10"],
        "no shape at all": ["digits.safetensors", "--arch", "784-10", "--input-shape", "28by28"],
        "a mean that is no number": [*plain, "--mean", "zero"],
        "a std of 0": [*plain, "--std", "0"],
    }[kind]


FAILURES = {
    "NaN": (1, "nan.safetensors: layer 1 of 784-10, 'last.weight', has weights or a bias that hold NaN or infinity; train"),
    "labels outside the classes": (1, "samples.npz: labels reach 29, but there are 10 classes; give data of classes 0..9"),
    "too few labels": (1, "digits.safetensors: has 10 outputs but there are 2 labels; give one label an output"),
    "samples of another shape": (1, "nine.npz: a sample of 9x9, but the network takes 28x28; give others"),
    "no samples of this shape": (2, "no --calibration: samples are 4, and the bundled digits are 28x28; give idx files"),
    "a file cut short": (1, "cut.onnx: not an ONNX file, or cut short; copy or export it again"),
    "no file": (1, "none.onnx: cannot be read (No such file or directory); give an ONNX file, a .pt2 archive, or a state dict"),
    "no architecture": (1, "has tensors but no graph; give --arch, such as 784-32-10, and --input-shape, such as 28x28"),
    "an architecture without a size": (1, "'conv8x3-10' tells no shape of a sample; give --input-shape too"),
    "an architecture beside a graph": (1, "has a graph, so its layers are known; leave out --arch"),
    "no shape at all": (2, "'28by28' is no shape; give one such as 28x28, 3x32x32 or 784"),
    "a mean that is no number": (2, "'zero' is neither a number nor a list"),
    "a std of 0": (1, "mean and std must be finite numbers, std not 0"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_failed_runs_leave_a_former_output_as_it_was(kind: str) -> None:
    status, fact = FAILURES[kind]
    for name in ("o.safetensors", "o.float.safetensors"):
        Path(name).write_bytes(b"as it was")
    done = quantize(*failing(kind), "--output", "o.safetensors")
    assert done.exit_code == status, done.output
    assert fact in done.stderr
    assert done.stderr.count("\n") <= 2
    assert Path("o.safetensors").read_bytes() == Path("o.float.safetensors").read_bytes() == b"as it was"
    assert not list(Path().glob(".*")), "something half-done"


def test_an_output_that_cannot_be_written_leaves_no_float_form() -> None:
    Path("taken").mkdir()
    done = quantize(*failing("a std of 0")[:-2], "--output", "taken")
    assert done.exit_code == 1
    assert "taken: cannot be written (Is a directory)" in done.stderr
    assert not list(Path().glob("taken.*"))


@pytest.mark.parametrize(("architecture", "shape"), [("784-6-10", (28, 28)), ("30-6-10", (30,))])
def test_a_flat_architecture_implies_the_shape(architecture: str, shape: tuple[int, ...]) -> None:
    import safetensors.numpy

    size, hidden, classes = map(int, architecture.split("-"))
    random = np.random.default_rng(0)
    drawn = {
        name: random.normal(0, 0.1, size_of).astype(np.float32)
        for name, size_of in {
            "0.weight": (hidden, size),
            "0.bias": (hidden,),
            "2.weight": (classes, hidden),
            "2.bias": (classes,),
        }.items()
    }
    safetensors.numpy.save_file(drawn, "flat.safetensors")
    samples_file(np.arange(30) % 10, shape=shape)
    done = quantize("flat.safetensors", "--arch", architecture, "--calibration", "samples.npz", "--output", "out.safetensors")
    assert done.exit_code == 0, done.stderr
    assert modelfile.load("out.safetensors").input_shape == shape


def test_what_is_cut_off_is_counted() -> None:
    """A layer that gives twice its input, up to 255: what is above 127 is cut, what a ReLU makes 0 is not."""
    two = np.full(2, 1 << 21, np.int32)
    by = Requantization(two, np.array([1 << 21, 0], np.int32), 20, 0, 255)
    doubled = Dense(np.array([[1], [-1]], np.int8), np.zeros(2, np.int32), by)
    last = Dense(np.ones((1, 2), np.int8), np.zeros(1, np.int32), Requantization(two[:1], two[:1], 20, -5, 1 << 20))
    network = QuantizedNetwork("n", InputFormat((1,)), ("a",), (doubled, last))
    assert clipped_shares(network, np.arange(256, dtype=np.uint8).reshape(256, 1)) == [128 / 512, 0.0]
    pooled = QuantizedNetwork("n", InputFormat((1, 1)), ("a",), (MaxPool(Window((1, 1))), doubled, last))
    assert clipped_shares(pooled, np.arange(256, dtype=np.uint8).reshape(256, 1, 1)) == [None, 128 / 512, 0.0]


@pytest.mark.parametrize("module", ["ebpfnn.importers", "ebpfnn.cli.quantize"])
def test_heavy_packages_wait_until_a_file_needs_them(module: str) -> None:
    program = f"import sys, {module}; print({{'torch', 'onnx', 'onnxruntime'}} & set(sys.modules))"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    environment = {**os.environ, "PYTHONPATH": paths}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_the_labels_that_differ_are_listed_the_worst_first() -> None:
    write("digits.safetensors")
    assert quantize("digits.safetensors", *ARCHITECTURE, "--output", "out.safetensors").exit_code == 0
    network, floats = modelfile.load("out.safetensors"), floatfile.load("out.float.safetensors")
    assert isinstance(network, QuantizedNetwork)
    (layer,) = network.layers
    assert isinstance(layer, Dense)
    spoiled = replace(network, layers=(replace(layer, bias=layer.bias + np.eye(10, dtype=np.int32)[3] * 100_000),))
    wanted, given = logits(floats, IMAGES), reference.labels(spoiled, IMAGES)
    labels = wanted.argmax(axis=1)
    leads = {
        sample: wanted[sample, labels[sample]] - wanted[sample, given[sample]] for sample in np.flatnonzero(labels != given)
    }
    assert len(leads) > 5
    told = list(agreement(spoiled, floats, Calibration(IMAGES, None, "digits")))
    assert told[0] == f"floats and integers give the same label for {512 - len(leads)} of 512 samples"
    worst = sorted(leads, key=lambda sample: -leads[sample])[:5]
    assert told[1:6] == [
        f"  sample {each}: floats '{labels[each]}', integers '{given[each]}'; a lead of {leads[each]:.3g} in floats"
        for each in worst
    ]
    assert told[6] == f"  and {len(leads) - 5} more, with smaller leads"
