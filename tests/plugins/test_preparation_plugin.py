"""A kind of preparation that somebody else brings: trained with, saved, inspected, and applied wherever samples are made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from networks import random_network
from PIL import Image

from ebpfnn.bodies import modelfile
from ebpfnn.network.preparation import Preparation

Run = Callable[..., "subprocess.CompletedProcess[str]"]
PIXELS = np.random.default_rng(3).integers(0, 256, (9, 12), dtype=np.uint8)
MIDDLE = PIXELS[2:7, 3:9][:, ::-1]
"""What the new kind makes of them for 5x6, mirrored."""

SHOW = """
import sys, ebpfnn
from ebpfnn.plugin import Plugins
from pathlib import Path
network = ebpfnn.load(sys.argv[1])
plugins = Plugins.installed(files=[Path(sys.argv[3])])
(sample,) = ebpfnn.samples(network, sys.argv[2], plugins=plugins)
print(sample.data.tolist(), sample.notes)
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    network = random_network((30, 8, 3), 1, (5, 6))
    form = replace(network.input, prepared=Preparation("middle", {"mirror": "yes"}))
    modelfile.save(replace(network, input=form), tmp_path / "net.safetensors")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    return tmp_path


@pytest.mark.root
def test_a_new_kind_prepares_for_every_verb(model: Path, elsewhere: Run) -> None:
    (model / "show.py").write_text(SHOW)
    folder = model / "data" / "one"
    folder.mkdir(parents=True)
    Image.fromarray(PIXELS).save(folder / "a.png")
    commands = """
        ebpfnn plugins new preparation middle
        python show.py net.safetensors a.png middle/middle
        ebpfnn inspect net.safetensors --plugin middle/middle | grep preparation:
        ebpfnn infer --plugin middle/middle --model net.safetensors --trigger run --check --json a.png
        ebpfnn plugins --plugin middle/middle --json"""
    ran = elsewhere(model, commands)
    assert ran.returncode == 0, ran.stderr
    *_, shown, told, inferred = ran.stdout.split('{\n  "plugins"')[0].splitlines()
    assert shown == f"{MIDDLE.tolist()} ('middle of 12x9',)"
    assert told == "preparation: middle (mirror yes)"
    assert json.loads(inferred)["check"] is True
    assert json.loads(inferred)["notes"] == ["middle of 12x9"]
    listed = json.loads('{\n  "plugins"' + ran.stdout.split('{\n  "plugins"')[1])["plugins"]
    assert [row["kind"] for row in listed if row["name"] == "middle"] == ["preparation"]


def test_without_its_plugin_a_network_is_inspected_and_not_fed(model: Path, elsewhere: Run) -> None:
    ran = elsewhere(model, "ebpfnn inspect net.safetensors | grep preparation: ; ebpfnn infer --model net.safetensors a.png")
    assert "preparation: middle (its plugin is not installed)" in ran.stdout
    assert ran.returncode != 0
    assert ran.stderr.splitlines()[-1].startswith("ebpfnn: preparation 'middle' not found; installed: ")
