"""Specs at the limits of docs/events.md: as many words, results, columns, events, bytes of a key and conditions as it takes."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from .worlds import ONE, Kind, World, corners

Column = dict[str, Any]


def specs() -> Iterator[tuple[str, World, dict[str, Any]]]:
    """What each is at the edge of, its world and itself."""
    for what, columns in _columns().items():
        yield what, world(1), _spec(1, columns)
        if what in ("28 of distinct", "160 of deviation", "30 of recent"):
            yield f"{what}, locked", world(1), {**_spec(1, columns), "state": {"map": "hash", "entries": 64, "locked": True}}
    two = [{"name": "a", "reduce": "max", "of": "word"}, {"name": "b", "reduce": "recent", "n": 2, "of": "byte"}]
    yield "16 events", world(16), _spec(16, [*two, {"name": "c", "reduce": "count", "event": ["e0", "e15"]}])
    wide = {**_spec(1, two), "key": ["big", "deep", "source_high", "source_low", "destination_high"]}
    yield "40 bytes of a key", world(1), wide
    low = [f"big != {bound}" for bound in range(1000, 1064)]
    when = {
        "when": [f"{name} {operator} 7" for name in ("number", "gap", "age", "reply", "below") for operator in ("!=", "!&")]
    }
    when["when"] = [each for each in when["when"] if each != "reply != 7" and each != "reply !& 7"]
    many = {
        **_spec(1, [{**each, **when} for each in two]),
        "where": low,
        "end": [f"number >= {place}" for place in range(64)],
    }
    yield (
        "many conditions",
        world(1),
        {**many, "at": {"count": list(range(1, 17)), "when": [f"age >= {place}" for place in range(64)]}},
    )


def _columns() -> dict[str, list[Column]]:
    return {
        "472 results of first": [
            *_many(7, "first", n=64, of="deep"),
            {"name": "last", "reduce": "first", "n": 24, "of": "big"},
        ],
        "30 of recent": _many(30, "recent", n=16, of="big"),
        "256 columns": _many(256, "sum", of="word"),
        "28 of distinct": _many(28, "distinct", bits=1024, of="big"),
        "7 of ngram": _many(7, "ngram", n=4, buckets=64, of="deep"),
        "160 of deviation": _many(160, "deviation", of="less"),
        "160 of peak": _many(160, "peak", of="word", period=1000, when=["gap != 5"]),
        "240 of min": _many(240, "min", of="below", when=["number != 2"]),
        "240 of ewma": _many(240, "ewma", of="word"),
    }


def _many(count: int, reduce: str, **members: Any) -> list[Column]:
    return [{"name": f"c{place}", "reduce": reduce, **members} for place in range(count)]


def world(events: int) -> World:
    random = Random(events)
    kinds = [Kind({"trigger": "mine", "target": f"e{place}"}, ONE, "one") for place in range(events)]
    pools = {name: corners(type_, random) for name, type_ in ONE.items()}
    return World("own", kinds, {**pools, "version": [4, 6], "protocol": [6]})


def _spec(events: int, columns: list[Column]) -> dict[str, Any]:
    tables = [{"trigger": "mine", "target": f"e{place}"} for place in range(events)]
    return {"name": "edge", "key": "flow", "event": tables, "column": columns, "state": {"entries": 512}}
