"""Checks a spec against the fields of its events and the reducers. docs/events.md has the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ModelError, nearest
from ..preparation.encoder import BUILT_IN, Encoder
from . import bind_columns, keys, lookup
from .bound import Bound, BoundCondition, BoundEvent
from .fields import Field
from .lookup import Offered
from .reducer import Reducer
from .refusal import SpecError, place
from .spec import MOST_KEY_BYTES, Condition, Spec


def bind(
    spec: Spec,
    fields: Mapping[str, Sequence[Field]],
    reducers: Mapping[str, Reducer],
    encoders: Mapping[str, Encoder] = BUILT_IN,
) -> Bound:
    """``spec`` with the fields of its events, by the events' names, and the installed ``reducers`` and ``encoders``.

    Raises :class:`ModelError` that names the member, and file and line if the spec came from a file.
    """
    try:
        return _bind(spec, fields, reducers, encoders)
    except ModelError as error:
        if spec.origin is None:
            raise
        raise spec.origin.located(error) from error


def _bind(
    spec: Spec, fields: Mapping[str, Sequence[Field]], reducers: Mapping[str, Reducer], encoders: Mapping[str, Encoder]
) -> Bound:
    offered = [Offered(event.name, fields[event.name]) for event in spec.events]
    for number, each in enumerate(offered):
        time = each.fields.get(lookup.TIME)
        if time is None or time.type != "u64":
            fact = f"event '{each.name}' has no field '{lookup.TIME}' of u64"
            raise SpecError(f"{fact}; use a trigger whose shell gives it", ("event", number))
    listed = _key(spec, offered)
    whens, ends = (
        _afterwards(spec, offered, conditions, label)
        for conditions, label in ((spec.at.when, ("at", "when")), (spec.end, ("end",)))
    )
    events = tuple(
        BoundEvent(each.name, each.fields, _where(spec, offered, number), listed[number], whens[number], ends[number])
        for number, each in enumerate(offered)
    )
    columns = bind_columns.bind(spec, offered, reducers, encoders)
    words = columns[-1].word + columns[-1].words
    return Bound(spec, events, columns, keys.padded(keys.size(spec.key, listed[0])), words)


def _where(spec: Spec, offered: Sequence[Offered], number: int) -> tuple[BoundCondition, ...]:
    """The conditions of the spec, then those of the event."""
    event = offered[number]
    with place("where", "where"):
        common = lookup.before(spec.where, event, offered)
    with place(f"event '{event.name}': where", "event", number, "where"):
        return common + lookup.before(spec.events[number].where, event, [event])


def _afterwards(
    spec: Spec, offered: Sequence[Offered], conditions: Sequence[Condition], path: tuple[str, ...]
) -> list[tuple[BoundCondition, ...]]:
    """The conditions of ``at.when`` or ``end``, for each event. None for one without one of their fields: they never hold."""
    with place(".".join(path), *path):
        able = [each for each in offered if all(lookup.has(condition.field, each) for condition in conditions)]
        remedy = "so these conditions hold at no event; leave one out"
        for event in able or offered[:1]:
            lookup.after(conditions, event, offered, spec, remedy)
        return [lookup.after(conditions, each, offered, spec, remedy) if each in able else () for each in offered]


def _key(spec: Spec, offered: Sequence[Offered]) -> list[tuple[Field, ...]]:
    """For each event, the fields of a key that is a list, none for a key with a name."""
    with place("key", "key"):
        if isinstance(spec.key, str):
            _named_key(spec.key, offered)
            return [() for _ in offered]
        found = [tuple(_of_key(name, event, offered) for name in spec.key) for event in offered]
        for event, key in zip(offered[1:], found[1:], strict=True):
            for field, first in zip(key, found[0], strict=True):
                if field.type != first.type:
                    fact = f"field '{field.name}' is {field.type} in event '{event.name}'"
                    raise ModelError(f"{fact}, but {first.type} in '{offered[0].name}'; use one that all events have alike")
        total = keys.size(spec.key, found[0])
        if total > MOST_KEY_BYTES:
            raise ModelError(f"its fields have {total} bytes, over {MOST_KEY_BYTES}; use fewer or smaller ones")
        return found


def _of_key(name: str, event: Offered, offered: Sequence[Offered]) -> Field:
    if name in lookup.DERIVED:
        raise ModelError(f"'{name}' is not known before the state of the key; use other fields")
    return lookup.field(name, event, offered, "use one that all events have")


def _named_key(key: str, offered: Sequence[Offered]) -> None:
    if key not in keys.NAMED:
        known = ", ".join(f'"{each}"' for each in keys.NAMED)
        remedy = nearest(key, keys.NAMED) or f"; use {known}, or a list of fields such as [{key!r}]"
        raise ModelError(f"'{key}' not found{remedy}")
    for event in offered:
        for name, kind in keys.needed(key).items():
            found = event.fields.get(name)
            if found is None or found.type != kind:
                has = f"whose field '{name}' is {found.type}, not {kind}" if found else f"which has no field '{name}'"
                raise ModelError(f"'{key}' is not for event '{event.name}', {has}; give a list of fields")
