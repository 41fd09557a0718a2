"""ONNX files: what is looked at before a graph is walked.

Beside the file, only weights that it has in other files are read (:mod:`.onnx_external`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..network.layers import expect
from . import onnx_external, onnx_order, onnx_quant, onnx_wire

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 64 << 20
_DOMAINS = frozenset({"", "ai.onnx", "com.microsoft", "ai.onnx.ml"})
_CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def parse(data: bytes, folder: Path) -> onnx.ModelProto:
    """The model in ``data``, which onnx's checker accepts: one graph of nodes in order, with the weights from ``folder``.

    Raises :class:`ModelError`, naming the node where there is one.
    """
    package = _onnx()
    from google.protobuf.message import DecodeError

    onnx_wire.check(data, package.ModelProto.DESCRIPTOR)
    try:
        model: onnx.ModelProto = package.load_model_from_string(data)
    except DecodeError as error:
        raise ModelError("not an ONNX file, or cut short; copy or export it again") from error
    expect(len(model.graph.node) > 0, "not an ONNX file, or one without nodes; copy or export it again")
    _check(model)
    onnx_order.sort(model.graph, where)
    onnx_external.take_in(_tensors(model.graph), folder)
    _check_versions(model, package)
    try:
        package.checker.check_model(model)
    except (package.checker.ValidationError, ValueError, IndexError, RuntimeError) as error:  # what it throws for damage, too
        fact = (str(error).strip() or type(error).__name__).splitlines()[0]
        unknown = re.match("No Op registered for ([A-Za-z0-9_]+) ", fact)
        if unknown:
            remedy = "no runtime takes the file; train with another function, such as gelu(approximate=True) instead of gelu"
            raise ModelError(f"has the operator {unknown[1]}, which ONNX does not define; {remedy}") from error
        raise ModelError(f"onnx's checker refuses it ({fact}); export it again") from error
    return model


def source(model: onnx.ModelProto) -> str:
    """What made the file, for a card."""
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    made = " ".join(each for each in (model.producer_name, model.producer_version) if isinstance(each, str) and each)
    return f"ONNX, opset {opset}" + (f", {made}" if made and made.isprintable() else "")


def where(number: int, node: onnx.NodeProto, count: int) -> str:
    """How people find a node: its place, counted from 1, its name or output, and its operator."""
    name = node.name or (node.output[0] if node.output else "")
    return f"node {number} of {count}, {name!r} ({node.op_type}),"


def _onnx() -> ModuleType:
    try:
        import onnx
        import onnx.checker
    except ImportError as error:
        raise ModelError("reading ONNX files takes the package onnx; pip install 'ebpfnn[onnx]'") from error
    return onnx


def _check(model: onnx.ModelProto) -> None:
    graph, count = model.graph, len(model.graph.node)
    for number, node in enumerate(graph.node, 1):
        here = where(number, node, count)
        control = node.op_type in _CONTROL_FLOW or any(each.HasField("g") or each.graphs for each in node.attribute)
        loops = "is control flow, as recurrent layers (GRU) and nearest neighbors are written"
        expect(not control, f"{here} {loops}; export a network without loops and branches")
        known = node.domain in _DOMAINS or node.domain in onnx_quant.DOMAINS
        expect(known, f"{here} is of the domain {node.domain!r}; export with ONNX's own operators")
    if model.functions:
        raise ModelError(f"defines the function {model.functions[0].name!r}; inline it with onnx.inliner first")
    expect(not graph.sparse_initializer, "holds sparse weights; export dense ones")


def _check_versions(model: onnx.ModelProto, package: ModuleType) -> None:
    """Names what only a later onnx knows. QONNX's exporters leave out their own domains, which the checker wants."""
    named = {each.domain for each in model.opset_import}
    for domain in sorted(onnx_quant.DOMAINS & {node.domain for node in model.graph.node} - named):
        model.opset_import.append(package.helper.make_opsetid(domain, 1))
    latest = package.defs.onnx_opset_version()
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    remedy = f"export it with opset_version={latest}, or upgrade onnx"
    expect(opset <= latest, f"is of opset {opset}, and this onnx knows opsets up to {latest}; {remedy}")
    newest = package.helper.VERSION_TABLE[-1][1]
    expect(model.ir_version <= newest, f"is of IR version {model.ir_version}, and this onnx knows up to {newest}; {remedy}")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
