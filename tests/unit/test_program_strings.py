"""Programs that tests give to other interpreters as strings: a move of a module must not leave them behind."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
IMPORTS = re.compile(r"^(?:from|import) ebpfnn\b[^{\n]*$", re.MULTILINE)
"""Whole lines: the rest may be a template, which is no program yet."""


def programs(source: str) -> Iterator[str]:
    """The strings in ``source`` that import something of ebpfnn."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and IMPORTS.search(node.value):
            yield node.value


def imported(program: str) -> Iterator[tuple[str, str | None]]:
    """Each module of ebpfnn that ``program`` imports, and each name out of it."""
    for node in ast.walk(ast.parse("\n".join(IMPORTS.findall(program)))):
        if isinstance(node, ast.Import):
            yield from ((each.name, None) for each in node.names if each.name.split(".")[0] == "ebpfnn")
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "ebpfnn":
            yield from ((str(node.module), each.name) for each in node.names)


def resolves(module: str, name: str | None) -> bool:
    try:
        if importlib.util.find_spec(module) is None:
            return False
        return name is None or hasattr(import_module(module), name) or importlib.util.find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError as lack:
        return str(lack.name).split(".")[0] != "ebpfnn" and importlib.util.find_spec(module) is not None


FILES = [path for path in sorted(TESTS.rglob("*.py")) if any(programs(path.read_text()))]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(TESTS)) for path in FILES])
def test_their_imports_are_there(path: Path) -> None:
    for program in programs(path.read_text()):
        for module, name in imported(program):
            assert resolves(module, name), f"from {module} import {name}"


def test_there_are_some_and_one_that_moved_is_found() -> None:
    assert len(FILES) > 5
    assert not resolves("ebpfnn.modelfile", None)
    assert not resolves("ebpfnn.gone.modelfile", "load")
    assert not resolves("ebpfnn.network", "nothing_of_the_kind")
    assert resolves("ebpfnn.bodies", "modelfile")
