"""One number for all that is built apart: what carries it, and what is refused that carries another."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ebpfnn_plugins
import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from networks import random_network

from ebpfnn import abi
from ebpfnn.bodies import modelfile
from ebpfnn.built import OBJECTS
from ebpfnn.errors import PluginError
from ebpfnn.obj import ObjectSpec
from ebpfnn.session import loading

SMALL = random_network((9, 5, 3), seed=1)
SHELLS = sorted(path for path in OBJECTS.glob("*.bpf.o") if path.name.split(".")[0] not in ("network", "naive", "trees"))


def number(shell: ObjectSpec) -> int:
    place = shell.variables[abi.VARIABLE]
    contents = shell.maps[place.map].contents
    assert contents is not None
    return int.from_bytes(contents[place.offset : place.offset + place.size], "little")


@pytest.mark.parametrize("path", SHELLS, ids=lambda path: path.name)
def test_each_shell_carries_the_number(path: Path) -> None:
    shell = ObjectSpec.from_file(path)
    assert number(shell) == abi.VERSION
    assert shell.maps[shell.variables[abi.VARIABLE].map].name == ".rodata"


def test_plugins_and_model_files_that_ship_carry_it() -> None:
    assert ebpfnn_plugins.EBPFNN_ABI == abi.VERSION
    assert f'"version":"{abi.VERSION}"'.encode() in modelfile.encode(SMALL)
    assert modelfile.bundled()
    for name in modelfile.bundled():
        modelfile.load_named(name)  # those of version 2 stay readable, whatever the number is then


def older(shell: ObjectSpec) -> None:
    shell.set_variable(abi.VARIABLE, struct.pack("<I", 1))


def newer(shell: ObjectSpec) -> None:
    shell.set_variable(abi.VARIABLE, struct.pack("<I", 3))


def without(shell: ObjectSpec) -> None:
    del shell.variables[abi.VARIABLE]


@pytest.mark.parametrize("trigger", [RunTrigger(), TracepointTrigger()], ids=lambda trigger: trigger.name)
@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (older, "was built for ABI version 1"),
        (newer, "was built for ABI version 3"),
        (without, "carries no ABI version"),
    ],
)
def test_a_shell_of_another_is_refused_before_it_is_loaded(
    trigger: Any, change: Callable[[ObjectSpec], None], fact: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def from_file(path: Path) -> ObjectSpec:
        shell = ObjectSpec.from_file(path)
        change(shell)
        return shell

    monkeypatch.setattr(loading, "ObjectSpec", SimpleNamespace(from_file=from_file))
    told = rf"^trigger '{trigger.name}': /.*\.bpf\.o {fact}, and this ebpfnn has 2; rebuild it .*include-dir\)$"
    with pytest.raises(PluginError, match=told):
        loading.load(SMALL, trigger, SimpleNamespace(workspace=0))  # type: ignore[arg-type]
