"""What docs/api.md shows can be shown: its modules import, and every public name says what it is."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache, cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
API = (DOCS / "api.md").read_text()
MODULES = re.findall(r"^\.\. automodule:: ([\w.]+)$", API, re.MULTILINE)


def exported(module: ModuleType) -> list[str]:
    """What ``__all__`` has, or else the classes and functions of the file."""
    own = (name for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
    return list(getattr(module, "__all__", None) or (name for name in own if not name.startswith("_")))


NAMES = [(module, name) for module in MODULES for name in exported(import_module(module))]
CONSTANTS = [
    (module, name)
    for module, name in NAMES
    if not (inspect.isroutine(value := getattr(import_module(module), name)) or inspect.isclass(value))
]


def undocumented(name: str, value: Any) -> Iterator[str]:
    """``name`` and its public methods, those that say nothing; a dataclass that has only its signature says nothing."""
    told = vars(value).get("__doc__") if inspect.isclass(value) else inspect.getdoc(value)
    if not told or told.startswith(f"{name}("):
        yield name
    for key, member in vars(value).items() if inspect.isclass(value) else ():
        method = isinstance(member, (property, cached_property, classmethod, staticmethod)) or inspect.isfunction(member)
        if method and not key.startswith("_") and not inspect.getdoc(getattr(value, key)):
            yield f"{name}.{key}"


@cache
def constants_with_docstrings(package: str) -> set[str]:
    """What is assigned in a file of the package with a string on the lines after it."""
    found = set()
    for path in ROOT.joinpath(*package.split(".")).rglob("*.py"):
        body = ast.parse(path.read_text()).body
        for assigned, told in pairwise(body):
            if isinstance(assigned, ast.Assign) and isinstance(told, ast.Expr) and isinstance(told.value, ast.Constant):
                found |= {each.id for each in ast.walk(assigned.targets[0]) if isinstance(each, ast.Name)}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_says_what_it_is(module: str) -> None:
    assert import_module(module).__doc__


@pytest.mark.parametrize(("module", "name"), [each for each in NAMES if each not in CONSTANTS])
def test_a_public_name_says_what_it_is(module: str, name: str) -> None:
    assert list(undocumented(name, getattr(import_module(module), name))) == []


@pytest.mark.parametrize(("module", "name"), CONSTANTS)
def test_a_public_constant_says_what_it_is_and_is_shown(module: str, name: str) -> None:
    assert name in constants_with_docstrings(module)
    assert f"\n.. autodata:: {module}.{name}\n" in API  # automodule leaves out what another file assigns


def test_every_page_is_in_the_contents() -> None:
    contents = "".join(re.findall(r"```{toctree}(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL))
    pages = {page.stem for page in DOCS.glob("*.md")} - {"index"}
    assert sorted(re.findall(r"^[\w-]+$", contents, re.MULTILINE)) == sorted(pages)
