"""Nodes of a graph that are in no order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from onnxes import chain, model

from ebpfnn import importers
from ebpfnn.errors import ModelError

pytest.importorskip("onnx")
NODES = chain(("Flatten", (), {}), ("Gemm", ("dense",), {"transB": 1}), ("Relu", (), {}), ("Gemm", ("last",), {"transB": 1}))
CONSTANTS = {"dense": np.ones((6, 64), np.float32), "last": np.ones((3, 6), np.float32)}


def test_any_order_gives_the_same_network(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    for order in permutations(NODES[:-1]):  # the output is that of the last node
        path.write_bytes(model([*order, NODES[-1]], CONSTANTS))
        assert len(importers.load_float(path).layers) == 2


def test_a_cycle_names_a_node(tmp_path: Path) -> None:
    nodes = chain(("Flatten", (), {}), ("Add", ("out2",), {}), ("Relu", (), {}), ("Gemm", ("dense",), {"transB": 1}))
    path = tmp_path / "net.onnx"
    path.write_bytes(model(nodes, CONSTANTS))
    with pytest.raises(ModelError, match=r"node 2 of 4, .*\(Add\), takes what depends on its own output; export a graph"):
        importers.load(path)
