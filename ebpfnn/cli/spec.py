"""``ebpfnn spec``: the specs that come with ebpfnn, and what one becomes on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from ..errors import Error, ModelError, printable
from ..events import Bound, BoundColumn, EventSpec, Field, Spec, bind, describe, find, shipped
from ..events.conditions import written
from ..observer.layout import state_bytes
from .complete import specs
from .plugin_option import available, plugin_option
from .tables import print_table

_MOST_NAMES = 4  # results of a column that are listed by name


@click.command()
@click.argument("spec", metavar="[NAME|FILE]", required=False, shell_complete=specs)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@plugin_option
def command(spec: str | None, as_json: bool) -> None:
    """List the specs that come with ebpfnn, or check one against the events of this machine.

    A spec says what is computed from events: for which of them, for each of which keys, and when. FILE is a TOML file with a
    / or .toml in its name. What is wrong in it is printed with its line.
    """
    if spec is None:
        _list(as_json=as_json)
        return
    found = find(spec)
    plugins = available()
    fields = {event.name: _fields(event, number, found) for number, event in enumerate(found.events)}
    bound = bind(found, fields, plugins.reducers, plugins.encoders)
    if as_json:
        click.echo(json.dumps(_told(bound), indent=2))
        return
    for line in _summary(bound):
        click.echo(printable(line))
    click.echo()
    print_table(("event", "trigger", "target", "only if"), map(_event_cells, found.events))
    click.echo()
    rows = (_column_cells(bound, number) for number in range(len(bound.columns)))
    print_table(("column", "reducer", "of", "words", "encoder", "results", "only if"), rows)


def _fields(event: EventSpec, number: int, spec: Spec) -> tuple[Field, ...]:
    try:
        return tuple(available().trigger(event.trigger).fields(event.target))
    except Error as error:
        wrong = ModelError(f"event '{event.name}': {error}")
        raise spec.origin.located(wrong, ("event", number)) if spec.origin else wrong from error


def _list(*, as_json: bool) -> None:
    found = [find(name) for name in shipped()]
    if as_json:
        rows = [{"name": each.name, "key": each.key, "events": [event.name for event in each.events]} for each in found]
        click.echo(json.dumps({"specs": rows}, indent=2))
        return
    cells = ((each.name, _key(each), len(each.columns), ", ".join(event.name for event in each.events)) for each in found)
    print_table(("name", "key", "columns", "events"), cells)


def _summary(bound: Bound) -> Iterator[str]:
    spec, state = bound.spec, bound.spec.state
    yield f"{spec.name}: {len(bound.columns)} columns, {len(bound.names)} results"
    yield f"key: {_key(spec)}, {bound.key_bytes} bytes"
    kind = "the least recently used state makes room" if state.lru else "full maps take no new keys"
    idle = f", new after {_duration(state.idle)} without events" if state.idle else ""
    locked = ", locked" if state.locked else ""
    yield f"state: {state_bytes(bound)} bytes, at most {state.entries:,} ({kind}){locked}{idle}"
    yield f"only if: {_conditions(spec.where) or 'any event'}"
    yield f"rows: {'; '.join(_when(spec))}"
    yield f"deleted: {_conditions(spec.end) or 'by no event'}"


def _when(spec: Spec) -> Iterator[str]:
    at = spec.at
    if at.always:
        yield "at every event"
    if at.count:
        yield f"at number {', '.join(map(str, at.count))}"
    if at.every:
        yield f"at every {at.every:,} events"
    if at.when:
        yield f"if {_conditions(at.when)}"
    if at.after:
        yield f"{_duration(at.after)} after the last row"


def _duration(nanoseconds: int) -> str:
    for unit, size in (("h", 3600 * 10**9), ("m", 60 * 10**9), ("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if not nanoseconds % size:
            return f"{nanoseconds // size}{unit}"
    return f"{nanoseconds}ns"


def _key(spec: Spec) -> str:
    return spec.key if isinstance(spec.key, str) else ", ".join(spec.key)


def _conditions(conditions: Any) -> str:
    return ", ".join(written(each) for each in conditions)


def _event_cells(event: EventSpec) -> tuple[str, ...]:
    return event.name, event.trigger, event.target or "", _conditions(event.where)


def _column_cells(bound: Bound, number: int) -> tuple[object, ...]:
    column, spec = bound.columns[number], bound.spec.columns[number]
    options = ", ".join(f"{name}={value}" for name, value in column.options.items())
    names = [*column.names[:_MOST_NAMES], "..."] if len(column.names) > _MOST_NAMES + 1 else column.names
    only = [_conditions(spec.when), " or ".join(spec.events) and f"event {' or '.join(spec.events)}"]
    reducer = f"{column.reducer.name} ({options})" if options else column.reducer.name
    encoder = spec.encode.get("kind", "")
    return column.name, reducer, _value(column, spec.of), column.words, encoder, ", ".join(names), ", ".join(filter(None, only))


def _value(column: BoundColumn, of: str) -> str:
    shifted = f" >> {column.shift}" if column.shift > 0 else f" << {-column.shift}" if column.shift else ""
    most = "" if column.clip is None else f", at most {column.clip}"
    return f"{of or 1}{shifted}{most}" if of or shifted or most else ""


def _told(bound: Bound) -> dict[str, Any]:
    columns = [
        {
            "name": column.name,
            "reduce": column.reducer.name,
            "options": dict(column.options),
            "words": column.words,
            "results": list(column.names),
        }
        for column in bound.columns
    ]
    sizes = {"key_bytes": bound.key_bytes, "state_bytes": state_bytes(bound), "results": len(bound.names)}
    return {"spec": describe(bound.spec), **sizes, "columns": columns}
