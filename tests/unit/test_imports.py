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

RUNNING = {"errors", "network", "obj", "kernel", "abi", "built", "plugin", "compiler", "slots", "session"}
DATA = {"errors", "network", "modelfile", "reference", "quantization", "idx", "mnist"}
ALLOWED = {
    "errors": set[str](),
    "obj": {"errors"},
    "network": {"errors"},
    "idx": {"errors"},
    "mnist": {"errors", "idx"},
    "modelfile": {"errors", "network"},
    "reference": {"errors", "network"},
    "quantization": {"errors", "network"},
    "importers": {"errors", "network"},
    "abi": {"errors", "network"},
    "kernel": {"errors", "obj"},
    "built": {"errors", "obj"},
    "compiler": {"errors", "network", "obj", "built", "abi"},
    "plugin": {"errors", "kernel", "obj", "abi", "built"},
    "slots": {"errors", "kernel", "abi"},
    "session": {"errors", "network", "obj", "kernel", "abi", "plugin", "compiler", "slots"},
    "training": DATA,
    "doctor": RUNNING | DATA,
    "bench": RUNNING | DATA,
    "bench_process": {"errors", "mnist"},
    "cli": RUNNING | DATA | {"doctor", "bench", "bench_process", "training", "importers"},
    "__init__": RUNNING | DATA,
    "__main__": {"cli"},
}
"""The rooms that each room may import from, besides itself and what the package itself exports."""
PUBLIC = {"ebpfnn", "ebpfnn.plugin", "ebpfnn.errors", "ebpfnn.obj", "ebpfnn.kernel", "ebpfnn.abi"}
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


@pytest.mark.parametrize("path", [path for path in PACKAGE + PLUGINS if "training" not in path.parts], ids=name)
def test_torch_is_imported_in_the_training_room_alone(path: Path) -> None:
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
