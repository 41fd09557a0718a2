"""Networks of one output: the logit of the second of two classes, or a value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxes import chain, hand_made, model, run

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize

RANDOM = np.random.default_rng(2)
SAMPLES = RANDOM.integers(0, 256, (400, 12)).astype(np.uint8)
WEIGHTS = {
    "w": RANDOM.normal(size=(8, 12)).astype(np.float32),
    "v": RANDOM.normal(size=(1, 8)).astype(np.float32),
    "c": RANDOM.normal(size=(1, 1, 3, 4)).astype(np.float32),
    "b": np.zeros(8, np.float32),
    "image": np.array([-1, 1, 3, 4], np.int64),
    "flat": np.array([-1, 1], np.int64),
}
LAYERS = (("Gemm", ["w", "b"], {"transB": 1}), ("Relu", [], {}), ("Gemm", ["v"], {"transB": 1}))
SIGMOID = ("Sigmoid", [], {})


def written(path: Path, *steps: tuple[object, ...]) -> tuple[Path, np.ndarray]:
    """A file of ``steps`` whose output is 0 or 0.5 in the middle of the samples, and what onnxruntime makes of these."""
    plain = [step for step in steps if step[0] != "Sigmoid"]
    middle = np.median(run(model(chain(*plain), WEIGHTS, ("n", 12)), (SAMPLES / 255).astype(np.float32)))
    sizes = {**WEIGHTS, "middle": np.float32(middle)}
    data = model(chain(*plain, ("Sub", ["middle"], {}), *steps[len(plain) :]), sizes, ("n", 12))
    path.write_bytes(data)
    return path, run(data, (SAMPLES / 255).astype(np.float32)).reshape(-1)


@pytest.mark.parametrize(
    "steps",
    [
        (*LAYERS, SIGMOID),
        (("Reshape", ["image"], {}), ("Conv", ["c"], {}), ("Reshape", ["flat"], {}), SIGMOID),
    ],
    ids=["dense", "convolution"],
)
def test_a_sigmoid_stands_for_two_classes(tmp_path: Path, steps: tuple[tuple[object, ...], ...]) -> None:
    path, wanted = written(tmp_path / "net.onnx", *steps)
    network = importers.load_float(path)
    assert (network.labels, network.result) == (("0", "1"), "label")
    samples = SAMPLES.reshape(-1, *network.input.shape)
    scores = logits(network, samples)
    assert not scores[:, 0].any()
    np.testing.assert_allclose(1 / (1 + np.exp(-scores[:, 1])), wanted, rtol=1e-4)
    found = reference.labels(quantize(network, samples), samples)
    assert set(found) == {0, 1}
    clear = np.abs(scores[:, 1]) > 0.05 * scores[:, 1].std()
    np.testing.assert_array_equal(found[clear], (wanted > 0.5)[clear])
    assert clear.mean() > 0.9


def test_without_a_sigmoid_it_is_a_value_unless_there_are_two_labels(tmp_path: Path) -> None:
    path, wanted = written(tmp_path / "net.onnx", *LAYERS)
    value = importers.load_float(path)
    assert (value.labels, value.result) == (("value",), "value")
    integers = quantize(value, SAMPLES)
    assert (integers.labels, integers.result) == (("value",), "value")
    errors = reference.scores(integers, SAMPLES)[:, 0] * integers.score_scale - wanted
    assert np.abs(errors).max() < 0.05 * wanted.std()
    named = importers.load_float(path, ImportOptions(labels=("kelvin",)))
    assert (named.labels, named.result) == (("kelvin",), "value")
    two = importers.load_float(path, ImportOptions(labels=("no", "yes")))
    assert (two.labels, two.result) == (("no", "yes"), "label")
    np.testing.assert_array_equal(logits(two, SAMPLES).argmax(axis=1), wanted > 0)
    with pytest.raises(ModelError, match=r"net.onnx: has 1 outputs but there are 3 labels; give one label an output"):
        importers.load(path, ImportOptions(labels=("a", "b", "c")))


def test_the_float_file_keeps_that_it_is_a_value(tmp_path: Path) -> None:
    path, _ = written(tmp_path / "net.onnx", *LAYERS)
    floatfile.save(importers.load_float(path), tmp_path / "net.float.safetensors")
    assert floatfile.load(tmp_path / "net.float.safetensors").result == "value"


def test_several_sigmoids_keep_the_order_of_scores(tmp_path: Path) -> None:
    data = model(chain(("Gemm", ["w", "b"], {"transB": 1}), SIGMOID), WEIGHTS, ("n", 12))
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    assert len(network.labels) == 8
    np.testing.assert_array_equal(
        logits(network, SAMPLES).argmax(axis=1), run(data, (SAMPLES / 255).astype(np.float32)).argmax(axis=1)
    )


def test_one_output_in_integers(tmp_path: Path) -> None:
    """What stands for 0 in the file, 30, stands for the first class."""
    random = np.random.default_rng(3)
    last = {"w2": random.integers(-127, 128, (1, 4 * 28 * 28)).astype(np.int8)}
    data = hand_made(**last)
    (tmp_path / "net.onnx").write_bytes(data)
    images = random.integers(0, 256, (300, 28, 28)).astype(np.uint8) >> random.integers(0, 8, (300, 1, 1)).astype(np.uint8)
    wanted = run(data, images[:, None].astype(np.float32) / 255).reshape(-1)
    network = importers.load(tmp_path / "net.onnx", ImportOptions(labels=("low", "high")))
    assert isinstance(network, QuantizedNetwork)
    scores = reference.scores(network, images)
    np.testing.assert_array_equal(scores[:, 0], scores[0, 0])
    np.testing.assert_allclose((scores[:, 1] - scores[:, 0]) * network.score_scale, wanted, atol=0.41)
    assert {0, 1} == set(reference.labels(network, images)) == set(map(int, wanted > 0))
    value = importers.load(tmp_path / "net.onnx")
    assert isinstance(value, QuantizedNetwork)
    assert value.result == "value"
    np.testing.assert_allclose(reference.scores(value, images)[:, 0] * value.score_scale, wanted, atol=0.41)


def test_a_module_that_ends_with_a_sigmoid() -> None:
    torch = pytest.importorskip("torch")
    from ebpfnn.network.inputformat import InputFormat

    torch.manual_seed(1)
    module = torch.nn.Sequential(torch.nn.Linear(12, 1), torch.nn.Sigmoid()).eval()
    network = importers.from_module(module, InputFormat((12,)), "net", ("no", "yes"))
    with torch.no_grad():
        wanted = module(torch.from_numpy(SAMPLES / 255).float()).numpy().reshape(-1)
    scores = logits(network, SAMPLES)
    np.testing.assert_allclose(1 / (1 + np.exp(scores[:, 0] - scores[:, 1])), wanted, rtol=1e-4)


def test_a_value_that_ends_with_a_relu_has_no_second_class(tmp_path: Path) -> None:
    data = model(chain(("Gemm", ["v8"], {"transB": 1}), ("Relu", [], {}), SIGMOID), {"v8": WEIGHTS["w"][:1]}, ("n", 12))
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="stands for two classes, but is no sum of its last layer; export the logit"):
        importers.load(tmp_path / "net.onnx")


def test_a_sigmoid_between_layers_is_an_activation(tmp_path: Path) -> None:
    sizes = {**WEIGHTS, "u": RANDOM.normal(size=(1, 8)).astype(np.float32)}
    steps = (("Gemm", ["w", "b"], {"transB": 1}), SIGMOID, ("Gemm", ["u"], {"transB": 1}), SIGMOID)
    data = model(chain(*steps), sizes, ("n", 12))
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    assert [each.name for each in network.layers[0].activation.functions] == ["sigmoid"]
    assert (network.labels, network.result) == (("0", "1"), "label")
    wanted = run(data, (SAMPLES / 255).astype(np.float32)).reshape(-1)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits(network, SAMPLES)[:, 1])), wanted, rtol=1e-4)


@pytest.mark.parametrize("end", [("Flatten", [], {}), ("Identity", [], {}), ("Reshape", ["flat"], {})], ids=lambda end: end[0])
def test_the_values_of_a_last_sigmoid_may_be_moved(tmp_path: Path, end: tuple[object, ...]) -> None:
    data = model(chain(*LAYERS, SIGMOID, end), WEIGHTS, ("n", 12))
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    wanted = run(data, (SAMPLES / 255).astype(np.float32)).reshape(-1)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits(network, SAMPLES)[:, 1])), wanted, rtol=1e-4)
    assert (network.labels, len(network.layers)) == (("0", "1"), 2)


def test_a_last_sigmoid_or_softmax_ends_the_layers(tmp_path: Path) -> None:
    for kind, after in (("Sigmoid", "Transpose"), ("Softmax", "Relu")):
        data = model(chain(*LAYERS, (kind, [], {}), (after, [], {})), WEIGHTS, ("n", 12))
        (tmp_path / "net.onnx").write_bytes(data)
        with pytest.raises(ModelError, match=rf"\({kind}\), is followed by more; a {kind.lower()} must be the last"):
            importers.load(tmp_path / "net.onnx")
