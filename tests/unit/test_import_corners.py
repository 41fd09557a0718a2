"""Constants, limits and factors of graphs, at places where they go with something else than an operator's channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import model, node, run

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers.options import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Network

RANDOM = np.random.default_rng(3)
PIXELS = RANDOM.integers(0, 256, (60, 4, 4, 4)).astype(np.uint8)
FLOATS = {
    "w": RANDOM.normal(0, 0.5, (4, 4, 3, 3)).astype(np.float32),
    "one": RANDOM.normal(0, 0.5, (1, 4, 3, 3)).astype(np.float32),
    "last": RANDOM.normal(0, 0.5, (64, 3)).astype(np.float32),
    "few": RANDOM.normal(0, 0.5, (16, 3)).astype(np.float32),
    "flat": RANDOM.uniform(0, 1, 64).astype(np.float32),
    "sixteen": RANDOM.normal(0, 1, 16).astype(np.float32),
    "four": RANDOM.uniform(0, 1, 4).astype(np.float32),
    "rows": RANDOM.uniform(0, 1, (4, 1)).astype(np.float32),
    "channels": RANDOM.uniform(0, 1, (4, 1, 1)).astype(np.float32),
    "half": np.float32(-0.5),
}
WHOLE = {
    "iw": RANDOM.integers(-32, 32, (4, 4, 3, 3)).astype(np.int8),
    "ilast": RANDOM.integers(-127, 128, (64, 3)).astype(np.int8),
    "ws": np.float32(0.01),
    "s0": np.float32(1 / 255),
    "z0": np.uint8(0),
    "s1": np.float32(0.03),
    "z1": np.uint8(120),
    "s2": np.float32(0.1),
    "z2": np.uint8(128),
    "narrow": np.float32(0.4 / 255),
}


def convolved(weights: str = "w", given: str = "x", out: str = "c") -> Any:
    return node("Conv", given, weights, pads=[1, 1, 1, 1], out=out)


def rounded(given: str, out: str, scale: str, point: str) -> list[Any]:
    made = node("QuantizeLinear", given, scale, point, out=f"{out} whole")
    return [made, node("DequantizeLinear", f"{out} whole", scale, point, out=out)]


def ended(given: str, weights: str = "last") -> list[Any]:
    return [node("Flatten", given, out="flat values"), node("MatMul", "flat values", weights, out="y")]


def loaded(nodes: list[Any], folder: Path, options: ImportOptions | None = None) -> tuple[np.ndarray, np.ndarray, Any]:
    """What the network and onnxruntime give, and the network."""
    pytest.importorskip("onnxruntime")
    data = model(nodes, {**FLOATS, **WHOLE}, ("n", 4, 4, 4))
    (folder / "net.onnx").write_bytes(data)
    network = importers.load(folder / "net.onnx", options)
    held = PIXELS.reshape(-1, *network.input.shape)
    if isinstance(network, QuantizedNetwork):
        found = reference.scores(network, held) * network.score_scale
    else:
        assert isinstance(network, Network)
        found = logits(network, held)
    return found, run(data, (PIXELS / 255).astype(np.float32), plain=True), network


FLAT = [convolved("w"), node("Flatten", "c", out="f")]
SLOPES: dict[str, list[Any]] = {
    "a slope for each flat value": [*FLAT, node("PRelu", "f", "flat", out="p"), node("MatMul", "p", "last", out="y")],
    "a constant for each flat value": [*FLAT, node("Add", "f", "flat", out="p"), node("MatMul", "p", "last", out="y")],
    "a constant for each flat value of one channel": [
        convolved("one"),
        node("Flatten", "c", out="f"),
        node("Add", "f", "sixteen", out="p"),
        node("MatMul", "p", "few", out="y"),
    ],
    "slopes of channels that are last": [
        convolved(),
        node("Transpose", "c", perm=[0, 2, 3, 1], out="t"),
        node("PRelu", "t", "four", out="p"),
        node("Transpose", "p", perm=[0, 3, 1, 2], out="u"),
        *ended("u"),
    ],
}


@pytest.mark.parametrize("name", SLOPES)
def test_constants_go_with_what_onnx_has_them_go_with(name: str, tmp_path: Path) -> None:
    found, wanted, _ = loaded(SLOPES[name], tmp_path)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("slopes", ["four", "rows"])
def test_slopes_of_rows_or_columns_are_refused(slopes: str, tmp_path: Path) -> None:
    """As many as there are channels, which they do not go with."""
    (tmp_path / "net.onnx").write_bytes(
        model([convolved(), node("PRelu", "c", slopes, out="p"), *ended("p")], FLOATS, ("n", 4, 4, 4))
    )
    with pytest.raises(ModelError, match=r"PRelu.*differ within a channel"):
        importers.load(tmp_path / "net.onnx")


def test_slopes_of_pytorch_go_with_the_axis_behind_the_batch() -> None:
    torch = pytest.importorskip("torch")

    class Moved(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.slopes = torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.PReLU(4)
            self.last = torch.nn.Linear(64, 3)
            self.slopes.weight.data[:] = torch.tensor([0.0, 0.3, 0.6, 0.9])

        def forward(self, x: Any) -> Any:
            return self.last(self.slopes(self.conv(x).permute(0, 2, 3, 1)).flatten(1))

    from ebpfnn.network.inputformat import InputFormat

    with pytest.raises(ModelError, match="differ within a channel"):
        importers.from_module(Moved().eval(), InputFormat((4, 4, 4)), "moved", ("a", "b", "c"))


BEGIN = [*rounded("x", "xd", "s0", "z0"), node("DequantizeLinear", "iw", "ws", out="wd"), convolved("wd", "xd")]
END = [
    node("Flatten", "n", out="nf"),
    *rounded("nf", "nd", "s1", "z1"),
    node("DequantizeLinear", "ilast", "ws", out="ld"),
    node("MatMul", "nd", "ld", out="m"),
    *rounded("m", "y", "s2", "z2"),
]
TURNED: dict[str, tuple[list[Any], bool]] = {
    "turned behind a pool": (
        [node("MaxPool", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1], out="p"), node("Neg", "p", out="n")],
        False,
    ),
    "turned before a pool": (
        [node("Neg", "c", out="t"), node("MaxPool", "t", kernel_shape=[3, 3], pads=[1, 1, 1, 1], out="n")],
        True,
    ),
    "moved behind a ReLU": ([node("Relu", "c", out="r"), node("Mul", "r", "half", out="n")], False),
    "moved, one by one, where they are flat": ([node("Flatten", "c", out="f"), node("Add", "f", "flat", out="n")], False),
}


@pytest.mark.parametrize("name", TURNED)
def test_factors_between_a_quantized_sum_and_its_rounding(name: str, tmp_path: Path) -> None:
    nodes, whole = TURNED[name]
    found, wanted, network = loaded([*BEGIN, *nodes, *END], tmp_path)
    assert isinstance(network, QuantizedNetwork) is whole
    assert np.abs(found - wanted).mean() < 0.1


def test_limits_of_a_sum_stay_where_weights_are_floats(tmp_path: Path) -> None:
    """onnxruntime takes out a Clip before a QuantizeLinear that does the same."""
    sums = [node("Add", "cd", "xd", out="s"), *rounded("s", "n", "narrow", "z1")]
    found, wanted, _ = loaded([*BEGIN, *rounded("c", "cd", "s1", "z1"), *sums, *ended("n")], tmp_path)
    np.testing.assert_allclose(found, wanted, atol=0.1)


def test_a_sigmoid_behind_rounded_scores_counts_in_a_vector(tmp_path: Path) -> None:
    nodes = [*BEGIN, node("Relu", "c", out="n"), *END, node("Sigmoid", "y", out="likely")]
    found, wanted, _ = loaded(nodes, tmp_path, ImportOptions(result="vector"))
    assert wanted.std() > 0.1
    np.testing.assert_allclose(found, wanted, atol=0.06)


HOSTILE: dict[str, tuple[list[Any], str]] = {
    "dilations of one axis": ([node("Conv", "x", "w", dilations=[2], out="c"), *ended("c")], "dilations"),
    "a dilation of 0": ([node("Conv", "x", "w", dilations=[0, 1], out="c"), *ended("c")], "dilations"),
    "a dilation below 0": ([node("Conv", "x", "w", dilations=[-1, -1], out="c"), *ended("c")], "dilations"),
    "another kernel": ([node("Conv", "x", "w", kernel_shape=[5, 5], out="c"), *ended("c")], "kernel_shape"),
    "a stride of 0": ([node("Conv", "x", "w", auto_pad="SAME_UPPER", strides=[0, 1], out="c"), *ended("c")], "strides"),
    "a pool of one dilation": (
        [convolved(), node("MaxPool", "c", kernel_shape=[2, 2], dilations=[1], out="p"), *ended("p")],
        "dilations",
    ),
    "axes past the last": ([convolved(), node("ReduceMean", "c", axes=[6, 7], out="p"), *ended("p")], "axes"),
    "channels past the last": ([convolved(), node("Concat", "c", "x", axis=5, out="p"), *ended("p")], "axis 5 of 4"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_attributes_that_do_not_fit_are_refused_by_name(name: str, tmp_path: Path) -> None:
    nodes, fact = HOSTILE[name]
    (tmp_path / "net.onnx").write_bytes(model(nodes, FLOATS, ("n", 4, 4, 4)))
    with pytest.raises(ModelError, match=f"{nodes[-3].operator}.*{fact}"):
        importers.load(tmp_path / "net.onnx")


SHARED = [*BEGIN, node("QuantizeLinear", "c", "s1", "z1", out="q"), node("Clip", "q", "z0", "z2", out="k")]
PAIRS = [node("DequantizeLinear", "k", "s1", "z1", out="kd"), node("DequantizeLinear", "q", "s1", "z1", out="qd")]
WITHOUT_END: dict[str, tuple[list[Any], str]] = {
    "a factor of infinity": ([convolved(), node("Add", "c", "x", out="s"), node("Mul", "s", "far", out="n")], "no number"),
    "slopes that are no numbers": ([convolved(), node("PRelu", "c", "none", out="n")], "slopes of nan"),
    "channels doubled": (
        [node("Concat", *(f"a{at}" if at else "x",) * 2, axis=1, out=f"a{at + 1}") for at in range(30)]
        + [node("Identity", "a30", out="n")],
        "over 16777216",
    ),
    "an edge beyond memory": ([node("Pad", "x", "edges", out="n")], "over 16777216"),
    "a clip of integers that others take": (
        [*SHARED, *PAIRS, node("Add", "kd", "qd", out="n")],
        "right behind its QuantizeLinear",
    ),
    "sums without end": (
        [node("Add", *(f"a{at}" if at else "x",) * 2, out=f"a{at + 1}") for at in range(1100)]
        + [node("Identity", "a1100", out="n")],
        "",
    ),
}
HELD = {
    **FLOATS,
    **WHOLE,
    "far": np.float32(np.inf),
    "none": np.full((4, 1, 1), np.nan, np.float32),
    "edges": np.array([0, 0, 0, 0, 0, 0, 1 << 15, 1 << 15]),
}


@pytest.mark.parametrize("name", WITHOUT_END)
def test_what_no_network_holds_is_refused(name: str, tmp_path: Path) -> None:
    nodes, fact = WITHOUT_END[name]
    (tmp_path / "net.onnx").write_bytes(model([*nodes, *ended("n")], HELD, ("n", 4, 4, 4)))
    if not fact:
        importers.load(tmp_path / "net.onnx")
        return
    with pytest.raises(ModelError, match=fact):
        importers.load(tmp_path / "net.onnx")


def test_constants_in_integers_are_divided_as_onnxruntime_does(tmp_path: Path) -> None:
    divided = [
        node("Div", "seven", "two", out="d"),
        node("Mod", "rest", "three", fmod=1, out="r"),
        node("Cast", "d", to=1, out="df"),
        node("Add", "df", "r", out="k"),
        node("Add", "x", "k", out="n"),
    ]
    held = {"seven": np.int64(-7), "two": np.int64(2), "rest": np.float32(-4), "three": np.float32(3)}
    data = model([*divided, *ended("n")], {**FLOATS, **held}, ("n", 4, 4, 4))
    pytest.importorskip("onnxruntime")
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    wanted = run(data, (PIXELS / 255).astype(np.float32), plain=True)
    np.testing.assert_allclose(logits(network, PIXELS.reshape(-1, *network.input.shape)), wanted, atol=1e-3)


def test_the_ends_of_a_rounding_limit_what_a_function_gives(tmp_path: Path) -> None:
    """Not what it is given: the largest of a tanh is below 1, of what is far above."""
    bent = [node("Tanh", "c", out="t"), *rounded("t", "n", "fine", "z0")]
    data = model([convolved(), *bent, *ended("n")], {**FLOATS, **WHOLE, "fine": np.float32(0.76 / 255)}, ("n", 4, 4, 4))
    pytest.importorskip("onnxruntime")
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    wanted = run(data, (PIXELS / 255).astype(np.float32), plain=True)
    np.testing.assert_allclose(logits(network, PIXELS.reshape(-1, *network.input.shape)), wanted, atol=0.1)
