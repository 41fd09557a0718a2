"""Rules that give rows their label and group by the fields of their key. docs/events.md defines them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from .. import files
from ..errors import UsageError, nearest
from ..events.conditions import LONGEST_LIST, apart
from ..events.refusal import shown
from ..files import toml
from .keys import PROTOCOLS, Parts, Value

ARROW = "->"
_CONDITION = re.compile(r"\s*([A-Za-z_]\w*)\s*(==|!=|<=|>=|<|>|\bnot\s+in\b|\bin\b)\s*(.*?)\s*", re.ASCII | re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]{1,20}|0[xX][0-9a-fA-F]{1,16}", re.ASCII)
_REMEDY = "write one such as 'source in 10.0.0.0/24', 'port == 22' or 'comm == \"sshd\"'"
_MOST_BYTES = 1 << 20
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
Wanted = Value | IPv4Network | IPv6Network


@dataclass(frozen=True)
class Test:
    """``name sign wanted``. If a key has several values of that name, one must fit, and for ``!=`` and ``not in`` none may."""

    name: str
    sign: str
    wanted: Wanted

    def holds(self, parts: Parts) -> bool:
        """Raises :class:`UsageError` if the key has nothing of that name."""
        values = parts.get(self.name)
        if values is None:
            hint = nearest(self.name, parts) or f"; it has {', '.join(parts)}"
            raise UsageError(f"rule: the key has no '{self.name}'{hint}")
        if self.sign in ("!=", "not in"):
            return not any(self._fits(value) for value in values)
        return any(self._fits(value) for value in values)

    def _fits(self, value: Value) -> bool:
        if isinstance(self.wanted, (IPv4Network, IPv6Network)):
            return not isinstance(value, (int, str)) and value.version == self.wanted.version and value in self.wanted
        if self.sign in ("==", "!="):
            return value == self.wanted
        return isinstance(value, int) and _ORDERS[self.sign](value, self.wanted)


@dataclass(frozen=True)
class Rule:
    """Rows whose key passes all of ``tests`` get ``label`` and ``group``; None leaves what they have."""

    tests: tuple[Test, ...]
    label: str | None = None
    group: str | None = None

    def holds(self, parts: Parts) -> bool:
        """Whether all tests hold. Raises :class:`UsageError` if the key lacks what one of them names."""
        return all(test.holds(parts) for test in self.tests)


def parse(text: str, *, of_groups: bool = False) -> Rule:
    """The rule in ``CONDITION [and CONDITION ...] -> LABEL``; the conditions may be ``any``. Raises :class:`UsageError`."""
    if len(text) > LONGEST_LIST:
        raise UsageError(f"rule of {len(text):,} characters, over {LONGEST_LIST}; write several rules, or shorter ones")
    where, arrow, name = text.rpartition(ARROW)
    if not arrow or not where.strip():
        raise UsageError(f"rule {text!r} is not CONDITION {ARROW} NAME; write one such as 'port == 22 {ARROW} ssh'")
    tests = () if where.strip() == "any" else tuple(map(_test, apart(where.strip())))
    name = check_name(name.strip(), f"rule {text!r}")
    return Rule(tests, group=name) if of_groups else Rule(tests, label=name)


def load(path: Path) -> list[Rule]:
    """The rules in a TOML file: tables ``[[rule]]`` with ``where``, a list of conditions, and ``label``, ``group`` or both.

    Raises :class:`UsageError`, naming the file and the number of the rule.
    """
    try:
        described = toml.parse(files.read(path, _MOST_BYTES, "give rules in TOML"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}: not TOML: {error}; correct it") from None
    rules = described.get("rule")
    if set(described) != {"rule"} or not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise UsageError(f"{path}: not rules; write tables [[rule]] with where, label and group")
    return [_described(rule, f"{path}: rule {number}") for number, rule in enumerate(rules, 1)]


def check_name(name: str, what: str) -> str:
    """``name`` of a label or a group. Raises :class:`UsageError` if it cannot be shown on a line, or is over 64 characters."""
    if not name or not name.isprintable() or len(name) > 64:
        raise UsageError(f"{what}: {name!r} is not 1 to 64 characters that can be shown; give another name")
    return name


def _described(rule: Mapping[str, Any], what: str) -> Rule:
    where = rule.get("where", [])
    where = [where] if isinstance(where, str) else where
    if not isinstance(where, list) or not all(isinstance(each, str) for each in where):
        raise UsageError(f"{what}: where is not a list of conditions; {_REMEDY}")
    unknown = sorted(set(rule) - {"where", "label", "group"})
    if unknown or not {"label", "group"} & set(rule):
        fact = f"'{unknown[0]}' is not known" if unknown else "neither label nor group"
        raise UsageError(f"{what}: {fact}; a rule has where, and label, group or both")
    names = {name: rule.get(name) for name in ("label", "group")}
    for name, value in names.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{what}: {name} is {value!r}; give a text")
        if value is not None:
            check_name(value, f"{what}: {name}")
    try:
        return Rule(tuple(map(_test, where)), names["label"], names["group"])
    except UsageError as error:
        raise UsageError(f"{what}: {error}") from None


def _test(text: str) -> Test:
    found = _CONDITION.fullmatch(text) if len(text) <= LONGEST_LIST else None
    if found is None:
        raise UsageError(f"{shown(text)} is not a condition; {_REMEDY}")
    sign = " ".join(found[2].split())
    return Test(found[1], sign, _wanted(found[1], sign, found[3], text))


def _wanted(name: str, sign: str, value: str, text: str) -> Wanted:
    """The right side of a condition."""
    try:
        if sign in ("in", "not in"):
            return ip_network(value)
        if _NUMBER.fullmatch(value):
            return int(value, 16 if value[:2].lower() == "0x" else 10)
        if name == "protocol" and value in PROTOCOLS:
            return PROTOCOLS[value]
        if sign in ("==", "!=") and len(value) > 1 and value[0] == value[-1] == '"':
            return value[1:-1]
        if sign in ("==", "!="):
            return ip_address(value)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}; {_REMEDY}") from None
    raise UsageError(f"{text!r}: {value!r} cannot be compared by {sign}; {_REMEDY}")


def applied(rules: Sequence[Rule], parts: Parts) -> tuple[Rule | None, Rule | None]:
    """The first rule that gives the row a label, and the first that gives it a group."""
    return (
        next((rule for rule in rules if rule.label is not None and rule.holds(parts)), None),
        next((rule for rule in rules if rule.group is not None and rule.holds(parts)), None),
    )
