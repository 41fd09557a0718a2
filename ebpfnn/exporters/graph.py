"""Collecting the nodes of an ONNX graph, each named after what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..network.onnxkeys import PRODUCER

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET, IR_VERSION = 13, 7
"""The first opset with a scale a channel, and the file version of its time: onnxruntime has read both since 1.6 (2020)."""


class Graph:
    """Nodes and constants in the order they are given. Raises :class:`ImportError` without the onnx package."""

    def __init__(self) -> None:
        import onnx

        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        types = onnx.TensorProto
        self.INT32, self.INT64, self.FLOAT = types.INT32, types.INT64, types.FLOAT

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds an operator and returns the name of what it gives."""
        name = output or f"{kind.lower()}.{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [name], name=f"{kind}.{len(self._nodes)}", **attributes))
        return name

    def nodes(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Adds an operator of several outputs and returns the names of what it gives."""
        name = f"{kind}.{len(self._nodes)}"
        names = [f"{name.lower()}.{number}" for number in range(outputs)]
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, names, name=name, **attributes))
        return names

    def constant(self, name: str, value: Any) -> str:
        """Adds a tensor and returns its name, which is made distinct."""
        name = name if name.startswith("layer") else f"{name}.{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def model(
        self,
        name: str,
        given: tuple[str, tuple[int, ...]],
        results: Mapping[str, tuple[int, tuple[int, ...]]],
        metadata: Mapping[str, str],
    ) -> ModelProto:
        """The model: one input of uint8 [n, *shape], and ``results``, for each name a type and the shape behind n; checked."""
        helper, types = self._onnx.helper, self._onnx.TensorProto
        inputs = [helper.make_tensor_value_info(given[0], types.UINT8, ["n", *given[1]])]
        outputs = [helper.make_tensor_value_info(each, kind, ["n", *shape]) for each, (kind, shape) in results.items()]
        graph = helper.make_graph(self._nodes, name or "network", inputs, outputs, self._constants)
        opsets = [helper.make_opsetid("", OPSET)]
        model: ModelProto = helper.make_model(graph, producer_name=PRODUCER, ir_version=IR_VERSION, opset_imports=opsets)
        helper.set_model_props(model, dict(metadata))
        self._onnx.checker.check_model(model, full_check=True)
        return model
