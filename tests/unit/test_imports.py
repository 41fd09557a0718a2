"""The rooms of the package and who may import whom: downward only, so that each is understood without those above.

What a room may import is the table of docs/architecture.md; a file that belongs to no room fails, so that a new room must be
given a place there.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from ebpfnn.cli import VERBS

ROOT = Path(__file__).parents[2]

ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
ROW = re.compile(r"^\| `(\w+)(?:\.py|/)` \|[^|]*\|([^|]*)\|$", re.M)
ALLOWED = {room: {*re.findall(r"\w+", below)} for room, below in ROW.findall(ARCHITECTURE)}
"""The rooms that each room may import from, besides itself and what the package itself exports: the table for readers."""
PUBLIC = {"ebpfnn", "ebpfnn.plugin", "ebpfnn.errors", "ebpfnn.obj", "ebpfnn.kernel", "ebpfnn.abi", "ebpfnn.remote.protocol"}
PUBLIC |= {"ebpfnn.bodies", "ebpfnn.events", "ebpfnn.preparation"}
"""What plugins may import."""
TORCH = {"torch", "torchvision"}
PACKAGE = sorted((ROOT / "ebpfnn").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))


@cache
def imports(path: Path) -> list[str]:
    """The modules that a file imports, wherever in it, by full name; ``from a import b`` is ``a.b`` where that is a module."""
    package, found = path.relative_to(ROOT).parts[:-1], []
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - node.level + 1], *filter(None, [node.module])))
                if node.level
                else node.module
            )
            found += [_module(str(base), alias.name) for alias in node.names]
    return found


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _module(base: str, name: str) -> str:
    inside = ROOT.joinpath(*base.split("."), name)
    return f"{base}.{name}" if inside.with_suffix(".py").exists() or inside.is_dir() else base


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def reached(path: Path) -> set[str]:
    """The rooms that a file imports from, its own left out."""
    here = own_room(path)
    return {room(module) for module in imports(path) if module.split(".")[0] == "ebpfnn"} - {here}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def own_room(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[1]


def tops(path: Path) -> set[str]:
    """The packages that a file imports from."""
    return {module.split(".")[0] for module in imports(path)}


# One test over all files, which names those that fail: a test for each of them would be two thousand.


def test_every_room_has_a_row_in_the_table() -> None:
    assert not [name(path) for path in PACKAGE if own_room(path) not in ALLOWED]


def test_the_package_imports_downward_only() -> None:
    upward = {name(path): reached(path) - ALLOWED[own_room(path)] for path in PACKAGE if own_room(path) in ALLOWED}
    assert not {path: rooms for path, rooms in upward.items() if rooms}


def test_the_package_imports_no_plugin() -> None:
    assert not [name(path) for path in PACKAGE if tops(path) & {"ebpfnn_plugins", "plugins"}]


KNOW_TORCH = {"training", "importers", "torch_module.py"}
"""Rooms, and the file that times PyTorch beside the kernel."""


def test_torch_is_imported_where_training_and_imports_are_alone() -> None:
    assert not [name(path) for path in PACKAGE + PLUGINS if not KNOW_TORCH & {*path.parts} and tops(path) & TORCH]


def test_plugins_import_public_names_alone() -> None:
    private = {name(path): {*map(published, imports(path))} - PUBLIC - {""} for path in PLUGINS}
    assert private
    assert not {path: modules for path, modules in private.items() if modules}


def published(module: str) -> str:
    """The public name of a module of ours, or one that is not; '' for a module of others."""
    if module.split(".")[0] != "ebpfnn":
        return ""
    return "ebpfnn.preparation" if module.startswith("ebpfnn.preparation.") else module


def test_the_table_of_rooms_has_no_way_up() -> None:
    def below(room: str, path: tuple[str, ...]) -> None:
        assert room not in path, f"{' -> '.join(path)} -> {room}"
        for lower in ALLOWED[room]:
            below(lower, (*path, room))

    for each in ALLOWED:
        below(each, ())


@pytest.mark.parametrize("here", ALLOWED)
def test_the_table_of_rooms_says_no_more_than_there_is(here: str) -> None:
    files = [path for path in PACKAGE if own_room(path) == here]
    assert files
    assert set().union(*map(reached, files)) == ALLOWED[here]


def test_no_two_files_import_each_other() -> None:
    """Not in a function and not for types alone either: who reads one of them would have to know the other first."""
    below = {_dotted(path): set(imports(path)) for path in PACKAGE}
    order = TopologicalSorter(below)
    order.prepare()  # which raises CycleError, with the circle


def _dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


READS_AN_OBJECT = "from ebpfnn import built, obj; obj.ObjectSpec.from_file(built.object_path('tracepoint'))"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import ebpfnn.cli.load, ebpfnn.cli.train, ebpfnn.training.treerun", {"torch", "sklearn"}),
        ("import ebpfnn", {"torch", "sklearn", "torchvision", "click", "PIL"}),
        ("import ebpfnn.session", {"torch", "sklearn", "torchvision", "click", "PIL"}),
        ("import ebpfnn.plugin", {"torch", "torchvision", "click", "PIL"}),
        ("import ebpfnn.cli.infer", {"torch", "sklearn", "torchvision", "PIL", "elftools", "ebpfnn.instance.instance"}),
        (READS_AN_OBJECT, {"elftools", "difflib", "ebpfnn.obj.core.core"}),
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


NAMES_A_VERB = re.compile(rf"\bebpfnn ({'|'.join(VERBS)})\b|EBPFNN_")


def test_the_loader_names_no_verb_of_ours() -> None:
    """It can be used without the rest: what it tells its user to do, it can do itself."""
    loader = [path for path in PACKAGE if {"obj", "kernel"} & {*path.parts}]
    constants = {
        name(path): [node.value for node in ast.walk(parsed(path)) if isinstance(node, ast.Constant)] for path in loader
    }
    assert constants
    named = {
        path: [text for text in told if isinstance(text, str) and NAMES_A_VERB.search(text)] for path, told in constants.items()
    }
    assert not {path: texts for path, texts in named.items() if texts}


def test_one_place_looks_for_near_names() -> None:
    """``nearest`` of the errors; CO-RE and section names show what they find in words of their own."""
    looking = [name(path) for path in PACKAGE if "get_close_matches" in path.read_text()]
    assert looking == ["ebpfnn/errors.py", "ebpfnn/obj/core/core_match.py", "ebpfnn/obj/sections.py"]
