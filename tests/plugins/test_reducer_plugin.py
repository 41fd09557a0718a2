"""A reducer and an encoder that somebody else brings: built, installed, and used in a spec."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.network.preparation import Preparation

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SPEC = """
name = "sizes"
key = "flow"
[[event]]
trigger = "xdp"
[[column]]
name = "large"
reduce = "reached"
level = 1000
of = "length"
encode = { kind = "squares", count = 3, scale = 1 }
"""
USE = """
from pathlib import Path
from ebpfnn.events import bind, load, replay, samples
from ebpfnn.events.bind_columns import described_column
from ebpfnn.observer import Mode, compile_observer
from ebpfnn.plugin import Plugins
from ebpfnn.preparation import columns

plugins = Plugins.installed()
spec = load(Path("sizes.toml"))
bound = bind(spec, {"xdp": plugins.trigger("xdp").fields(None)}, plugins.reducers, plugins.encoders)
packet = dict.fromkeys(bound.events[0].fields, 0)
rows = list(replay(bound, [(0, packet | {"length": length}) for length in (1000, 999, 1500, 1000, 1001)]))
print([row.results for row in rows])
encoded = columns.read({"columns": [described_column("large", spec.columns[0])]}, plugins.encoders)
print(encoded[0].bounds, samples(bound, encoded, rows).ravel().tolist())
print(type(compile_observer(bound, 0, Mode.ROWS)).__name__)
"""


def test_a_reducer_and_an_encoder_build_install_and_are_used(tmp_path: Path, elsewhere: Run) -> None:
    (tmp_path / "sizes.toml").write_text(SPEC)
    (tmp_path / "use.py").write_text(USE)
    commands = """
        ebpfnn plugins new reducer reached
        ebpfnn plugins new encoder squares
        pip install -q ./reached ./squares
        ebpfnn plugins | grep -E '^(reducer +reached|encoder +squares) '
        python use.py"""
    ran = elsewhere(tmp_path, commands)
    assert ran.returncode == 0, ran.stderr
    *_, encoder, reducer, rows, sample, compiled = ran.stdout.splitlines()
    assert "ebpfnn-reached 0.1.0" in encoder + reducer
    assert rows == "[(1,), (1,), (2,), (3,), (4,)]"
    assert sample == "(1, 4, 9) [1, 1, 1, 1, 2]"
    assert compiled == "ObjectSpec"
    refused = elsewhere(tmp_path, "pip uninstall -q -y squares ebpfnn-squares && python use.py")
    assert "column 'large': encode: 'large' has the encoder 'squares', which is not installed; install the" in refused.stderr


def test_without_its_encoder_a_network_is_inspected_and_not_fed(tmp_path: Path, elsewhere: Run) -> None:
    network = random_network((1, 8, 3), 1)
    options = {"columns": [{"name": "n", "type": "integer", "encode": "squares", "count": 3, "scale": 1}]}
    form = replace(network.input, prepared=Preparation("columns", options))
    modelfile.save(replace(network, input=form), tmp_path / "net.safetensors")
    (tmp_path / "a.csv").write_text("n\n5\n")
    ran = elsewhere(tmp_path, "ebpfnn inspect net.safetensors | grep preparation: ; ebpfnn infer --model net.safetensors a.csv")
    why = "column 0: 'n' has the encoder 'squares', which is not installed; install the plugin that has it, or use"
    assert f"preparation: columns, not usable: {why}" in ran.stdout
    assert ran.returncode != 0
    assert ran.stderr.splitlines()[-1].startswith(f"ebpfnn: preparation 'columns': {why}")
