"""Specs that docs/events.md does not allow: each is one that it allows, with one member one step beyond its limit."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from .worlds import ONE, OTHER

Case = tuple[str, dict[str, Any], dict[str, dict[str, str]]]
"""What is wrong, the spec, and by name of an event the types of its fields."""
BASE: dict[str, Any] = {
    "name": "base",
    "key": "flow",
    "where": ["version == 4"],
    "end": ["tcp_flags & fin|rst"],
    "event": [{"trigger": "xdp"}],
    "state": {"entries": 64, "map": "hash", "locked": True, "idle": "30s"},
    "at": {"count": [1, 2**32 - 2], "every": 2**31 - 1, "when": ["reply == 1"], "after": 2**62},
    "column": [{"name": "x", "reduce": "sum", "of": "word"}],
}
_FIELDS = {"xdp": ONE}
_NAMES = ["", "a" * 65, "-a", ".a", "a b", "ä", 5]
_DURATIONS = [0, -1, "0s", 2**62 + 1, "1281024h", "1d", "1.5s", "s", "", True, 1.5, None, "-1s", "1 s"]
_CONDITIONS = [
    *("tiny == 256", "tiny > -1", "byte == 128", "byte == -129", "deep < 9223372036854775808", "big == 18446744073709551616"),
    *(
        "word & 4294967296",
        "nothing == 1",
        "version = 4",
        "version",
        "version == four",
        "version == 4 == 4",
        "version == 4.0",
        "",
    ),
    *(
        "source in 10.0.0.0/33",
        "source in 10.0.0.1/8",
        "source in 10.0.0.256/32",
        "source == 10.0.0.0",
        "source in 7",
        "big in 10.0.0.0/8",
    ),
    *(
        'comm == "sixteen letters!"',
        'comm < "a"',
        'comm & "a"',
        "comm == a",
        'word == "a"',
        'comm == "a',
        "tcp_flags & FIN|rst",
    ),
    *(
        "tcp_flags & fin|",
        "tcp_flags & fine",
        "byte == fin|cwr",
        "version == 0x",
        "version == 1_0",
        "tcp_flags & fin,rst",
        4,
        None,
    ),
]
_HIDDEN = ["number == 1", "gap > 1", "age < 5", "reply == 0"]
_COLUMNS: list[tuple[str, dict[str, Any]]] = [
    *((f"name {name!r}", {"name": name}) for name in _NAMES),
    *((f"shift {shift!r}", {"shift": shift}) for shift in (-33, 64, 1.0, "1", True)),
    *((f"clip {clip!r}", {"clip": clip}) for clip in (-1, 2**63, 1.0, True)),
    ("a left shift to 65 bits", {"of": "big", "reduce": "max", "shift": -1}),
    ("a left shift to 65 bits, clipped", {"of": "big", "shift": -1, "clip": 5}),
    ("a left shift to 65 bits of a signed field", {"of": "deep", "reduce": "max", "shift": -2}),
    *((f"{reduce} of 33 bits", {"reduce": reduce, "of": "word", "shift": -1}) for reduce in ("sum", "mean", "deviation")),
    *((f"{reduce} of 33 bits", {"reduce": reduce, "of": "word", "shift": -1, "period": 5}) for reduce in ("period", "peak")),
    ("sum of 33 bits", {"of": "big", "clip": 2**32}),
    ("sum of 64 bits", {"of": "gap"}),
    ("sum of 33 bits of a signed field", {"of": "deep", "shift": 30}),
    ("ewma of 61 bits", {"reduce": "ewma", "of": "big", "shift": 3}),
    ("ewma of 48 bits", {"reduce": "ewma", "of": "big", "power": 16, "clip": 2**47}),
    *((f"count with {name}", {"reduce": "count", name: what}) for name, what in (("of", "word"), ("shift", 0), ("clip", 1))),
    *(
        (f"{reduce} {name} {n!r}", {"reduce": reduce, name: n})
        for reduce, name, wrong in [
            ("first", "n", [0, 65, 1.0, "1", True, None]),
            ("recent", "n", [0, 17]),
            ("ewma", "power", [0, 17]),
            ("distinct", "bits", [0, 32, 63, 65, 96, 2048]),
            ("ngram", "n", [0, 5]),
            ("ngram", "buckets", [1, 3, 128, 0]),
            ("period", "period", _DURATIONS),
            ("peak", "period", [0, 2**62 + 1]),
        ]
        for n in wrong
    ),
    *((f"{reduce} without its period", {"reduce": reduce}) for reduce in ("period", "peak")),
    *((f"sum with {name}", {name: 1}) for name in ("n", "bits", "power", "period", "buckets", "offset")),
    *((f"reduce {reduce!r}", {"reduce": reduce}) for reduce in ("total", "", None, 1)),
    *((f"of {of!r}", {"of": of}) for of in ("nothing", "", 1, ["word"])),
    *((f"event {event!r}", {"event": event}) for event in ("tc", [], ["xdp", "tc"], 1)),
    *(
        (f"encode {encode!r}", {"encode": encode})
        for encode in (
            {"kind": "bin", "bounds": [1]},
            {"bounds": [1]},
            {"kind": "bins"},
            {"kind": "bins", "bounds": [2, 1]},
            {"kind": "bins", "bounds": list(range(65536))},
            {"kind": "bins", "bounds": list(range(256)), "step": 2},
            {"kind": "thermometer", "bounds": list(range(256))},
            {"kind": "bins", "bounds": [1], "low": 2},
            {"kind": "linear", "low": 1, "high": 1},
            {"kind": "log2", "low": 0, "high": 1, "fraction": 0},
            {"kind": "log2", "low": 1, "high": 8, "fraction": 8},
            {"kind": "log2", "low": 1, "high": 2**64 - 1, "fraction": 2},
            {"kind": "bins", "bounds": [1, 2, 3], "step": 86},
            {"kind": "bins", "bounds": [2**64]},
            {"kind": "bins", "bounds": [-(2**63) - 1]},
            {"kind": "bins", "bounds": [1.5]},
            "bins",
            4,
        )
    ),
]


def cases() -> Iterator[Case]:
    """Each of them, for a test or a judgment of its own."""
    for what, spec, fields in _cases():
        yield what, deepcopy(spec), fields


def _cases() -> Iterator[Case]:
    yield from _members()
    yield from _conditions()
    yield from _keys()
    yield from _events()
    for what, column in _COLUMNS:
        yield f"column: {what}", _but(column=[{"name": "x", "reduce": "sum", "of": "word", **column}]), _FIELDS
    yield from _many_columns()


def _but(**changed: Any) -> dict[str, Any]:
    return {**BASE, **changed}


def _members() -> Iterator[Case]:
    for name in BASE:
        yield f"{name} is a number", _but(**{name: 7}), _FIELDS
    for name in ("name", "key", "event", "column"):
        yield f"no {name}", {each: value for each, value in BASE.items() if each != name}, _FIELDS
    for name in _NAMES:
        yield f"name {name!r}", _but(name=name), _FIELDS
    yield "a strange member", _but(extra=1), _FIELDS
    for member in ("state", "at"):
        yield f"a strange member of {member}", _but(**{member: {"extra": 1}}), _FIELDS
    for duration in _DURATIONS:
        yield f"idle {duration!r}", _but(state={"idle": duration}), _FIELDS
        yield f"after {duration!r}", _but(at={"after": duration}), _FIELDS
    for entries in (0, -1, 4_194_305, 1.0, "64", True):
        yield f"entries {entries!r}", _but(state={"entries": entries}), _FIELDS
    for what in (
        {"map": "array"},
        {"map": "LRU"},
        {"locked": True},
        {"locked": True, "map": "lru"},
        {"locked": 1, "map": "hash"},
    ):
        yield f"state {what}", _but(state=what), _FIELDS
    for count in ([0], [2**32 - 1], list(range(1, 18)), ["1"], [1.0], 4, [True], [-1]):
        yield f"count {count!r}", _but(at={"count": count}), _FIELDS
    for every in (0, -1, 2**31, 1.0, "1", True):
        yield f"every {every!r}", _but(at={"every": every}), _FIELDS


def _conditions() -> Iterator[Case]:
    column = BASE["column"][0]
    for condition in _CONDITIONS:
        yield f"where {condition!r}", _but(where=[condition]), _FIELDS
        yield f"end {condition!r}", _but(end=[condition]), _FIELDS
        yield f"at {condition!r}", _but(at={"when": [condition]}), _FIELDS
        yield f"event {condition!r}", _but(event=[{"trigger": "xdp", "where": [condition]}]), _FIELDS
        yield f"column {condition!r}", _but(column=[{**column, "when": [condition]}]), _FIELDS
    for condition in _HIDDEN:
        yield f"where {condition!r}", _but(where=[condition]), _FIELDS
        yield f"event {condition!r}", _but(event=[{"trigger": "xdp", "where": [condition]}]), _FIELDS
    for condition in ("number == 4294967296", "gap == -1", "age == 18446744073709551616"):
        yield f"end {condition!r}", _but(end=[condition]), _FIELDS
    for name in ("where", "end"):
        yield f"65 conditions of {name}", _but(**{name: ["tiny >= 0"] * 65}), _FIELDS
    yield "65 conditions of at", _but(at={"when": ["tiny >= 0"] * 65}), _FIELDS
    yield "65 conditions of a column", _but(column=[{**column, "when": ["tiny >= 0"] * 65}]), _FIELDS
    yield "reply without flow", _but(key="source"), _FIELDS
    yield "a condition that is no list", _but(where="version == 4"), _FIELDS
    yield "reply of a column without flow", _but(key="source", at={}, column=[{**column, "of": "reply"}]), _FIELDS


def _keys() -> Iterator[Case]:
    plain = {each: value for each, value in BASE.items() if each not in ("at", "end")}
    for key in ("sauce", "", "flow.reverse", "word", ["nothing"], ["number"], ["gap"], [1], None):
        yield f"key {key!r}", {**plain, "key": key}, _FIELDS
    wide = ["time", "big", "deep", "source_high", "source_low"]
    yield "key of 41 bytes", {**plain, "key": [*wide, "tiny"]}, _FIELDS
    short = {name: type_ for name, type_ in ONE.items() if name != "source_port"}
    yield "flow without its fields", plain, {"xdp": short}
    yield (
        "a key of two widths",
        {
            **plain,
            "key": ["word"],
            "event": [{"trigger": "xdp"}, {"trigger": "tc"}],
        },
        {"xdp": ONE, "tc": OTHER},
    )


def _events() -> Iterator[Case]:
    for event in (
        [],
        {},
        [{}],
        [{"trigger": ""}],
        [{"trigger": 5}],
        [{"trigger": "xdp", "name": "a b"}],
        [{"trigger": "xdp", "extra": 1}],
    ):
        yield f"event {event!r}", _but(event=event), _FIELDS
    yield "two events of one name", _but(event=[{"trigger": "xdp"}] * 2), _FIELDS
    many = [{"trigger": "xdp", "name": f"e{place}"} for place in range(17)]
    yield "17 events", _but(event=many), {each["name"]: ONE for each in many}
    two = [{"trigger": "xdp"}, {"trigger": "tc"}]
    column = {"name": "x", "reduce": "max", "of": "big"}
    yield "a column's field that one event lacks", _but(event=two, column=[column]), {"xdp": ONE, "tc": OTHER}
    yield "a condition's field that one event lacks", _but(event=two, where=["half > 1"]), {"xdp": ONE, "tc": OTHER}
    yield "a condition beyond the type of one event", _but(event=two, where=["word > 65536"]), {"xdp": ONE, "tc": OTHER}
    yield (
        "a sum of 63 bits in one event",
        _but(event=two, column=[{**column, "reduce": "sum", "of": "tiny"}]),
        {"xdp": ONE, "tc": OTHER},
    )


def _many_columns() -> Iterator[Case]:
    column = {"reduce": "sum", "of": "word"}
    yield "257 columns", _but(column=[{**column, "name": f"c{place}"} for place in range(257)]), _FIELDS
    yield "two columns of one name", _but(column=[{**column, "name": "x"}] * 2), _FIELDS
    first = {"name": "x", "reduce": "first", "n": 2, "of": "word"}
    yield "a column with the name of a result", _but(column=[first, {**column, "name": "x.2"}]), _FIELDS
    words = [{**first, "name": f"c{place}", "n": 64} for place in range(7)]  # 455 words
    rest = {**first, "name": "d", "n": 25}
    yield "481 words", _but(column=[*words, rest]), _FIELDS
    yield "no column", _but(column=[]), _FIELDS
