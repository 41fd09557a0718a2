"""The fields that alerts have, of each event of a spec: how an instance describes them, and how that is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .. import abi
from ..events.fields import Field, Place
from ..network.fields import Described, get
from ..network.layers import expect

if TYPE_CHECKING:
    from ..session.observed import Observed

ALERTS = "alerts"
"""The member of a description that has them, absent if the action tells of no events."""
_TYPES = [f"{sign}{bits}" for sign in "us" for bits in (8, 16, 32, 64)]
_MOST_BYTES = 4096
_Described = list[list[Any]]


def describe(observed: Observed) -> dict[str, list[_Described]]:
    """Name, offset, type and unit of each field, as JSON knows them. {} if the action tells of no events."""
    places = zip(observed.triggers, observed.targets, strict=True)
    telling = [observed.guard is not None and abi.ALERTS in observed.guard.maps(trigger) for trigger in observed.triggers]
    if not any(telling):
        return {}
    every = ([*trigger.fields(target)] if tells else [] for tells, (trigger, target) in zip(telling, places, strict=True))
    return {ALERTS: [[[each.name, each.offset, each.type, each.unit] for each in fields if _is_told(each)] for fields in every]}


def _is_told(field: Field) -> bool:
    return field.place is Place.FIELDS and not field.refused


def checked(found: Described) -> dict[str, list[_Described]]:
    """What :func:`describe` gave, of the guard in a description. Raises :class:`~ebpfnn.errors.ModelError` if it is none."""
    if ALERTS not in found:
        return {}
    every: list[Any] = get(found, ALERTS, list)
    for fields in every:
        for each in get({ALERTS: fields}, ALERTS, list):
            expect(isinstance(each, list) and [*map(type, each)] == [str, int, str, str], f"'{ALERTS}' must hold fields")
            name, offset, kind, unit = each
            is_field = name.isidentifier() and 0 <= offset < _MOST_BYTES and kind in _TYPES and unit.isprintable()
            expect(is_field, f"'{ALERTS}' must hold names, offsets, types and units of fields")
    return {ALERTS: every}


def layouts(guard: Mapping[str, Any]) -> list[tuple[Field, ...]]:
    """The fields of each event of the spec, of what :func:`checked` gave."""
    return [tuple(map(_field, each)) for each in guard.get(ALERTS, ())]


def _field(described: Sequence[Any]) -> Field:
    name, offset, kind, unit = described
    return Field(name, offset, int(kind[1:]) // 8, kind.startswith("s"), unit)
