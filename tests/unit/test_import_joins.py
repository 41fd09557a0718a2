"""What joins several values, of PyTorch and ONNX: corners of it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnxes import chain, model, node, run

from ebpfnn import importers
from ebpfnn.errors import ModelError
from ebpfnn.importers import aten
from ebpfnn.importers.program import Call, Program, Ref
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import FloatAdd, FloatConcat, FloatConv2d, Network
from ebpfnn.quantize.quantization import quantize

if TYPE_CHECKING:
    import torch

RANDOM = np.random.default_rng(5)
PIXELS = RANDOM.integers(0, 256, (30, 1, 6, 6)).astype(np.uint8)
FILTERS = {f"w{number}": RANDOM.normal(0, 0.5, (2, 1, 3, 3)).astype(np.float32) for number in range(10)}


def branches(count: int, *last: Any, size: int = 72) -> bytes:
    """``count`` convolutions of the input, each with a ReLU, then ``last`` nodes, up to "end", and a dense layer."""
    nodes = [node("Conv", "x", f"w{n}", pads=[1, 1, 1, 1], out=f"c{n}") for n in range(count)]
    nodes += [node("Relu", f"c{n}", out=f"r{n}") for n in range(count)]
    nodes += [*last, node("Flatten", "end"), node("MatMul", "Flatten", "last")]
    dense = RANDOM.normal(0, 0.3, (size, 3)).astype(np.float32)
    held = {f"w{n}": FILTERS[f"w{n}"] for n in range(count)}
    constants = {"half": np.float32(-0.5), "each": np.array([[[0.5]], [[2.0]]], np.float32), "one": np.float32(1)}
    return model(nodes, {**held, **constants, "last": dense}, ("n", 1, 6, 6))


JOINS: dict[str, tuple[Callable[[], bytes], int, int]] = {
    "a sum of three": (lambda: branches(3, node("Sum", "r0", "r1", "r2", out="end")), 2, 0),
    "a sum of one": (lambda: branches(1, node("Sum", "r0", out="end")), 0, 0),
    "a difference": (lambda: branches(2, node("Sub", "r0", "r1", out="end")), 1, 0),
    "a value less itself": (lambda: branches(2, node("Sub", "r0", "r0", out="s"), node("Add", "s", "r1", out="end")), 2, 0),
    "channels of nine": (lambda: branches(9, node("Concat", *(f"r{n}" for n in range(9)), out="end", axis=1), size=648), 0, 2),
    "channels twice": (lambda: branches(1, node("Concat", "r0", "r0", out="end", axis=1), size=144), 0, 1),
    "a factor": (
        lambda: branches(2, node("Mul", "r1", "half", out="m"), node("Add", "m", "r0", out="s"), node("Relu", "s", out="end")),
        1,
        0,
    ),
    "a factor behind": (
        lambda: branches(2, node("Sub", "r1", "r0", out="s"), node("Mul", "s", "half", out="m"), node("Relu", "m", out="end")),
        1,
        0,
    ),
    "a negative": (lambda: branches(2, node("Neg", "r1", out="m"), node("Add", "r0", "m", out="end")), 1, 0),
    "factors of channels": (lambda: branches(2, node("Mul", "r1", "each", out="m"), node("Add", "r0", "m", out="end")), 1, 0),
    "a constant": (lambda: branches(2, node("Add", "r1", "one", out="m"), node("Sub", "m", "r0", out="end")), 1, 0),
    "a table behind": (lambda: branches(2, node("Sub", "r0", "r1", out="s"), node("Tanh", "s", out="end")), 1, 0),
    "a pool of a difference": (
        lambda: branches(
            2,
            node("Sub", "r0", "r1", out="s"),
            node("LeakyRelu", "s", alpha=0.25, out="l"),
            node("MaxPool", "l", kernel_shape=[2, 2], strides=[2, 2], out="end"),
            size=18,
        ),
        1,
        0,
    ),
}


@pytest.mark.parametrize("name", JOINS)
def test_joins_compute_what_onnxruntime_does(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    make, sums, channels = JOINS[name]
    data = make()
    (tmp_path / "net.onnx").write_bytes(data)
    network = importers.load_float(tmp_path / "net.onnx")
    assert sum(isinstance(layer, FloatAdd) for layer in network.layers) == sums
    assert sum(isinstance(layer, FloatConcat) for layer in network.layers) == channels
    wanted = run(data, (PIXELS / 255).astype(np.float32))
    held = PIXELS.reshape(-1, *network.input.shape)
    np.testing.assert_allclose(logits(network, held), wanted, atol=1e-4)
    integers = quantize(network, held)
    scores = reference.scores(integers, held) * integers.score_scale
    assert np.abs(scores - wanted).mean() < 0.02 * np.abs(wanted).max()


def test_factors_cost_no_layer(tmp_path: Path) -> None:
    for name in ("a factor", "a factor behind", "a negative"):
        (tmp_path / "net.onnx").write_bytes(JOINS[name][0]())
        network = importers.load_float(tmp_path / "net.onnx")
        assert sum(isinstance(layer, FloatConv2d) for layer in network.layers) == 2, name


def module(body: Callable[[Any, torch.Tensor], torch.Tensor], size: int = 72) -> Network:
    """Of two convolutions and a dense layer, which ``body`` joins."""
    import torch
    from torch import nn

    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(1, 2, 3, padding=1)
            self.last = nn.Linear(size, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(body(self, x).flatten(1))

    torch.manual_seed(2)
    made = Joined().eval()
    network = importers.from_module(made, InputFormat((1, 6, 6)), "n", ("a", "b", "c"))
    with torch.no_grad():
        np.testing.assert_allclose(logits(network, PIXELS), made(torch.from_numpy(PIXELS / 255).float()).numpy(), atol=1e-4)
    return network


def test_what_is_changed_in_place_is_what_is_taken_later() -> None:
    def body(parts: Any, x: torch.Tensor) -> torch.Tensor:
        a = parts.one(x)
        b = a.relu_()
        b.add_(parts.other(x))
        return a + b

    assert sum(isinstance(layer, FloatAdd) for layer in module(body).layers) == 2


def test_a_view_of_what_is_changed_in_place_is_refused() -> None:
    def body(parts: Any, x: torch.Tensor) -> torch.Tensor:
        a = parts.one(x)
        view = a.flatten(1)
        a.relu_()
        return view + parts.other(x).flatten(1)

    with pytest.raises(ModelError, match=r"'add' \(aten\.add\) takes 'flatten', whose memory 'relu_' changed in place"):
        module(body)


def test_a_sum_and_its_parts_may_all_be_taken() -> None:
    def body(parts: Any, x: torch.Tensor) -> torch.Tensor:
        import torch

        a, b = parts.one(x), parts.other(x).relu()
        return torch.cat([a - b, 2 - a, torch.rsub(b, a)], 1)

    module(body, 216)


def program(*calls: Call, output: str, shape: tuple[int | None, ...] = (None, 4)) -> Program:
    constants = {"w": np.ones((4, 4))}
    return Program(calls, constants, "x", shape, "float32", output)


def linear(name: str, given: str) -> Call:
    return Call("aten.linear", name, {"input": Ref(given), "weight": Ref("w")}, (None, 4))


REFUSED: dict[str, tuple[Program, str]] = {
    "a cycle": (
        program(linear("a", "b"), linear("b", "a"), output="b"),
        r"node 1 of 2, 'a' \(aten\.linear\), takes 'b', which no node before it gives; export the graph again",
    ),
    "an output of nothing": (program(linear("a", "x"), output="z"), r"output 'z' is not what the last node gives"),
    "sizes that are not fixed": (
        program(linear("a", "x"), output="a", shape=(None, None)),
        r"input 'x' has sizes \[None, None\]; fix all but the first, the batch",
    ),
    "shapes that do not fit": (
        program(
            linear("a", "x"),
            Call("aten.linear", "c", {"input": Ref("x"), "weight": Ref("v")}, (None, 3)),
            Call("aten.add", "d", {"self": Ref("a"), "other": Ref("c")}, (None, 4)),
            output="d",
        ),
        r"node 3 of 3, 'd' \(aten\.add\), adds values of 4 and 3, which broadcasts; only values of one shape can be added",
    ),
    "a size that no one knows": (
        program(
            linear("a", "x"),
            Call("aten.view", "c", {"self": Ref("a")}, (None, None, 2)),
            linear("d", "c"),
            output="d",
        ),
        r"node 2 of 3, 'c' \(aten\.view\), makes \[None, None, 2\] of a batch of 4; keep the batch in front",
    ),
    "a softmax and more": (
        program(
            linear("a", "x"),
            Call("aten.softmax", "c", {"self": Ref("a")}, (None, 4)),
            Call("aten.add", "d", {"self": Ref("a"), "other": Ref("c")}, (None, 4)),
            output="d",
        ),
        r"node 2 of 3, 'c' \(aten\.softmax\), is followed by more; a softmax must be the last",
    ),
    "a list that a sum takes": (
        program(linear("a", "x"), Call("aten.stack", "d", {"tensors": [Ref("a"), Ref("x")]}, (None, 2, 4)), output="d"),
        r"node 2 of 2, 'd' \(aten\.stack\), takes several values; only add, sub and cat can",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_programs_that_cannot_be_imported(name: str) -> None:
    made, fact = REFUSED[name]
    made.constants["v"] = np.ones((3, 4))  # type: ignore[index]
    with pytest.raises(ModelError, match=fact) as caught:
        aten.to_chain(made)
    assert "\n" not in str(caught.value)


def test_values_and_constants_side_by_side_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    data = branches(2, node("Concat", "r0", "r1", "half", out="end", axis=1))
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(ModelError, match=r"\(Concat\), joins values and constants, which cannot be imported"):
        importers.load(tmp_path / "net.onnx")


def test_a_node_joins_no_more_than_a_file_may_mean(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    (tmp_path / "net.onnx").write_bytes(branches(1, node("Concat", *["r0"] * 257, out="end", axis=1)))
    with pytest.raises(ModelError, match=r"\(Concat\), joins 257 values, over 256; join some of them first"):
        importers.load(tmp_path / "net.onnx")


def test_quantized_integers_are_not_added(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    nodes = [*chain(("QuantizeLinear", ["s"], {})), node("Concat", "out0", "out0", out="end", axis=1)]
    (tmp_path / "net.onnx").write_bytes(model(nodes, {"s": np.float32(1 / 255)}, ("n", 1, 6, 6)))
    with pytest.raises(ModelError, match=r"\(Concat\), joins quantized integers; put a DequantizeLinear before it"):
        importers.load(tmp_path / "net.onnx")
