"""Specs as TOML files and as plain dicts, such as a model carries. docs/events.md defines the members."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import ModelError, nearest
from ..files import toml
from . import lines, members
from .conditions import written
from .refusal import Origin, SpecError, place, shown
from .spec import (
    DEFAULT_ENTRIES,
    LAST_NUMBER,
    MOST_COLUMNS,
    MOST_COUNTS,
    MOST_ENTRIES,
    MOST_EVENTS,
    At,
    ColumnSpec,
    Condition,
    EventSpec,
    Spec,
    StateSpec,
)

PACKETS = ("xdp", "tc", "cgroup_skb", "socket_filter")
"""The triggers whose events are packets. Such an event is called like its trigger."""
SHIPPED = Path(__file__).parent / "specs"
MOST_BYTES = 1 << 20
_SUFFIX = ".toml"
_MEMBERS = ("name", "key", "where", "end", "event", "state", "at", "column")
_OF_COLUMN = ("name", "reduce", "of", "shift", "clip", "when", "event", "encode")
_TARGET = re.compile(r"[!-~]{1,256}", re.ASCII)
_NAME_RULE = "give 1 to 64 letters, digits, -, _ and ., a letter or digit first"
_WORD = (1 << 63) - 1


def shipped() -> list[str]:
    """The names of the specs that come with ebpfnn, sorted."""
    return sorted(path.stem for path in SHIPPED.glob(f"*{_SUFFIX}"))


def find(name_or_path: str) -> Spec:
    """The spec of a name that comes with ebpfnn, or of a TOML file: a text with a ``/``, or that ends in ``.toml``.

    Raises :class:`ModelError` if there is none, and as :func:`load`.
    """
    if "/" in name_or_path or name_or_path.endswith(_SUFFIX):
        return load(Path(name_or_path))
    names = shipped()
    if name_or_path not in names:
        remedy = nearest(name_or_path, names, alike=0.5) or f"; use {', '.join(names)}, or the path of a {_SUFFIX} file"
        raise ModelError(f"spec '{name_or_path}' not found{remedy}")
    return load(SHIPPED / f"{name_or_path}{_SUFFIX}")


def load(path: Path) -> Spec:
    """The spec in a TOML file. Raises :class:`ModelError` with file, line and member; what needs fields is checked later."""
    data = files.read(path, MOST_BYTES, "give a spec in TOML (docs/events.md)")
    try:
        described = toml.parse(data)
    except RecursionError:
        raise SpecError(f"{path}: lists or tables are nested too deep; use fewer") from None
    except ValueError as error:  # also of bytes that are not UTF-8, and of integers with thousands of digits
        raise SpecError(f"{path}: not TOML: {error}; correct it") from None
    origin = Origin(str(path), lines.find(data.decode(), described))
    try:
        return _build(described, origin)
    except ModelError as error:
        raise origin.located(error) from error


def build(described: Mapping[str, Any]) -> Spec:
    """The spec in a plain dict, as TOML or JSON have it. Raises :class:`ModelError` that names the member."""
    return _build(described, None)


def describe(spec: Spec) -> dict[str, Any]:
    """``spec`` as a plain dict, of which :func:`build` makes an equal one. JSON can carry it."""
    key = spec.key if isinstance(spec.key, str) else list(spec.key)
    told: dict[str, Any] = {"name": spec.name, "key": key}
    told |= _lists(where=spec.where, end=spec.end)
    told["event"] = [_describe_event(event) for event in spec.events]
    told |= _unless_empty(state=_describe_state(spec.state), at=_describe_at(spec.at))
    told["column"] = [_describe_column(column) for column in spec.columns]
    return told


def _build(described: Mapping[str, Any], origin: Origin | None) -> Spec:
    if not isinstance(described, dict):
        raise SpecError("not a table; give the members of a spec")
    members.plain(described)
    members.only(described, _MEMBERS, "a spec")
    with place("spec"):
        name = members.text(described, "name", None, members.NAME, _NAME_RULE)
    key = _key(described)
    events = members.each(_event, members.tables(described, "event", MOST_EVENTS), "event")
    _unique("event", [event.name for event in events])
    columns = members.each(_column, members.tables(described, "column", MOST_COLUMNS), "column")
    _unique("column", [column.name for column in columns])
    for number, column in enumerate(columns):
        _known_events(column, events, number)
    where, end = (members.conditions(described, each) for each in ("where", "end"))
    return Spec(name, key, events, columns, where, end, _state(described), _at(described), origin)


def _key(described: members.Table) -> str | tuple[str, ...]:
    value = described.get("key")
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list):
        return members.texts(described, "key")
    remedy = 'give "flow", "flow.directed", "source", "destination", or a list of fields'
    raise SpecError(f"key is {shown(value)}; {remedy}" if "key" in described else f"has no member 'key'; {remedy}", ("key",))


def _event(given: members.Table, number: int) -> EventSpec:
    with place(f"event {number + 1}"):
        members.only(given, ("trigger", "target", "name", "where"), "an event")
        trigger = members.text(given, "trigger", None, members.NAME, 'give the name of a trigger, such as "xdp"')
        target = members.text(given, "target", None, _TARGET, "give an event's name") if "target" in given else None
        default = _default_name(trigger, target)
        name = members.text({"name": default, **given}, "name", None, members.NAME, _NAME_RULE)
    with place(f"event '{name}'"):
        return EventSpec(trigger, target, name, members.conditions(given, "where"))


def _default_name(trigger: str, target: str | None) -> str:
    return trigger if target is None or trigger in PACKETS else re.split("[:/]", target)[-1]


def _column(given: members.Table, number: int) -> ColumnSpec:
    with place(f"column {number + 1}"):
        name = members.text(given, "name", None, members.NAME, _NAME_RULE)
    with place(f"column '{name}'"):
        return ColumnSpec(
            name,
            members.text(given, "reduce", None, members.NAME, 'give the name of a reducer, such as "sum"'),
            members.text(given, "of", "", members.FIELD, "give the name of a field"),
            members.integer(given, "shift", -32, 63, 0),
            members.integer(given, "clip", 0, _WORD, 0) if "clip" in given else None,
            members.conditions(given, "when"),
            members.texts(given, "event"),
            {key: value for key, value in given.items() if key not in _OF_COLUMN},
            _encode(given),
        )


def _encode(given: members.Table) -> members.Table:
    found = members.table(given, "encode")
    if "encode" in given:
        with place("encode", "encode"):
            members.text(found, "kind", None, members.NAME, 'give the name of an encoder, such as "bins"')
    return found


def _known_events(column: ColumnSpec, events: tuple[EventSpec, ...], number: int) -> None:
    names = [event.name for event in events]
    for name in column.events:
        if name not in names:
            remedy = nearest(name, names, alike=0.6) or f"; the events are {', '.join(names)}"
            raise SpecError(f"column '{column.name}': event '{name}' not found{remedy}", ("column", number, "event"))


def _state(described: members.Table) -> StateSpec:
    given = members.table(described, "state")
    with place("state", "state"):
        members.only(given, ("entries", "map", "locked", "idle"), "it")
        entries = members.integer(given, "entries", 1, MOST_ENTRIES, DEFAULT_ENTRIES)
        kind = members.text(given, "map", "lru", re.compile("lru|hash"), 'give "lru" or "hash"')
        locked = members.flag(given, "locked")
        if locked and kind == "lru":
            raise SpecError('locked needs map = "hash", since the kernel has no locks in LRU maps; add it', ("locked",))
        return StateSpec(entries, kind == "lru", locked, members.nanoseconds(given, "idle"))


def filtered(spec: Spec, conditions: Sequence[str]) -> Spec:
    """``spec`` with further conditions of its events, before any state. Raises :class:`ModelError` for a wrong one."""
    if not conditions:
        return spec
    described = describe(spec)
    return build({**described, "where": [*described.get("where", ()), *conditions]})


def _at(described: members.Table) -> At:
    given = members.table(described, "at")
    with place("at", "at"):
        members.only(given, ("count", "every", "when", "after"), "it")
        every = members.integer(given, "every", 1, (1 << 31) - 1, 1) if "every" in given else 0
        return At(_counts(given), every, members.conditions(given, "when"), members.nanoseconds(given, "after"))


def _counts(given: members.Table) -> tuple[int, ...]:
    counts = given.get("count", [])
    fit = isinstance(counts, list) and all(type(each) is int and 1 <= each < LAST_NUMBER for each in counts)
    if not fit or len(counts) > MOST_COUNTS:
        remedy = f"give at most {MOST_COUNTS} integers of 1 to {LAST_NUMBER - 1}, such as [4, 16]"
        raise SpecError(f"count is {shown(counts)}; {remedy}", ("count",))
    return tuple(counts)


def _unique(kind: str, names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            remedy = "give one another name" if kind == "column" else "give one a name of its own"
            raise SpecError(f"{kind} '{name}' is there twice; {remedy}", (kind, number))


def _describe_event(event: EventSpec) -> dict[str, Any]:
    target = {} if event.target is None else {"target": event.target}
    return {"trigger": event.trigger, **target, "name": event.name, **_lists(where=event.where)}


def _describe_state(state: StateSpec) -> dict[str, Any]:
    told: dict[str, Any] = {} if state.entries == DEFAULT_ENTRIES else {"entries": state.entries}
    return told | ({} if state.lru else {"map": "hash"}) | _unless_empty(locked=state.locked, idle=state.idle)


def _describe_at(at: At) -> dict[str, Any]:
    return _unless_empty(count=list(at.count), every=at.every) | _lists(when=at.when) | _unless_empty(after=at.after)


def _describe_column(column: ColumnSpec) -> dict[str, Any]:
    told = {"name": column.name, "reduce": column.reduce, **column.options}
    told |= _unless_empty(of=column.of, shift=column.shift)
    told |= {} if column.clip is None else {"clip": column.clip}
    return told | _lists(when=column.when) | _unless_empty(event=list(column.events), encode=dict(column.encode))


def _lists(**conditions: tuple[Condition, ...]) -> dict[str, Any]:
    return _unless_empty(**{name: [written(each) for each in found] for name, found in conditions.items()})


def _unless_empty(**told: Any) -> dict[str, Any]:
    return {name: value for name, value in told.items() if value}
