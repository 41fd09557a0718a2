"""A network that observes events, as an ONNX file: the spec, the columns and the labels come back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from guards import guard
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import ModelError
from ebpfnn.exporters.onnx import build, export
from ebpfnn.importers import ImportOptions, load
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.events import MOST_BYTES
from ebpfnn.network.onnxkeys import EVENTS, LABELS, PREPARATION
from ebpfnn.network.preparation import Preparation
from ebpfnn.quantize.floats import Network

onnx = pytest.importorskip("onnx", reason="the package onnx is not installed")


def written(path: Path, **changes: str | None) -> Path:
    """The file of a guard, with other metadata, by their names with ``_`` for ``.``; None leaves them out."""
    model = build(guard())
    told = {each.key: each.value for each in model.metadata_props}
    for name, value in changes.items():
        key = name.replace("_", ".")
        assert key in told
        told.pop(key)
        told |= {} if value is None else {key: value}
    onnx.helper.set_model_props(model, told)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_network_that_observes_comes_back(tmp_path: Path) -> None:
    network = guard(mode="generic")
    export(network, tmp_path / "guard.onnx")
    found = load(tmp_path / "guard.onnx")
    assert isinstance(found, QuantizedNetwork)
    assert found.events == network.events
    assert found.events["mode"] == "generic"
    assert found.input == network.input
    assert found.labels == network.labels == ("tcp", "udp", "other")
    given = np.random.default_rng(1).integers(0, 256, (200, network.input.size), dtype=np.uint8)
    assert reference.scores(found, given).argmax(1).tolist() == reference.scores(network, given).argmax(1).tolist()
    modelfile.save(found, tmp_path / "again.safetensors")
    assert modelfile.load(tmp_path / "again.safetensors").events == network.events


def test_what_the_user_says_comes_first(tmp_path: Path) -> None:
    options = ImportOptions(labels=("a", "b", "c"), prepared=Preparation("raw"))
    found = load(written(tmp_path / "guard.onnx"), options)
    assert (found.labels, found.input.preparation.kind) == (("a", "b", "c"), "raw")
    assert found.events == guard().events


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    modelfile.save(guard(), "guard.safetensors")
    assert CliRunner().invoke(main, ["export", "guard.safetensors", "--onnx", "guard.onnx"]).exit_code == 0
    samples = np.random.default_rng(1).integers(0, 256, (50, guard().input.size), dtype=np.uint8)
    np.savez("some.npz", samples=samples, labels=np.arange(50) % 3)
    ran = CliRunner().invoke(main, ["quantize", "guard.onnx", "--calibration", "some.npz", "--output", "again.safetensors"])
    assert ran.exit_code == 0, ran.output
    found = modelfile.load("again.safetensors")
    assert (found.events, found.labels, found.input) == (guard().events, guard().labels, guard().input)


def test_a_network_without_a_spec_has_none(tmp_path: Path) -> None:
    export(random_network((9, 5, 3), seed=1), tmp_path / "a.onnx")
    keys = {each.key for each in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert not keys & {EVENTS, PREPARATION}
    assert load(tmp_path / "a.onnx").events == {}
    assert load(written(tmp_path / "b.onnx", ebpfnn_events=None, ebpfnn_preparation=None)).events == {}


def test_a_network_in_floats_carries_it_too(tmp_path: Path) -> None:
    helper, types = onnx.helper, onnx.TensorProto
    size = guard().input.size
    weights = onnx.numpy_helper.from_array(np.ones((3, size), np.float32), "weights")
    node = helper.make_node("Gemm", ["x", "weights"], ["y"], transB=1)
    ends = [[helper.make_tensor_value_info(name, types.FLOAT, ["n", count])] for name, count in (("x", size), ("y", 3))]
    model = helper.make_model(
        helper.make_graph([node], "floats", *ends, [weights]),
        producer_name="ebpfnn",
        ir_version=7,
        opset_imports=[helper.make_opsetid("", 13)],
    )
    helper.set_model_props(model, {EVENTS: json.dumps(dict(guard().events))})
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    found = load(tmp_path / "a.onnx")
    assert isinstance(found, Network)
    assert found.events == guard().events
    model.producer_name = "another"
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    assert load(tmp_path / "a.onnx").events == {}


LARGE = {**guard().events, "spec": {**guard().events["spec"], "more": "x" * MOST_BYTES}}
REFUSED = {
    "no JSON": ({"ebpfnn_events": "{"}, "'ebpfnn.events' are not JSON; "),
    "deep": ({"ebpfnn_events": "[" * 40_000}, "'ebpfnn.events' are not JSON; "),
    "no object": ({"ebpfnn_events": "[1]"}, "'events' must be of type dict"),
    "empty": ({"ebpfnn_events": "{}"}, "'events' must hold a spec"),
    "no spec": ({"ebpfnn_events": '{"a": 1}'}, "'events' must hold a spec, a trigger and a mode"),
    "mode": ({"ebpfnn_events": json.dumps({**guard().events, "mode": "fast"})}, "mode 'fast' is not known"),
    "large": ({"ebpfnn_events": json.dumps(LARGE)}, f"'ebpfnn.events' have [0-9]+ characters, over {MOST_BYTES}"),
    "kind": ({"ebpfnn_preparation": '{"kind": 1, "options": {}}'}, "'ebpfnn.preparation': 'kind' must be of type str"),
    "options": ({"ebpfnn_preparation": '{"kind": "columns"}'}, "'ebpfnn.preparation': 'options' must be of type dict"),
    "NaN": ({"ebpfnn_preparation": '{"kind": "columns", "options": {"a": NaN}}'}, "its options are no JSON"),
    "labels": ({LABELS: '"abc"'}, "'labels' must be of type list"),
    "few labels": ({LABELS: '["a"]'}, "has 3 outputs but there are 1 labels; give one label an output"),
    "unprintable": ({LABELS: '["a", "b", "\\u001b"]'}, "'labels' must be printable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_model_file_could_hold_is_refused(tmp_path: Path, name: str) -> None:
    changes, reason = REFUSED[name]
    with pytest.raises(ModelError, match=rf"a\.onnx: .*{reason}"):
        load(written(tmp_path / "a.onnx", **changes))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    data = written(tmp_path / "a.onnx").read_bytes()
    at = data.index(b'{"spec"')
    (tmp_path / "b.onnx").write_bytes(data[: at + 2] + b"\xff" + data[at + 3 :])
    with pytest.raises(ModelError, match=r"b\.onnx: "):
        load(tmp_path / "b.onnx")


@pytest.mark.parametrize("network", [guard(), random_network((9, 5, 3), seed=1)], ids=["observes", "is given samples"])
def test_a_card_cannot_pass_for_a_spec(tmp_path: Path, network: QuantizedNetwork) -> None:
    export(replace(network, card={EVENTS: "mine", LABELS: "mine", PREPARATION: "mine"}), tmp_path / "a.onnx")
    assert load(tmp_path / "a.onnx").events == network.events
