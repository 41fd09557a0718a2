"""The rooms of the package and who may import whom: downward only, so that each is understood without those above.

What a room may import is written here in full; a file that belongs to no room fails, so that a new room must be given a place.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FORMAT = {"errors", "layers", "architecture", "network", "encoding"}
RUNNING = FORMAT | {"obj", "kernel", "abi", "built", "plugin", "compiler", "target", "loading", "slots", "runner", "session"}
STORED = {"errors", "layers", "network", "fields", "files", "tensorfile"}
SETS = {"idx", "mnist", "npz", "imagefolder", "datasets"}
DATA = FORMAT | STORED | SETS | {"modelfile", "floatfile", "floats", "reference", "float_reference", "quantization", "trimming"}
ALLOWED = {
    "errors": set[str](),
    "layers": {"errors"},
    "architecture": {"errors", "layers"},
    "network": {"errors", "layers", "architecture"},
    "encoding": {"errors", "layers"},
    "floats": {"layers"},
    "reference": FORMAT,
    "float_reference": FORMAT | {"floats"},
    "scales": {"errors", "layers", "floats"},
    "trimming": FORMAT | {"floats", "scales"},
    "quantization": FORMAT | {"floats", "reference", "float_reference", "scales"},
    "files": {"errors"},
    "fields": {"errors", "layers"},
    "tensorfile": {"errors", "layers"},
    "modelformat": STORED,
    "modelfile": STORED | {"modelformat"},
    "floatfile": STORED | {"floats", "float_reference"},
    "idx": {"errors"},
    "mnist": {"errors", "idx"},
    "npz": {"errors", "idx"},
    "imagefolder": {"errors", "layers", "idx"},
    "datasets": {"errors", "layers", "idx", "mnist", "npz", "imagefolder"},
    "importers": FORMAT | STORED | {"floats", "reference", "float_reference", "quantization", "scales"},
    "exporters": FORMAT | STORED | {"modelformat"},
    "obj": {"errors"},
    "kernel": {"errors", "obj"},
    "abi": {"errors", "network"},
    "built": {"errors", "obj"},
    "compiler": FORMAT | {"obj", "built", "abi"},
    "plugin": {"errors", "layers", "kernel", "obj", "abi", "built"},
    "target": FORMAT | {"obj", "kernel", "compiler"},
    "loading": FORMAT | {"protocol", "obj", "kernel", "abi", "plugin", "compiler"},
    "slots": FORMAT | {"obj", "kernel", "abi", "plugin"},
    "runner": FORMAT | {"obj", "kernel", "abi", "plugin", "slots"},
    "session": RUNNING - {"session"},
    "instance": RUNNING | DATA,
    "protocol": {"errors"},
    "query": FORMAT | {"protocol"},
    "training": DATA | {"importers"},
    "evaluation": RUNNING | DATA,
    "doctor": RUNNING | DATA,
    "bench": RUNNING | DATA,
    "inspection": RUNNING | DATA | {"bench", "evaluation"},
    "cli": RUNNING
    | DATA
    | {"doctor", "instance", "query", "bench", "inspection", "evaluation", "exporters", "importers", "training"},
    "__init__": RUNNING | DATA | {"instance"},
    "__main__": {"cli"},
}
"""The rooms that each room may import from, besides itself and what the package itself exports."""
PUBLIC = {"ebpfnn", "ebpfnn.plugin", "ebpfnn.errors", "ebpfnn.obj", "ebpfnn.kernel", "ebpfnn.abi", "ebpfnn.protocol"}
"""What plugins may import."""
TORCH = {"torch", "torchvision"}
PACKAGE = sorted((ROOT / "ebpfnn").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it, by full name; ``from a import b`` is ``a.b`` where that is a module."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
                if node.level
                else node.module
            )
            yield from (_module(str(base), alias.name) for alias in node.names)


def _module(base: str, name: str) -> str:
    inside = ROOT.joinpath(*base.split("."), name)
    return f"{base}.{name}" if inside.with_suffix(".py").exists() or inside.is_dir() else base


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_the_package_imports_downward_only(path: Path) -> None:
    here = path.relative_to(ROOT).with_suffix("").parts[1]
    assert here in ALLOWED, f"{here} has no place in ALLOWED"
    reached = {room(module) for module in imports(path) if module.split(".")[0] == "ebpfnn"}
    assert reached - {here} <= ALLOWED[here]


@pytest.mark.parametrize("path", PACKAGE, ids=name)
def test_the_package_imports_no_plugin(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & {"ebpfnn_plugins", "plugins"}


KNOW_TORCH = {"training", "importers", "torch_module.py"}
"""Rooms, and the file that times PyTorch beside the kernel."""


@pytest.mark.parametrize("path", [path for path in PACKAGE + PLUGINS if not KNOW_TORCH & {*path.parts}], ids=name)
def test_torch_is_imported_where_training_and_imports_are_alone(path: Path) -> None:
    assert not {module.split(".")[0] for module in imports(path)} & TORCH


@pytest.mark.parametrize("path", PLUGINS, ids=name)
def test_plugins_import_public_names_alone(path: Path) -> None:
    assert {module for module in imports(path) if module.split(".")[0] == "ebpfnn"} <= PUBLIC


def test_the_table_of_rooms_has_no_way_up() -> None:
    def below(room: str, path: tuple[str, ...]) -> None:
        assert room not in path, f"{' -> '.join(path)} -> {room}"
        for lower in ALLOWED[room]:
            below(lower, (*path, room))

    for each in ALLOWED:
        below(each, ())


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import ebpfnn", {"torch", "torchvision", "click", "PIL"}),
        ("import ebpfnn.session", {"torch", "torchvision", "click", "PIL"}),
        ("import ebpfnn.plugin", {"torch", "torchvision", "click", "PIL"}),
        ("import ebpfnn.cli.infer", {"torch", "torchvision", "PIL"}),
        ("import ebpfnn.cli", {"torch", "numpy", "PIL", "rich", "pluggy", "importlib.metadata"}),
        ("import ebpfnn_plugins.image_file, ebpfnn_plugins.image_stream", {"torch", "PIL"}),
    ],
)
def test_what_is_not_needed_yet_is_not_imported(statement: str, absent: set[str]) -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    program = f"{statement}; import sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=True
    )
    assert not absent & set(ran.stdout.split())
