"""Conditions: their text, and whether they hold. docs/events.md defines them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence

from ..errors import ModelError
from .bound import BoundCondition, Derived, Source
from .refusal import shown
from .spec import Condition

FLAGS = ("fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr")
"""The TCP flags, from bit 0."""
COMM = "comm"
_LONGEST, _COMM_BYTES = 256, 15
_OPERATORS = r"==|!=|<=|>=|<|>|!&|&|(?<=\s)not\s+in(?=\s)|(?<=\s)in(?=\s)"
_TEXT = re.compile(rf"\s*([A-Za-z_]\w*)\s*({_OPERATORS})\s*(.*?)\s*", re.ASCII | re.DOTALL)
_DECIMAL = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]{1,16}", re.ASCII)
_PREFIX = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})/([0-9]{1,2})", re.ASCII)
_AND = re.compile(r'\s+and\s+(?=(?:[^"]*"[^"]*")*[^"]*$)')
LONGEST_LIST = 1024
"""The most characters of conditions that "and" joins: to tell them apart takes time with the square of them."""
_REMEDY = 'write one such as "length > 100", "tcp_flags & fin|rst" or "source in 10.0.0.0/8"'

Values = Mapping[str, int]
"""The fields of an event, and the derived ones, by name."""
Predicate = Callable[[Values], bool]


def parse(text: object) -> Condition:
    """The condition in ``text``. Raises :class:`ModelError` if it is not one."""
    found = _TEXT.fullmatch(text) if isinstance(text, str) and len(text) <= _LONGEST else None
    if found is None:
        raise ModelError(f"{shown(text)} is not a condition; {_REMEDY}")
    name, sign, value = found[1], " ".join(found[2].split()), found[3]
    if sign in ("in", "not in"):
        return Condition(name, sign, _prefix(value))
    if value.startswith('"'):
        return Condition(name, sign, _name(name, sign, value))
    return Condition(name, sign, _number(value))


def apart(text: str) -> list[str]:
    """The conditions that "and" joins in ``text``, of at most :data:`LONGEST_LIST` characters. Names in quotes stay whole."""
    return _AND.split(text)


def written(condition: Condition) -> str:
    """The text that :func:`parse` reads as ``condition``."""
    value = condition.value
    if isinstance(value, tuple):
        told = f"{'.'.join(str(byte) for byte in value[0].to_bytes(4, 'big'))}/{value[1]}"
    elif isinstance(value, str):
        told = f'"{value}"'
    else:
        told = _flags(value) if condition.field == "tcp_flags" and condition.operator in ("&", "!&") else str(value)
    return f"{condition.field} {condition.operator} {told}"


def prefix_mask(bits: int) -> int:
    """The mask of an IPv4 prefix of ``bits`` bits."""
    return (1 << 32) - (1 << 32 - bits)


def predicate(conditions: Sequence[BoundCondition]) -> Predicate:
    """A function that says whether all of ``conditions`` hold. Of none, they do."""
    made = [_predicate(condition) for condition in conditions]
    if not made:
        return lambda values: True
    if len(made) == 1:
        return made[0]
    return lambda values: all(each(values) for each in made)


def source_name(source: Source) -> str:
    """The name of a field or derived field."""
    return str(source.value[0]) if isinstance(source, Derived) else source.name


def _predicate(condition: BoundCondition) -> Predicate:
    name, value = source_name(condition.sources[0]), condition.values[0]
    if len(condition.sources) > 1:
        names = tuple(map(source_name, condition.sources))
        return _texts(names, condition.values, equal=condition.operator == "==")
    if condition.operator in ("in", "not in"):
        mask, inside = condition.values[1], condition.operator == "in"
        return lambda values: (values[name] & mask == value) is inside
    if condition.operator in ("&", "!&"):
        common = condition.operator == "&"
        return lambda values: bool(values[name] & value) is common
    compare = _COMPARE[condition.operator]
    return lambda values: compare(values[name], value)


def _texts(names: Sequence[str], wanted: Sequence[int], *, equal: bool) -> Predicate:
    return lambda values: all(values[name] == value for name, value in zip(names, wanted, strict=True)) is equal


_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _prefix(text: str) -> tuple[int, int]:
    found = _PREFIX.fullmatch(text)
    numbers = [int(each) for each in found.groups()] if found else []
    if not numbers or max(numbers[:4]) > 255 or numbers[4] > 32:
        raise ModelError(f"{shown(text)} is not an IPv4 prefix; write one such as 10.0.0.0/8, a single address with /32")
    address, bits = int.from_bytes(bytes(numbers[:4]), "big"), numbers[4]
    if address & ~prefix_mask(bits):
        meant = written(Condition("", "", (address & prefix_mask(bits), bits))).strip()
        raise ModelError(f"{text} has bits behind the prefix; write {meant}, or a longer prefix")
    return address, bits


def _name(field: str, sign: str, text: str) -> str:
    name = text[1:-1]
    if len(text) < 2 or not text.endswith('"') or not name.isprintable() or len(name.encode()) > _COMM_BYTES:
        raise ModelError(
            f'{shown(text)} is not the name of a thread; write at most {_COMM_BYTES} bytes in double quotes, "sshd"'
        )
    if field != COMM or sign not in ("==", "!="):
        raise ModelError(f'{field} {sign} {shown(text)}: a text is compared with comm alone, by == or !=; write comm == "sshd"')
    return name


def _number(text: str) -> int:
    if _DECIMAL.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    names = [name.strip() for name in text.split("|")]
    if all(name in FLAGS for name in names):
        return sum({1 << FLAGS.index(name) for name in names})
    raise ModelError(f"{shown(text)} is not a value; write an integer, 0x1f, or TCP flags ({', '.join(FLAGS)}) joined by |")


def _flags(value: int) -> str:
    if not 0 < value < 256:
        return str(value)
    return "|".join(name for bit, name in enumerate(FLAGS) if value >> bit & 1)
