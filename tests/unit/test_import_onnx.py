"""Float ONNX files against onnxruntime, operator by operator, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from onnxes import chain, model, node, run

from ebpfnn import importers
from ebpfnn.importers import ImportOptions
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import FloatConv2d, FloatDense, Network

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (20, 8, 8)).astype(np.uint8)


def floats(*shape: int, low: float = -1, high: float = 1) -> np.ndarray:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


WEIGHTS = {
    "w": floats(4, 1, 3, 3),
    "b": floats(4),
    "image": floats(4, 1, 8, 8),
    "deep": floats(6, 4, 3, 3),
    "wide": floats(6, 2, 3, 3),
    "dense": floats(3, 64),
    "matrix": floats(64, 3),
    "three": floats(3),
    "mean": floats(4),
    "variance": floats(4, low=0.5, high=2),
    "four": floats(4, 1, 1),
    "nine": floats(3, 144),
    "flat": np.array([0, -1], np.int64),
    "whole": np.array([-1, 64], np.int64),
    "axes": np.array([2, 3], np.int64),
    "back": np.array([-1, 1, 8, 8], np.int64),
    "zero": np.float32(0),
    "one": np.float32(0.3),
    "low": np.float32(-0.2),
    "mu": np.float32(0.1307),
    "sigma": np.float32(0.3081),
    "first": np.array([0], np.int64),
    "two_steps": np.array([2], np.int64),
    "ones": np.array([1, 1, 1, 1], np.int64),
    "nothing": np.zeros(8, np.int64),
    "point": floats(3, 1, 1, 1),
    "column": floats(64, 1),
    "last": np.array([-1], np.int64),
    "two": np.float32(2),
    "edges": np.array([0, 0, 1, 2, 0, 0, 0, 1], np.int64),
    "third": np.array([3], np.int64),
    "slope": floats(1, low=0.1, high=0.4),
}


CONV = ("Conv", ["w", "b"], {"pads": [1, 1, 1, 1]})
END = ("GlobalAveragePool", [], {}), ("Flatten", [], {})
GRAPHS = {
    "Gemm": chain(("Flatten", [], {}), ("Gemm", ["dense", "three"], {"transB": 1})),
    "Gemm, turned and scaled": chain(("Flatten", [], {}), ("Gemm", ["matrix", "three"], {"alpha": 0.5, "beta": 2.0})),
    "MatMul and Add": chain(("Reshape", ["whole"], {}), ("MatMul", ["matrix"], {}), ("Add", ["three"], {})),
    "a constant first": chain(("Flatten", [], {}), ("MatMul", ["matrix"], {}), ("Sub", ["three", "_"], {})),
    "Conv, dilated": chain(("Conv", ["w", "b"], {"dilations": [2, 3], "pads": [2, 3, 1, 3]}), ("Relu", [], {}), *END),
    "ReduceMax": chain(CONV, ("ReduceMax", [], {"axes": [-2, -1], "keepdims": 0}), ("Neg", [], {})),
    "weights that are computed": [
        node("Clip", "w", "low", "one", out="v"),
        node("Slice", "v", "first", "third", "first", "two_steps", out="s"),
        node("Expand", "s", "ones", out="e"),
        node("Reciprocal", "sigma", out="r"),
        node("Exp", "r", out="t"),
        node("ConstantOfShape", "third", out="c"),
        node("Conv", "x", "e", out="y"),
        node("Mul", "y", "t", out="z"),
        node("Add", "z", "zero", out="a"),
        node("GlobalAveragePool", "a", out="g"),
        node("Flatten", "g"),
    ],
    "Pow by 2": chain(CONV, ("Pow", ["two"], {}), *END),
    "a Pad of nothing": chain(
        ("Pad", ["nothing"], {}), ("AveragePool", [], {"kernel_shape": [8, 8]}), ("Conv", ["point"], {}), ("Flatten", [], {})
    ),
    "one value": chain(("Flatten", [], {}), ("MatMul", ["column"], {}), ("Squeeze", ["last"], {})),
    "Conv": chain(CONV, ("Relu", [], {}), *END),
    "Conv, stride and edges": chain(("Conv", ["w"], {"strides": [2, 1], "pads": [0, 1, 2, 0]}), *END),
    "Conv, SAME_UPPER": chain(("Conv", ["w", "b"], {"auto_pad": "SAME_UPPER", "strides": [3, 2]}), *END),
    "Conv, SAME_LOWER": chain(("Conv", ["w", "b"], {"auto_pad": "SAME_LOWER", "strides": [1, 2]}), *END),
    "Conv, VALID": chain(("Conv", ["w", "b"], {"auto_pad": "VALID"}), *END),
    "groups": chain(CONV, ("Relu", [], {}), ("Conv", ["wide"], {"group": 2}), *END),
    "LeakyRelu": chain(CONV, ("LeakyRelu", [], {"alpha": 0.125}), *END),
    "PRelu": chain(CONV, ("PRelu", ["slope"], {}), *END),
    "Clip": chain(CONV, ("Clip", ["zero", "one"], {}), *END),
    "Clip, one limit": chain(CONV, ("Clip", ["", "one"], {}), *END),
    "Max and Min": chain(CONV, ("Max", ["low"], {}), ("Min", ["one", "_"], {}), *END),
    "MaxPool": chain(CONV, ("MaxPool", [], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}), *END),
    "one value joined": chain(CONV, ("Concat", [], {"axis": 1}), ("Sum", [], {}), *END),
    "MaxPool, ceil mode": chain(
        CONV, ("MaxPool", [], {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 1, 0], "ceil_mode": 1}), *END
    ),
    "an activation behind a pool": chain(CONV, ("MaxPool", [], {"kernel_shape": [2, 2]}), ("Relu", [], {}), *END),
    "AveragePool": chain(
        CONV,
        ("AveragePool", [], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 0, 0, 1], "count_include_pad": 1}),
        *END,
    ),
    "GlobalMaxPool": chain(CONV, ("GlobalMaxPool", [], {}), ("Flatten", [], {}), ("Reshape", ["flat"], {})),
    "ReduceMean": chain(CONV, ("Relu", [], {}), ("ReduceMean", [], {"axes": [2, -1], "keepdims": 0})),
    "BatchNormalization": chain(CONV, ("BatchNormalization", ["b", "mean", "mean", "variance"], {}), ("Relu", [], {}), *END),
    "BatchNormalization behind an activation": chain(
        CONV, ("Relu", [], {}), ("BatchNormalization", ["b", "mean", "mean", "variance"], {}), ("Conv", ["deep"], {}), *END
    ),
    "BatchNormalization before padding": chain(
        CONV,
        ("Relu", [], {}),
        ("BatchNormalization", ["b", "mean", "mean", "variance"], {}),
        ("Conv", ["deep"], {"pads": [1, 1, 1, 1]}),
        *END,
    ),
    "BatchNormalization before an activation and a pool": chain(
        CONV,
        ("MaxPool", [], {"kernel_shape": [2, 2]}),
        ("BatchNormalization", ["b", "mean", "mean", "variance"], {}),
        ("Relu", [], {}),
        *END,
    ),
    "a normalized input": chain(("Sub", ["mu"], {}), ("Div", ["sigma"], {}), ("Conv", ["w", "b"], {}), ("Relu", [], {}), *END),
    "a normalized input, padded": chain(("Sub", ["mu"], {}), ("Div", ["sigma"], {}), CONV, ("Relu", [], {}), *END),
    "a factor for each channel": chain(CONV, ("Mul", ["four"], {}), ("Add", ["four", "_"], {}), ("Relu", [], {}), *END),
    "Pad": chain(("Pad", ["edges"], {}), ("Conv", ["w", "b"], {}), *END),
    "what changes nothing": chain(
        ("Identity", [], {}),
        CONV,
        ("Dropout", [], {}),
        ("Cast", [], {"to": 1}),
        ("Transpose", [], {"perm": [0, 1, 2, 3]}),
        *END,
    ),
    "Squeeze and Unsqueeze": chain(
        CONV, ("GlobalAveragePool", [], {}), ("Squeeze", ["axes"], {}), ("Unsqueeze", ["axes"], {}), ("Flatten", [], {})
    ),
    "an image again": chain(("Flatten", [], {}), ("Reshape", ["back"], {}), CONV, *END),
    "a scaled flat image": chain(
        CONV,
        ("Relu", [], {}),
        ("MaxPool", [], {"kernel_shape": [3, 3]}),
        ("Mul", ["four"], {}),
        ("Flatten", [], {}),
        ("Gemm", ["nine"], {"transB": 1}),
    ),
}


def imported(tmp_path: Path, data: bytes, options: ImportOptions | None = None, name: str = "net.onnx") -> Network:
    (tmp_path / name).write_bytes(data)
    return importers.load_float(tmp_path / name, options)


@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs_compute_what_onnxruntime_computes(kind: str, tmp_path: Path) -> None:
    nodes = GRAPHS[kind]
    used = {name for each in nodes for name in each.input} & set(WEIGHTS)
    if kind == "a scaled flat image":
        used.discard("nine")
    constants = {name: WEIGHTS[name] for name in sorted(used)}
    if kind == "a scaled flat image":
        constants["nine"] = floats(3, 4 * 6 * 6)
    data = model(nodes, constants)
    network = imported(tmp_path, data)
    expected = run(data, (PIXELS[:, None] / 255).astype(np.float32))
    assert np.abs(logits(network, PIXELS) - expected.reshape(len(PIXELS), -1)).max() < 1e-4
    assert network.input.shape == (8, 8)
    assert (network.name, network.card["source"]) == ("net", "ONNX, opset 17, the test")


def test_folding_leaves_no_layer_that_is_not_needed(tmp_path: Path) -> None:
    def layers(kind: str) -> list[str]:
        used = {name for each in GRAPHS[kind] for name in each.input} & set(WEIGHTS)
        network = imported(tmp_path, model(GRAPHS[kind], {name: WEIGHTS[name] for name in used}))
        return [type(each).__name__ for each in network.layers]

    assert layers("BatchNormalization") == ["FloatConv2d", "AvgPool"]
    assert layers("BatchNormalization behind an activation") == ["FloatConv2d", "FloatConv2d", "AvgPool"]
    assert layers("a normalized input") == ["FloatConv2d", "AvgPool"]
    assert layers("a normalized input, padded") == ["FloatConv2d", "FloatConv2d", "AvgPool"]
    assert layers("an activation behind a pool") == ["FloatConv2d", "MaxPool", "AvgPool"]


def test_bytes_divided_by_255_are_the_pixels(tmp_path: Path) -> None:
    nodes = chain(("Cast", [], {"to": 1}), ("Div", ["top"], {}), ("Flatten", [], {}), ("Gemm", ["dense"], {"transB": 1}))
    data = model(nodes, {"top": np.float32(255), "dense": WEIGHTS["dense"]}, kind="UINT8")
    found = logits(imported(tmp_path, data), PIXELS)
    assert np.abs(found - run(data, PIXELS[:, None])).max() < 1e-4
    nodes = chain(("Div", ["top"], {}), ("Flatten", [], {}), ("Gemm", ["dense"], {"transB": 1}))
    data = model(nodes, {"top": np.float32(255), "dense": WEIGHTS["dense"]})
    network = imported(tmp_path, data)
    assert np.abs(logits(network, PIXELS) - run(data, PIXELS[:, None].astype(np.float32))).max() < 1e-4
    assert network.card["import"] == "it divides its input by 255, so it is given pixels of 0..255"


@pytest.mark.parametrize(
    ("steps", "constants", "note"),
    [
        ([("Mul", ["a"]), ("Sub", ["b"])], {"a": 1 / 127.5, "b": 1}, "it normalizes numbers up to 255"),
        ([("Sub", ["a"]), ("Div", ["b"])], {"a": 33.3, "b": 78.6}, "it normalizes numbers up to 255"),
        ([("Div", ["a"])], {"a": 256}, "it divides its input by 256"),
        ([("Sub", ["a"]), ("Div", ["b"])], {"a": 0.1307, "b": 0.3081}, ""),
        ([("Add", ["a"]), ("Div", ["b"])], {"a": 30, "b": 25}, ""),
        ([("Div", ["a"])], {"a": 3}, ""),
    ],
    ids=["as MobileNet", "as digits", "256", "of 0 to 1", "of decibels", "otherwise"],
)
def test_a_normalization_says_what_a_pixel_is(
    steps: list[tuple[str, list[str]]], constants: dict[str, float], note: str, tmp_path: Path
) -> None:
    nodes = chain(*((*step, {}) for step in steps), ("Flatten", [], {}), ("Gemm", ["dense"], {"transB": 1}))
    numbers = {name: np.float32(number) for name, number in constants.items()}
    data = model(nodes, {**numbers, "dense": WEIGHTS["dense"]})
    network = imported(tmp_path, data)
    given = PIXELS[:, None].astype(np.float32) / np.float32(1 if note else 255)
    assert np.abs(logits(network, PIXELS) - run(data, given)).max() < 1e-4
    assert network.card.get("import", "") == (note and f"{note}, so it is given pixels of 0..255")


def test_a_normalization_outside_of_the_graph(tmp_path: Path) -> None:
    data = model(GRAPHS["Conv"], {name: WEIGHTS[name] for name in ("w", "b")})
    network = imported(tmp_path, data, ImportOptions(mean=(0.1307,), std=(0.3081,)))
    given = ((PIXELS[:, None] / 255 - 0.1307) / 0.3081).astype(np.float32)
    assert np.abs(logits(network, PIXELS) - run(data, given).reshape(20, -1)).max() < 1e-4


def test_a_softmax_at_the_end_changes_no_label(tmp_path: Path) -> None:
    data = model([*GRAPHS["Gemm"], node("LogSoftmax", "out1", axis=1)], {name: WEIGHTS[name] for name in ("dense", "three")})
    found = logits(imported(tmp_path, data), PIXELS)
    shifted = found - np.log(np.exp(found).sum(axis=1, keepdims=True))
    assert np.abs(shifted - run(data, (PIXELS[:, None] / 255).astype(np.float32))).max() < 1e-4


@pytest.mark.parametrize("opset", [11, 13, 18])
def test_what_opsets_changed(opset: int, tmp_path: Path) -> None:
    """Axes of ReduceMean became an input in 18."""
    axes = ("ReduceMean", ["axes"], {"keepdims": 1}) if opset >= 18 else ("ReduceMean", [], {"axes": [2, 3], "keepdims": 1})
    nodes = chain(CONV, ("Clip", ["zero", "one"], {}), axes, ("Flatten", [], {}))
    data = model(nodes, {name: WEIGHTS[name] for name in ("w", "b", "zero", "one", "axes")}, opset=opset)
    expected = run(data, (PIXELS[:, None] / 255).astype(np.float32))
    assert np.abs(logits(imported(tmp_path, data), PIXELS) - expected).max() < 1e-4


def test_pytorchs_exporter(tmp_path: Path) -> None:
    """A flattening by the batch's size, which is a graph of its own, and a batch normalization that it has folded."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4)
            self.dense = nn.Linear(64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
            return self.dense(x.view(x.size(0), -1))

    module, path = Net().eval(), tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(2, 1, 8, 8),), path, dynamo=False, dynamic_axes={"x": {0: "n"}}, input_names=["x"]
        )
    with torch.no_grad():
        expected = module(torch.tensor(PIXELS[:, None] / 255).float()).numpy()
    network = importers.load_float(path)
    assert np.abs(logits(network, PIXELS) - expected).max() < 1e-4
    assert isinstance(network.layers[0], FloatConv2d)
    assert isinstance(network.layers[-1], FloatDense)
