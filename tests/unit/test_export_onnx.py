"""The exported ONNX model, run by onnxruntime itself, beside our own integers."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from mnist import directory, images_labels
from networks import around_own, conv2d, dense, input_format, network, own_format, random_network, samples, small_weights

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import ModelError, NotSupported
from ebpfnn.exporters.onnx import build, export
from ebpfnn.exporters.onnx_check import run
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import MaxPool, Shape, Window

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")

HALF_A_STEP, FLOAT32 = 0.5, 2e-6
"""Our scores are rounded and onnxruntime's logits are not; and what its arithmetic may add, as a share of the largest."""


def expect_equal(made: QuantizedNetwork, path: Path, given: np.ndarray) -> None:
    """Logits are our scores before they are rounded: no value between layers may differ by a single step."""
    export(made, path)
    ours = reference.scores(made, given).astype(np.float64)
    theirs = run(path, given).astype(np.float64) / made.score_scale
    assert theirs.shape == ours.shape
    assert np.abs(ours - theirs).max() <= HALF_A_STEP + FLOAT32 * np.abs(ours).max()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("architecture", "shape", "bits"),
    [
        ("9-6", (3, 3), 8),
        ("30-8-8-4", (30,), 8),
        ("conv4x3s2p1-dw3-pool2-5", (1, 12, 12), 8),
        ("conv4x3p1-pool3s2p1-conv6x3g2-5", (2, 11, 13), 8),
        ("conv8x3x5p1-gap", (3, 8, 8), 8),
        ("conv4x3-conv6x3p1g2-5", (7, 6), 8),
        ("conv4x3-7", (12, 12), 4),
        ("144-20-5", (12, 12), 2),
        ("pool2-16-5", (12, 12), 1),
    ],
)
def test_random_networks(tmp_path: Path, architecture: str, shape: Shape, bits: int, seed: int) -> None:
    made = replace(random_network(architecture, seed, shape, bits=bits, packed=bits < 8), score_scale=0.003)
    expect_equal(made, tmp_path / "a.onnx", samples(shape, seed))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_thresholds_of_each_value(tmp_path: Path, bits: int, packed: bool) -> None:
    form = own_format(13, bits, 2, packed=packed)
    made = replace(small_weights((13, 6, 4), form, bits), score_scale=0.003)
    expect_equal(made, tmp_path / "a.onnx", np.concatenate([around_own(form), samples(13, 1)]))


@pytest.mark.parametrize("pad_value", [0, 3, 255])
def test_padding_of_another_value_and_of_each_side(tmp_path: Path, pad_value: int) -> None:
    window = Window((3, 2), (2, 1), (2, 0, 1, 1))
    random = np.random.default_rng(1)
    layers = [conv2d(random.integers(-9, 9, (2, 1, 3, 2)), [5, -5], window, pad_value=pad_value)]
    expect_equal(network(layers, input_format((1, 5, 4))), tmp_path / "a.onnx", samples((1, 5, 4), 2))


def test_padding_beside_a_zero_point(tmp_path: Path) -> None:
    shifted = conv2d([[[[1]]]], [-9], Window((1, 1)), low=-128, high=127, zero_point=-20)
    for pad_value in (-20, 0, 7):
        padded = conv2d(np.arange(9).reshape(1, 1, 3, 3), [1], Window((3, 3), (1, 1), (1, 1, 1, 1)), pad_value=pad_value)
        expect_equal(network([shifted, padded], input_format((4, 4))), tmp_path / "a.onnx", samples((4, 4), 7))


def test_padding_of_a_pool_is_below_any_value(tmp_path: Path) -> None:
    window = MaxPool(Window((3, 3), (2, 2), (1, 1, 1, 1)))
    negative = conv2d(-np.ones((1, 1, 1, 1)), [-1], Window((1, 1)), low=-128, high=127)
    pooled = network([negative, window, dense(np.eye(4), np.zeros(4))], input_format((4, 4)))
    expect_equal(pooled, tmp_path / "a.onnx", samples((4, 4), 3))


def test_slopes_that_differ_by_channel(tmp_path: Path) -> None:
    # Odd, so that no product lies half way between two steps, which are rounded otherwise there.
    positive = np.array([1073741789, 536870909, 1073741783, 0], np.int32)
    negative = np.array([268435399, 0, 1073741783, 0], np.int32)
    random = np.random.default_rng(4)
    by = {"positive": positive, "negative": negative, "shift": 36, "low": -128, "high": 127}
    first = dense(random.integers(-30, 30, (4, 9)), [100, -100, 0, 7], **by)
    last = dense(random.integers(-9, 9, (3, 4)), [1, 2, 3])
    expect_equal(network([first, last], input_format((9,))), tmp_path / "a.onnx", samples(9, 5))
    first_image = conv2d(random.integers(-30, 30, (4, 1, 2, 2)), [100, -100, 0, 7], Window((2, 2)), **by)
    last_image = dense(random.integers(-9, 9, (3, 16)), [1, 2, 3])
    expect_equal(network([first_image, last_image], input_format((3, 3))), tmp_path / "a.onnx", samples((3, 3), 5))


