"""ONNX files for the tests, made node by node, and what onnxruntime makes of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""Before onnxruntime is imported anywhere: it would open a database of its own, and reach out."""
_NUMBERS = count()


@dataclass(frozen=True, eq=False)
class Node:
    """A node to be; an attribute may be a function that makes it, so that nothing imports onnx before a test runs."""

    operator: str
    input: tuple[str, ...]
    output: tuple[str]
    attributes: Mapping[str, Any]
    number: int = field(default_factory=lambda: next(_NUMBERS))

    def made(self) -> Any:
        from onnx import helper

        attributes = {name: value() if callable(value) else value for name, value in self.attributes.items()}
        name = f"the {self.operator} {self.number}"
        return helper.make_node(self.operator, list(self.input), list(self.output), name=name, **attributes)


def node(operator: str, *inputs: str, out: str = "", **attributes: Any) -> Node:
    """A node whose output is called as the operator, unless ``out`` says otherwise."""
    return Node(operator, inputs, (out or operator,), attributes)


def chain(*steps: tuple[Any, ...]) -> list[Node]:
    """Nodes one after the other: (operator, further inputs, attributes), where "_" stands for what came before."""
    nodes, tip = [], "x"
    for number, (operator, inputs, attributes) in enumerate(steps):
        given = [tip if name == "_" else name for name in inputs] if "_" in inputs else [tip, *inputs]
        nodes.append(node(operator, *given, out=f"out{number}", **attributes))
        tip = f"out{number}"
    return nodes


def model(
    nodes: Sequence[Node],
    constants: Mapping[str, np.ndarray] | None = None,
    shape: Sequence[int | str] = ("n", 1, 8, 8),
    *,
    opset: int = 17,
    kind: str = "FLOAT",
) -> bytes:
    """A file of a graph from ``x`` to the output of the last node."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [each.made() for each in nodes],
        "test",
        [helper.make_tensor_value_info("x", getattr(TensorProto, kind), list(shape))],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["m", "classes"])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], producer_name="the test")
    made.ir_version = 8
    data: bytes = made.SerializeToString()
    return data


def session(data: bytes, *, plain: bool = False) -> Any:
    """onnxruntime's session; ``plain`` runs every node as it is written."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Without it, u8 by s8 saturates at 16 bits on x86 that has AVX2 and no VNNI, and labels flip.
    options.add_session_config_entry("session.x64quantprecision", "1")
    options.intra_op_num_threads = 1
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def run(data: bytes, given: np.ndarray, *, plain: bool = False) -> np.ndarray:
    """The output for ``given``, [n, ...]."""
    opened = session(data, plain=plain)
    found: np.ndarray = opened.run(None, {opened.get_inputs()[0].name: given})[0]
    return found


def hand_made(
    scale: float = 1 / 255, point: int = 0, *, weights: np.ndarray | None = None, before: list[Node] | None = None, **more: Any
) -> bytes:
    """A convolution and a dense layer, written as a DequantizeLinear here and a QuantizeLinear there."""
    random = np.random.default_rng(1)
    parts: dict[str, Any] = {
        "xs": np.float32(scale),
        "xz": np.uint8(point),
        "w": random.integers(-127, 128, (4, 1, 3, 3)).astype(np.int8) if weights is None else weights,
        "ws": np.array([0.01, 0.02, 0.003, 0.02], np.float32),
        "b": random.normal(size=4).astype(np.float32),
        "hs": np.float32(0.05),
        "hz": np.uint8(100),
        "w2": random.integers(-127, 128, (3, 4 * 28 * 28)).astype(np.int8),
        "w2s": np.float32(0.001),
        "os": np.float32(0.4),
        "oz": np.uint8(30),
        **more,
    }
    nodes = [
        *(before or []),
        node("QuantizeLinear", before[-1].output[0] if before else "x", "xs", "xz", out="xq"),
        node("DequantizeLinear", "xq", "xs", "xz", out="xd"),
        node("DequantizeLinear", "w", "ws", out="wd", axis=0),
        node("Conv", "xd", "wd", "b", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", "Conv", "hs", "hz", out="hq"),
        node("DequantizeLinear", "hq", "hs", "hz", out="hd"),
        node("Flatten", "hd"),
        node("DequantizeLinear", "w2", "w2s", out="w2d"),
        node("Gemm", "Flatten", "w2d", transB=1),
        node("QuantizeLinear", "Gemm", "os", "oz", out="oq"),
        node("DequantizeLinear", "oq", "os", "oz", out="od"),
    ]
    return model(nodes, parts, ("n", 1, 28, 28))
