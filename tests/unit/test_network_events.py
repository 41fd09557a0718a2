"""The spec that a network carries: kept in files and by what rewrites networks, and refused if it is malformed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from modelfiles import example, parts, refusal, write
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError
from ebpfnn.exporters import raw
from ebpfnn.network import events
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.floats import FloatDense, Network
from ebpfnn.quantize.quantization import quantize
from ebpfnn.quantize.trimming import share_steps, trim_idle

SPEC = {"name": "flow", "key": "flow", "event": [{"trigger": "xdp"}], "column": [{"name": "n", "reduce": "count"}]}
CARRIED = events.carried(SPEC, "xdp", "generic")


def floats() -> Network:
    random = np.random.default_rng(1)
    layer = FloatDense(random.normal(size=(2, 4)).astype(np.float32), np.zeros(2, np.float32))
    return Network("small", random_network([4, 2], 1).input, ("a", "b"), (layer,), events=CARRIED)


def test_a_file_keeps_the_spec_and_one_without_has_no_word_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    modelfile.save(replace(example(), events=CARRIED), path)
    found = modelfile.load(path)
    assert dict(found.events) == CARRIED
    assert modelfile.encode(found) == path.read_bytes()
    assert "events" not in parts(example())[1]
    modelfile.save(example(), path)
    assert dict(modelfile.load(path).events) == {}


def test_what_rewrites_a_network_keeps_the_spec(tmp_path: Path) -> None:
    samples = np.random.default_rng(2).integers(0, 256, (20, 4), np.uint8)
    for network in (floats(), trim_idle(floats(), samples, 0.1), share_steps(floats())):
        assert dict(quantize(network, samples).events) == CARRIED
    floatfile.save(floats(), tmp_path / "a.float.safetensors")
    assert dict(floatfile.load(tmp_path / "a.float.safetensors").events) == CARRIED
    raw.export(replace(example(), events=CARRIED), tmp_path / "raw")
    assert dict(raw.load(tmp_path / "raw").events) == CARRIED


BENT: dict[str, tuple[Any, str]] = {
    "a list": ([], "'events' must be of type dict"),
    "nothing in it": ({}, "'events' must hold a spec"),
    "no mode": ({"spec": SPEC, "trigger": "xdp"}, "must hold a spec, a trigger and a mode"),
    "a member too many": ({**CARRIED, "code": "x"}, "must hold a spec, a trigger and a mode"),
    "a spec that is text": ({**CARRIED, "spec": "flow"}, "must hold a spec, a trigger and a mode"),
    "no spec": ({**CARRIED, "spec": {}}, "must hold a spec, a trigger and a mode"),
    "a trigger that cannot be printed": ({**CARRIED, "trigger": "x\ndp"}, "trigger 'x\\ndp' is no name"),
    "a trigger that is a number": ({**CARRIED, "trigger": 7}, "trigger 7 is no name"),
    "another mode": ({**CARRIED, "mode": "offload"}, "mode 'offload' is not known"),
    "a mode that is a list": ({**CARRIED, "mode": ["native"]}, "is not known"),
    "too large": ({**CARRIED, "spec": {"name": "x" * events.MOST_BYTES}}, "bytes of JSON, over"),
}


@pytest.mark.parametrize(("given", "reason"), BENT.values(), ids=BENT)
def test_a_malformed_spec_is_refused(tmp_path: Path, given: Any, reason: str) -> None:
    tensors, described, metadata = parts(example())
    write(tmp_path / "a.safetensors", tensors, {**described, "events": given}, metadata)
    assert reason in refusal(tmp_path / "a.safetensors")


def test_a_spec_that_is_no_json_is_refused() -> None:
    with pytest.raises(ModelError, match="is no JSON"):
        replace(example(), events={**CARRIED, "spec": {"name": {1, 2}}})
    with pytest.raises(ModelError, match="is no JSON"):
        replace(example(), events={**CARRIED, "spec": {"name": float("nan")}})
