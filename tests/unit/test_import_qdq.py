"""ONNX files that are quantized already: our integers are onnxruntime's, within a step, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digitnets import BIAS, FILTERS, GIVEN, IMAGES, LABELS, averaging, convolutional, features, product, quantized, readout
from onnxes import hand_made, node, run, session

from ebpfnn import importers
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import Conv2d, MaxPool


def steps(data: bytes) -> list[tuple[np.ndarray, int]]:
    """What each QuantizeLinear of values gives by onnxruntime, node by node as written, and its zero point."""
    import onnx

    made = onnx.load_model_from_string(data)
    held = {each.name: onnx.numpy_helper.to_array(each) for each in made.graph.initializer}
    made_by = {name: each for each in made.graph.node for name in each.output}
    wanted = [each for each in made.graph.node if each.op_type == "QuantizeLinear" and each.input[0] not in held]
    for each in wanted:
        point = held.get(each.input[2])
        if point is None:
            point = onnx.numpy_helper.to_array(made_by[each.input[2]].attribute[0].t)
        kind = onnx.helper.np_dtype_to_tensor_dtype(point.dtype)
        made.graph.output.append(onnx.helper.make_tensor_value_info(each.output[0], kind, None))
        each.doc_string = str(int(point))
    found = session(made.SerializeToString(), plain=True).run([each.output[0] for each in wanted], {"x": GIVEN})
    return [(array.astype(np.int64), int(each.doc_string)) for array, each in zip(found, wanted, strict=True)]


def expect_the_same_steps(network: QuantizedNetwork, data: bytes, *, each_alone: bool = False) -> None:
    """Each layer gives one of the file's quantized values, in their order, within a step; and none of theirs is left.

    What our layers make of it all the way, unless ``each_alone``: then each is given what onnxruntime gave it.
    """
    theirs = [array - point for array, point in steps(data)]
    values = IMAGES.astype(np.int64)
    for layer in network.layers:
        values = reference.forward(layer, values)
        if isinstance(layer, MaxPool):
            continue
        ours = values - layer.requantization.zero_point
        met = next(array for array in theirs if array.size == ours.size and np.abs(array.reshape(ours.shape) - ours).max() <= 1)
        while any(array is met for array in theirs):
            del theirs[0]
        while theirs and np.array_equal(theirs[0].reshape(-1), met.reshape(-1)):  # flattened, and quantized once more
            del theirs[0]
        if each_alone:
            values = met.reshape(ours.shape) + layer.requantization.zero_point
    assert len(theirs) == 0


def imported(tmp_path: Path, data: bytes, options: ImportOptions | None = None) -> QuantizedNetwork:
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load(tmp_path / "net.onnx", options)
    assert isinstance(network, QuantizedNetwork)
    return network


def agreement(network: QuantizedNetwork, data: bytes, given: np.ndarray = GIVEN) -> float:
    """The share of digits to which onnxruntime, with all its optimizations, gives the same label."""
    return float((run(data, given).argmax(axis=1) == reference.labels(network, IMAGES)).mean())


KINDS = {
    "signed": {},
    "unsigned": {"activation_type": "QUInt8"},
    "per channel": {"per_channel": True},
    "unsigned weights": {"activation_type": "QUInt8", "weight_type": "QUInt8", "extra_options": {"WeightSymmetric": True}},
    "symmetric": {"extra_options": {"ActivationSymmetric": True}},
}


def options(kind: str) -> dict[str, Any]:
    from onnxruntime.quantization import QuantType

    return {name: QuantType[value] if name.endswith("_type") else value for name, value in KINDS[kind].items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_convolutional_network(kind: str, tmp_path: Path) -> None:
    data = quantized(convolutional(), tmp_path, **options(kind))
    network = imported(tmp_path, data)
    assert agreement(network, data) >= 0.999
    assert (reference.labels(network, IMAGES) == LABELS).mean() > 0.95, "the network has learned nothing, so shows nothing"
    expect_the_same_steps(network, data)
    if kind != "symmetric":  # with which a ReLU cannot be part of what a QuantizeLinear cuts off
        assert network.architecture == "conv8x3p1-pool2-10"


@pytest.mark.parametrize("kind", ["signed", "unsigned", "per channel"])
def test_a_leaky_relu_that_is_rounded_for_itself_is_a_layer_for_itself(kind: str, tmp_path: Path) -> None:
    data = quantized(convolutional("LeakyRelu", alpha=0.125), tmp_path, **options(kind))
    network = imported(tmp_path, data)
    assert agreement(network, data) >= 0.999
    expect_the_same_steps(network, data)
    assert network.architecture == "conv8x3p1-dw1-pool2-10"
    assert "(LeakyRelu) rounds values that were rounded before, so it becomes a separate layer" in network.card["import"]


@pytest.mark.parametrize("kind", KINDS)
def test_averages_and_depthwise_convolutions(kind: str, tmp_path: Path) -> None:
    data = quantized(averaging(), tmp_path, **options(kind))
    network = imported(tmp_path, data)
    # A sum of four, by four, often ends in a half, which we round upward and onnxruntime to even: a step, of which the next
    # layer makes more.
    expect_the_same_steps(network, data, each_alone=True)
    apart = np.abs(reference.scores(network, IMAGES) * network.score_scale - run(data, GIVEN)) / network.score_scale
    assert apart.max() <= 5
    assert apart.mean() < 0.5
    padded = [each for each in network.layers if isinstance(each, Conv2d) and any(each.window.padding)]
    before = [0, *(each.requantization.zero_point for each in network.layers if isinstance(each, Conv2d))]
    assert [each.pad_value for each in padded] == [before[network.layers.index(each)] for each in padded]


@pytest.mark.parametrize("kind", ["signed", "unsigned", "per channel"])
def test_a_product_and_a_bias_that_are_rounded_apart(kind: str, tmp_path: Path) -> None:
    data = quantized(product(), tmp_path, **options(kind))
    network = imported(tmp_path, data)
    assert agreement(network, data) >= 0.999
    expect_the_same_steps(network, data)


def test_zero_points_go_into_biases_and_padding(tmp_path: Path) -> None:
    data = hand_made()
    network = imported(tmp_path, data)
    first, last = network.layers
    assert isinstance(first, Conv2d)
    assert (first.pad_value, first.requantization.zero_point, first.requantization.low) == (0, 100, 0)
    assert not isinstance(last, MaxPool)
    assert last.bias.tolist() == (-100 * last.weights.astype(np.int64).sum(axis=1)).tolist()
    assert (last.requantization.low, last.requantization.high, last.requantization.zero_point) == (-30, 225, 0)
    expect_the_same_steps(network, data)
    found = reference.scores(network, IMAGES) * network.score_scale
    assert np.abs(found - run(data, GIVEN, plain=True)).max() <= 1.01 * network.score_scale


@pytest.mark.parametrize(("scale", "point"), [(0.0127, 33), (0.02, 7), (1 / 255, 3), (0.0078, 200)])
def test_an_input_of_another_scale_is_quantized_by_a_layer_of_its_own(scale: float, point: int, tmp_path: Path) -> None:
    mean, std = 0.1307, 0.3081
    data = hand_made(scale, point)
    network = imported(tmp_path, data, ImportOptions(mean=(mean,), std=(std,)))
    given = ((GIVEN.astype(np.float64) - mean) / std).astype(np.float32)
    exact = np.clip(np.rint(given / np.float32(scale)) + point, 0, 255)
    if network.architecture.startswith("conv1x1"):
        ours = reference.forward(network.layers[0], IMAGES.astype(np.int64))
        assert np.abs(ours - exact).max() <= 1
        assert (ours != exact).mean() < 0.005
    else:
        assert (exact == IMAGES[:, None]).all()
    # One step of the input more or less, where the two round a half apart, moves a sum by what a weight is worth.
    found = reference.scores(network, IMAGES) * network.score_scale
    assert np.abs(found - run(data, given, plain=True)).max() <= 2.01 * network.score_scale


def test_a_normalization_in_the_graph_is_part_of_the_quantization_of_the_input(tmp_path: Path) -> None:
    before = [node("Sub", "x", "mean"), node("Div", "Sub", "std")]
    within = imported(tmp_path, hand_made(0.02, 7, before=before, mean=np.float32(0.1307), std=np.float32(0.3081)))
    outside = imported(tmp_path, hand_made(0.02, 7), ImportOptions(mean=(0.1307,), std=(0.3081,)))
    assert reference.scores(within, IMAGES).tolist() == reference.scores(outside, IMAGES).tolist()


def test_a_graph_that_takes_bytes(tmp_path: Path) -> None:
    import onnx

    made = onnx.load_model_from_string(hand_made(1 / 255, 0))
    made.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    del made.graph.node[0]
    made.graph.node[0].input[0] = "x"
    data = made.SerializeToString()
    network = imported(tmp_path, data)
    assert network.architecture.startswith("conv4x3p1-")
    found = reference.scores(network, IMAGES) * network.score_scale
    assert np.abs(found - run(data, IMAGES[:, None], plain=True)).max() <= 1.01 * network.score_scale


def test_scores_that_nothing_quantizes_are_not_rounded_to_bytes(tmp_path: Path) -> None:
    import onnx

    made = onnx.load_model_from_string(hand_made())
    del made.graph.node[-2:]
    made.graph.output[0].name = "Gemm"
    data = made.SerializeToString()
    network = imported(tmp_path, data)
    found, expected = reference.scores(network, IMAGES) * network.score_scale, run(data, GIVEN, plain=True)
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    assert np.abs(found - expected).mean() < 1e-3 * np.abs(expected).max()


def test_weights_of_128_below_0_are_told(tmp_path: Path) -> None:
    weights = np.full((4, 1, 3, 3), -128, np.int8)
    network = imported(tmp_path, hand_made(weights=weights))
    assert "36 weights of -128 in node 4 of 11, 'the Conv" in network.card["import"]
    assert network.card["import"].endswith("(Conv) became -127")
    first = network.layers[0]
    assert not isinstance(first, MaxPool)
    assert set(first.weights.reshape(-1).tolist()) == {-127}


def test_what_pytorch_exports_of_fake_quantization(tmp_path: Path) -> None:
    """Weights in floats that a QuantizeLinear rounds, and integers that a Clip narrows to 0..127."""
    import torch
    from torch import nn

    class Aware(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            weights, bias = readout(features(0))
            self.filters, self.bias = nn.Parameter(torch.tensor(FILTERS)), nn.Parameter(torch.tensor(BIAS))
            self.dense, self.last = nn.Parameter(torch.tensor(weights)), nn.Parameter(torch.tensor(bias))
            for name, array in (("scale", FILTERS.reshape(8, -1)), ("last_scale", weights)):
                self.register_buffer(name, torch.tensor(np.abs(array).max(axis=1) / 127))

        def rounded(self, weights: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
            points = torch.zeros(len(scale), dtype=torch.int32)
            return torch.fake_quantize_per_channel_affine(weights, scale, points, 0, -128, 127)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = torch.fake_quantize_per_tensor_affine(x, 1 / 255, 0, 0, 255)
            x = nn.functional.conv2d(x, self.rounded(self.filters, self.scale), self.bias, padding=1)
            x = nn.functional.max_pool2d(torch.relu(x), 2)
            x = torch.fake_quantize_per_tensor_affine(x, 0.02, 0, 0, 127)
            x = nn.functional.linear(x.flatten(1), self.rounded(self.dense, self.last_scale), self.last)
            return torch.fake_quantize_per_tensor_affine(x, 0.02, 0, -128, 127)

    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Aware(), (torch.zeros(2, 1, 28, 28),), path, dynamo=False, dynamic_axes={"x": {0: "n"}},
                          input_names=["x"], opset_version=17)  # fmt: skip
    data = path.read_bytes()
    network = imported(tmp_path, data)
    first = network.layers[0]
    assert not isinstance(first, MaxPool)
    assert (first.requantization.low, first.requantization.high) == (0, 127)
    assert agreement(network, data) >= 0.999


def test_quantize_file_measures_density_and_keeps_the_integers(tmp_path: Path) -> None:
    network = imported(tmp_path, hand_made())
    made = importers.quantize_file(tmp_path / "net.onnx", IMAGES)
    assert reference.scores(made, IMAGES).tolist() == reference.scores(network, IMAGES).tolist()
    assert made.density[0] == pytest.approx(np.count_nonzero(IMAGES) / IMAGES.size)
