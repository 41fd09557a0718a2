"""Every verb that changes what is loaded tells it in the audit trail, and none that only looks."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from flooding import network
from netspace import namespace
from test_guard_instances import CALIBRATION

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.instance import Store

pytestmark = pytest.mark.root


@pytest.fixture
def model(store: Store, tmp_path: Path) -> Iterator[Path]:
    del store
    path = tmp_path / "guard.safetensors"
    modelfile.save(replace(network("tc"), calibration=CALIBRATION), path)
    with namespace():
        yield path


def trail(*words: str) -> list[dict[str, object]]:
    ran = CliRunner(env={"EBPFNN_LOG": "json", "SUDO_USER": "alice"}).invoke(main, [*words], prog_name="ebpfnn")
    assert ran.exit_code == 0, ran.output
    told = [json.loads(line) for line in ran.stderr.splitlines()]
    return [each for each in told if each["logger"] == "ebpfnn.trail"]


def test_who_changed_what(model: Path, tmp_path: Path) -> None:
    load, enforced = trail("load", str(model), "--target", "here", "--action", "drop", "--enforce", "--for", "1m")
    assert (load["verb"], load["instance"], load["network"]) == ("load", "guard", "guard")
    assert (load["file"], load["trigger"], load["target"], load["action"]) == (str(model), "tc", "here", "drop")
    assert (load["uid"], load["pid"], load["sudo_user"]) == (os.getuid(), os.getpid(), "alice")
    assert (enforced["verb"], enforced["seconds"]) == ("enforce", 60)
    for verb in ("list", "actions", "verdicts"):
        assert trail(verb) == []
    for verb in ("pause", "resume", "audit", "enforce"):
        (told,) = trail(verb, "guard")
        assert (told["verb"], told["instance"]) == (verb, "guard")
    (swapped,) = trail("swap", "guard", str(model))
    assert (swapped["verb"], swapped["digest"]) == ("swap", load["digest"])
    (gone,) = trail("unload", "guard")
    assert (gone["verb"], gone["message"]) == ("unload", "instance 'guard': unload")
    file = tmp_path / "guards.toml"
    file.write_text(
        f"[[instance]]\nname = 'g'\nmodel = '{model.name}'\ntarget = 'here'\naction = 'drop'\nenforce = true\nfor = '1m'"
    )
    applied = trail("apply", str(file))
    assert [(each["verb"], each["instance"], each["by"]) for each in applied] == [
        ("load", "g", "apply"),
        ("enforce", "g", "apply"),
    ]
    assert trail("apply", str(file)) == []
    assert [each["verb"] for each in trail("unload", "--all")] == ["unload"]
