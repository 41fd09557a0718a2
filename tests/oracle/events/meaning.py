"""What conditions and durations of a spec say: docs/events.md, *Conditions* and *Members*."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from ipaddress import IPv4Address

FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
"""TCP flags, 1 to 128 in this order."""
_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}


def nanoseconds(duration: int | str) -> int:
    if isinstance(duration, int):
        return duration
    digits = duration.rstrip("numsh")
    return int(digits) * _UNITS[duration[len(digits) :]]


def all_hold(conditions: Iterable[str], values: Mapping[str, int]) -> bool:
    """``values`` are those of an event's fields, negative ones of signed fields as such."""
    return all(holds(each, values) for each in conditions)


def has(condition: str, values: Mapping[str, int]) -> bool:
    """Whether an event of these ``values`` has the fields of a condition."""
    name, _, operand = parts(condition)
    return name in values and (not operand.startswith('"') or "comm_rest" in values)


def holds(condition: str, values: Mapping[str, int]) -> bool:
    name, operator, operand = parts(condition)
    if operand.startswith('"'):
        return _is_name(operand, values) == (operator == "==")
    found = values[name]
    if operator.endswith("in"):
        return _is_in(operand, found) == (operator == "in")
    wanted = number(operand)
    if operator in ("&", "!&"):
        return bool(found & wanted) == (operator == "&")
    return {
        "==": found == wanted,
        "!=": found != wanted,
        "<": found < wanted,
        "<=": found <= wanted,
        ">": found > wanted,
        ">=": found >= wanted,
    }[operator]


@cache
def parts(condition: str) -> tuple[str, str, str]:
    """Field, operator and value."""
    found = re.fullmatch(r"\s*(\w+)\s*(==|!=|<=|>=|<|>|!&|&|not\s+in\b|in\b)\s*(.+?)\s*", condition)
    assert found, condition
    return found[1], " ".join(found[2].split()), found[3]


def number(operand: str) -> int:
    if operand[0].isalpha():
        return sum(1 << FLAGS.index(name.strip()) for name in operand.split("|"))
    return int(operand, 16 if operand.lower().startswith("0x") else 10)


def _is_in(prefix: str, address: int) -> bool:
    network, _, bits = prefix.partition("/")
    size = 1 << 32 - int(bits)
    first = int(IPv4Address(network))
    return first <= address < first + size


def _is_name(quoted: str, values: Mapping[str, int]) -> bool:
    name = values["comm"].to_bytes(8, "little") + values["comm_rest"].to_bytes(8, "little")
    return name == quoted[1:-1].encode().ljust(16, b"\0")