def test_scores_with_a_range_and_a_zero_point(tmp_path: Path) -> None:
    layer = dense(np.eye(3) * 100, [0, -9000, 10], low=-128, high=9000, zero_point=-5)
    expect_equal(network([layer]), tmp_path / "a.onnx", samples(3, 6))


def test_what_onnx_cannot_say() -> None:
    silent = dense([[1]], [0], positive=np.zeros(1, np.int32))
    with pytest.raises(ModelError, match="layer 0 has an output with a multiplier for negative sums alone"):
        build(network([silent]))
    shifted = dense(np.ones((255, 1)), np.zeros(255), low=0, high=7, zero_point=255)
    full = dense(np.full((2, 255), 127), np.full(2, 2**31 - 1 - 255 * 127 * 7))
    with pytest.raises(
        ModelError, match="layer 1 has a bias that exceeds int32 once the zero point of its input is subtracted"
    ):
        build(network([shifted, full]))


def test_all_of_mnist(tmp_path: Path) -> None:
    made = modelfile.load(modelfile.resolve("mnist"))
    images, _ = images_labels(all=True)
    export(made, tmp_path / "mnist.onnx")
    ours = reference.labels(made, images)
    same = int(np.count_nonzero(ours == run(tmp_path / "mnist.onnx", images).argmax(axis=1)))
    assert same >= 0.999 * len(images)
    assert len(images) == (10_000 if directory() else 512)


def test_what_the_model_says_of_itself(tmp_path: Path) -> None:
    made = replace(random_network("conv4x3-3", 1, (6, 5)), card={"data": "none"}, labels=("a", "b", "c"))
    export(made, tmp_path / "a.onnx")
    model = onnx.load(str(tmp_path / "a.onnx"))
    onnx.checker.check_model(model, full_check=True)
    assert {each.key: each.value for each in model.metadata_props} == {
        "data": "none",
        "name": "test",
        "labels": '["a", "b", "c"]',
    }
    (given,), (result,) = model.graph.input, model.graph.output
    assert (given.name, result.name) == ("pixels", "logits")
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [each.dim_value or each.dim_param for each in given.type.tensor_type.shape.dim] == ["n", 6, 5]
    assert [each.dim_value or each.dim_param for each in result.type.tensor_type.shape.dim] == ["n", 3]
    weights = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    assert weights["layer0.weights"].dtype == np.int8
    assert weights["layer0.weights"].tolist() == made.layers[0].weights.tolist()  # type: ignore[union-attr]
    assert weights["layer0.bias"].dtype == np.int32
    assert {each.version for each in model.opset_import} == {13}


def test_a_failed_export_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"former")

    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(ModelError, match=r"a.onnx: cannot be written \(No space left on device\)"):
        export(random_network((4, 3), 1), path)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NotSupported, match=rf"ONNX: {package} is not installed; pip install 'ebpfnn\[onnx\]'"):
        expect_equal(random_network((4, 3), 1), tmp_path / "a.onnx", samples(4, 1))


def test_the_command_line_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "a.onnx")
    done = CliRunner().invoke(main, ["export", "mnist", "--onnx", path, "--check", "bundled"])
    assert (done.exit_code, done.output) == (
        0,
        f"{path}\nonnxruntime gives the same label for 512 of the 512 bundled digits\n",
    )

    def bent(_path: Path, given: np.ndarray) -> np.ndarray:
        found = run(_path, given)
        found[[8, 300]] = np.eye(10)[[9, 9]] * 1e6
        return found

    monkeypatch.setattr("ebpfnn.exporters.onnx_check.run", bent)
    done = CliRunner().invoke(main, ["export", "mnist", "--onnx", path, "--check", "bundled"])
    images, _ = images_labels()
    ours = reference.labels(modelfile.load(modelfile.resolve("mnist")), images)
    assert 9 not in ours[[8, 300]]
    lines = [f"sample {index}: {ours[index]} here, 9 by onnxruntime" for index in (8, 300)]
    assert done.output.splitlines()[1:] == [*lines, "onnxruntime gives the same label for 510 of the 512 bundled digits"]
    assert done.exit_code == 1
