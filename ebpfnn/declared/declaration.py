"""A file of instances, in TOML: tables ``[[instance]]``. docs/operations.md defines them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files
from ..bodies import modelfile
from ..errors import ModelError, UsageError, nearest
from ..events.policy import MOST_AFTER
from ..events.units import duration
from ..files import toml
from ..instance.store import is_name

MOST_BYTES, MOST_INSTANCES = 1 << 20, 256
_TABLE = "instance"
_OF_GUARDS = ("after", "lasting", "most", "allow", "usual_allowed", "cgroup", "enforce", "for")
_OF_BRAKES = ("enforce", "for")
_Check = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isprintable() and value != ""


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_options(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_text(key) and _is_text(each) for key, each in value.items())


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1


_TEXT: tuple[_Check, str] = (_is_text, "a text")
_TEXTS: tuple[_Check, str] = (_is_texts, "a list of texts")
_DURATION: tuple[_Check, str] = (_is_text, 'a duration such as "30s"')
_BOOLEAN: tuple[_Check, str] = (lambda value: isinstance(value, bool), "true or false")
_KEYS: Mapping[str, tuple[_Check, str]] = {
    "name": (lambda value: _is_text(value) and is_name(value), "1 to 64 characters of A-Z a-z 0-9 _ -"),
    "model": _TEXT,
    "trigger": _TEXT,
    "target": _TEXT,
    "options": (_is_options, "a table of texts"),
    "where": _TEXTS,
    "any_mode": _BOOLEAN,
    "group": _TEXT,
    "action": _TEXT,
    "after": (lambda value: type(value) is int and 1 <= value <= MOST_AFTER, f"an integer of 1 to {MOST_AFTER}"),
    "lasting": _DURATION,
    "most": (_is_share, "a number above 0 and up to 1"),
    "allow": _TEXTS,
    "usual_allowed": _BOOLEAN,
    "cgroup": _TEXT,
    "enforce": _BOOLEAN,
    "for": _DURATION,
}


@dataclass(frozen=True)
class Declared:
    """One instance of a file. ``model`` is the file of its model, ``entry`` all the rest that it says, with its defaults.

    ``what`` is what errors call it.
    """

    name: str
    model: Path
    entry: Mapping[str, Any]
    what: str

    @property
    def fixed(self) -> dict[str, Any]:
        """What cannot change while it is loaded."""
        return {key: value for key, value in self.entry.items() if key not in _OF_BRAKES}

    @property
    def enforcement(self) -> str:
        """How long the guard acts: ``audit``, ``forever``, or a number of nanoseconds. '' if that is left to the verbs."""
        if not self.entry.get("enforce"):
            return "audit" if "enforce" in self.entry else ""
        return str(duration(self.entry["for"], "for")) if "for" in self.entry else "forever"


def read(path: Path) -> list[Declared]:
    """The instances in the file ``path``, each name once. Paths in it are relative to its directory.

    Raises :class:`ModelError` if it cannot be read, and :class:`UsageError` for what is no declaration.
    """
    try:
        described = toml.parse(files.read(path, MOST_BYTES, "give instances in TOML"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}; correct it") from None
    for key in described:
        if key != _TABLE:
            raise UsageError(f"{path}: '{key}' is not known{nearest(key, [_TABLE]) or '; write tables [[instance]]'}")
    tables = described.get(_TABLE)
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise UsageError(f"{path}: declares no instances; write tables [[instance]], or `instance = []` to unload all of them")
    if len(tables) > MOST_INSTANCES:
        raise UsageError(f"{path}: declares {len(tables)} instances, over {MOST_INSTANCES}; write several files")
    found = [_declared(table, f"{path}: instance {number}", path.parent) for number, table in enumerate(tables, 1)]
    for number, each in enumerate(found):
        if each.name in (other.name for other in found[:number]):
            raise UsageError(f"{path}: '{each.name}' is declared twice; give each instance a name of its own")
    return found


def _declared(table: Mapping[str, Any], what: str, place: Path) -> Declared:
    what = f"{what} '{table['name']}'" if _is_text(table.get("name")) else what
    for key, value in table.items():
        if key not in _KEYS:
            raise UsageError(f"{what}: '{key}' is not known{nearest(key, _KEYS) or '; it may have ' + ', '.join(_KEYS)}")
        check, wanted = _KEYS[key]
        if not check(value):
            raise UsageError(f"{what}: {key} is {value!r}; give {wanted}")
    for key in ("name", "model"):
        if key not in table:
            raise UsageError(f"{what}: it has no {key}; give one")
    _check_guard(table, what)
    entry = {key: value for key, value in table.items() if key not in ("name", "model")}
    return Declared(table["name"], _model(table["model"], what, place), entry, what)


def _check_guard(table: Mapping[str, Any], what: str) -> None:
    given = next((key for key in _OF_GUARDS if key in table), None)
    if given and "action" not in table:
        raise UsageError(f"{what}: {given} is for guards; give an action too")
    if "for" in table and not table.get("enforce"):
        raise UsageError(f"{what}: for limits how long a guard acts; give enforce = true too")
    try:
        for key in ("lasting", "for"):
            if key in table:
                duration(table[key], key)
    except ModelError as error:
        raise UsageError(f"{what}: {error}") from None


def _model(text: str, what: str, place: Path) -> Path:
    if text in modelfile.bundled():
        return modelfile.resolve(text)
    path = place / text
    if not files.is_file(path):
        hint = nearest(text, modelfile.bundled()) or "; give a path relative to the file, or a bundled network"
        raise ModelError(f"{what}: model '{text}' is no file{hint}")
    return path
