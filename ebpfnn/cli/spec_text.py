"""The spec that a network carries, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..network.events import MODE, SPEC, TRIGGER


def spec_of(events: Mapping[str, Any]) -> str:
    """The name of the spec, and the events that it is about, on one line: ``flow: xdp, generic``. "" if there is none."""
    if not events:
        return ""
    mode = f", {events[MODE]}" if events[MODE] else ""
    return f"{_name(events[SPEC])}: {events[TRIGGER]}{mode}"


def lines_of(events: Mapping[str, Any]) -> Iterator[str]:
    """The spec for people: key, events, when there is a row, and the columns. A malformed one is shown as far as it goes."""
    spec = events[SPEC]
    yield f"events: spec {spec_of(events)}"
    yield f"key: {_text(spec.get('key'))}"
    for each in _tables(spec, "event"):
        place = " ".join(str(each[name]) for name in ("trigger", "target") if name in each)
        yield f"event: {place}{_where(each)}"
    if spec.get("where"):
        yield f"conditions: {_text(spec['where'])}"
    at = spec.get("at")
    when = "; ".join(f"{name} {_text(value)}" for name, value in at.items()) if isinstance(at, dict) and at else "every event"
    yield f"infers at: {when}"
    for each in _tables(spec, "column"):
        own = " ".join(f"{name}={_text(value)}" for name, value in each.items() if name not in ("name", "reduce", "encode"))
        yield f"column {each.get('name')}: {each.get('reduce')} {own}".rstrip()


def _name(spec: Mapping[str, Any]) -> str:
    return str(spec.get("name", "without a name"))


def _where(event: Mapping[str, Any]) -> str:
    return f", where {_text(event['where'])}" if event.get("where") else ""


def _tables(spec: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = spec.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
