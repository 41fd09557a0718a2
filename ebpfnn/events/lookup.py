"""Finds the fields that a spec names among those of its events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import ModelError, nearest
from .bound import BoundCondition, Derived, Source
from .conditions import COMM, prefix_mask, source_name
from .fields import Field
from .keys import FLOW
from .refusal import place
from .spec import Condition, Spec

DERIVED = {str(each.value[0]): each for each in Derived}
"""The derived fields by name."""
TIME, COMM_REST = "time", "comm_rest"
_ADDRESS = "u32"
_COMM_HALF = 8


class Offered:
    """The fields of one event: ``fields`` are the usable ones by name, and ``refused`` has the reasons for the others."""

    def __init__(self, name: str, fields: Sequence[Field]) -> None:
        self.name = name
        self.fields = {field.name: field for field in fields if not field.refused and field.name not in DERIVED}
        self.refused = {field.name: field.refused for field in fields if field.refused}


def field(name: str, event: Offered, among: Sequence[Offered], remedy: str) -> Field:
    """The field ``name`` of ``event``. ``remedy`` is for one that only others of ``among`` have."""
    if name in event.fields:
        return event.fields[name]
    if name in event.refused:
        raise ModelError(f"event '{event.name}': field '{name}' cannot be used: {event.refused[name]}; use another")
    if any(name in other.fields for other in among):
        raise ModelError(f"event '{event.name}' has no field '{name}', other events have it; {remedy}")
    near = nearest(name, (*event.fields, *DERIVED)) or "; `ebpfnn fields` lists them"
    raise ModelError(f"event '{event.name}' has no field '{name}'{near}")


def source(name: str, event: Offered, among: Sequence[Offered], spec: Spec, remedy: str) -> Source:
    """As :func:`field`, or a derived field."""
    derived = DERIVED.get(name)
    if derived is None:
        return field(name, event, among, remedy)
    if derived is Derived.REPLY and spec.key != FLOW:
        raise ModelError('reply needs key = "flow", which has two directions; use another field')
    return derived


def before(conditions: Iterable[Condition], event: Offered, among: Sequence[Offered]) -> tuple[BoundCondition, ...]:
    """Conditions of ``where``, which know no derived fields."""
    found = []
    for condition in conditions:
        if condition.field in DERIVED:
            fact = f"'{condition.field}' is not known before the state of the key"
            raise ModelError(f"{fact}; use it in at, end and columns")
        remedy = f"write the condition into where of the events that have it, [[event]] of '{event.name}' left out"
        found.append(bound(condition, field(condition.field, event, among, remedy), event))
    return tuple(found)


def after(
    conditions: Iterable[Condition], event: Offered, among: Sequence[Offered], spec: Spec, remedy: str
) -> tuple[BoundCondition, ...]:
    """Conditions that may use derived fields."""
    return tuple(bound(condition, source(condition.field, event, among, spec, remedy), event) for condition in conditions)


def has(name: str, event: Offered) -> bool:
    """Whether ``name`` is a field of ``event`` or a derived one."""
    return name in event.fields or name in DERIVED


def bits(found: Source) -> int:
    """How many bits the values of a field have, negative ones left out."""
    return found.bits if isinstance(found, Derived) else 8 * found.size - found.signed


def bound(condition: Condition, found: Source, event: Offered) -> BoundCondition:
    """``condition`` with its field. Raises :class:`ModelError` for a value that the field cannot have."""
    if isinstance(condition.value, str):
        return _of_comm(condition, condition.value, event)
    if isinstance(condition.value, tuple):
        with place(f"'{condition.field} {condition.operator}'"):
            return _of_prefix(condition, condition.value, found)
    low = -(1 << 8 * found.size - 1) if isinstance(found, Field) and found.signed else 0
    high = (1 << bits(found)) - 1
    if not low <= condition.value <= high:
        fact = f"'{condition.field} {condition.operator} {condition.value}': {source_name(found)} is in {low}..{high}"
        raise ModelError(f"{fact}, so this says nothing; give another value")
    return BoundCondition((found,), condition.operator, (condition.value,))


def _of_prefix(condition: Condition, value: tuple[int, int], found: Source) -> BoundCondition:
    if not isinstance(found, Field) or found.type != _ADDRESS:
        kind = found.type if isinstance(found, Field) else "derived"
        raise ModelError(f"the field is {kind}, but an IPv4 address is {_ADDRESS}; use source or destination")
    return BoundCondition((found,), condition.operator, (value[0], prefix_mask(value[1])))


def _of_comm(condition: Condition, value: str, event: Offered) -> BoundCondition:
    fields = [event.fields.get(name) for name in (COMM, COMM_REST)]
    name = value.encode().ljust(2 * _COMM_HALF, b"\0")
    halves = (name[:_COMM_HALF], name[_COMM_HALF:])
    sources = tuple(each for each in fields if each is not None and each.type == "u64")
    if len(sources) < len(fields):
        raise ModelError(f"event '{event.name}' has no thread name in {COMM} and {COMM_REST}; leave the condition out")
    return BoundCondition(sources, condition.operator, tuple(int.from_bytes(half, "little") for half in halves))
