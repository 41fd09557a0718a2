"""The template of a plugin: the directory that ``ebpfnn plugins new`` writes. It builds, installs and runs unchanged."""

from __future__ import annotations

import importlib.util
import keyword
import os
import re
from pathlib import Path

from .. import abi
from ..errors import PluginError
from ..files.staging import stage

_TEMPLATES = Path(__file__).parent / "skeletons"
_FILES = {
    "trigger": ("pyproject.toml", "Makefile", "@NAME@/__init__.py", "@NAME@/@NAME@.bpf.c"),
    "input": ("pyproject.toml", "@NAME@/__init__.py"),
    "preparation": ("pyproject.toml", "@NAME@/__init__.py"),
    "reducer": ("pyproject.toml", "@NAME@/__init__.py"),
    "encoder": ("pyproject.toml", "@NAME@/__init__.py"),
    "body": ("pyproject.toml", "@NAME@/__init__.py"),
}
KINDS = tuple(_FILES)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def write(kind: str, name: str, parent: Path) -> list[Path]:
    """Writes a plugin of ``kind`` (one of ``KINDS``) into the new directory ``parent/name``, and returns its files.

    The directory appears whole or not at all. Raises :class:`PluginError` if the name cannot be that of a Python module or is
    that of an existing one, if ``parent/name`` exists, or if ``parent`` cannot be written.
    """
    _check(name)
    files = {file.replace("@NAME@", name): _fill(kind, file, name) for file in _FILES[kind]}
    place = parent / name
    if os.path.lexists(place):
        raise PluginError(f"{place}: exists already; choose another name, or remove it")
    try:
        _write(place, files)
    except OSError as fault:
        raise PluginError(f"{place}: cannot be written ({fault.strerror}); choose another directory") from fault
    return [place / file for file in files]


def _check(name: str) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        rule = "use 1 to 40 of a-z, 0-9 and _, a letter first, and no keyword of Python"
        raise PluginError(f"'{name}' cannot be a plugin's name; {rule}")
    found = importlib.util.find_spec(name)
    if found is not None and found.origin is not None:
        raise PluginError(f"'{name}' is a Python module's name already ({found.origin}); choose another")


def _fill(kind: str, file: str, name: str) -> str:
    template = file.rpartition("/")[2].replace("@NAME@", "plugin") + ".in"
    return (_TEMPLATES / kind / template).read_text().replace("@NAME@", name).replace("@ABI@", str(abi.VERSION))


def _write(place: Path, files: dict[str, str]) -> None:
    """Written beside ``place`` first. rename(2) replaces no directory except an empty one."""
    with stage(place.parent, folder=True) as (beside, descriptor):
        for file, text in files.items():
            (beside / file).parent.mkdir(exist_ok=True)
            (beside / file).write_text(text)
        mask = os.umask(0o077)
        os.umask(mask)
        os.fchmod(descriptor, 0o777 & ~mask)
        beside.rename(place)
