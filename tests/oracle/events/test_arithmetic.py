"""The oracle's own arithmetic, against numbers that were worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from . import encoders, meaning, reducers
from .machine import Machine, key_bytes, value

VALUES = [10, 4, 4, 70_000, 9]
TIMES = [5, 19, 20, 29, 12]


def worked_out(option: dict[str, Any], values: list[int] = VALUES) -> list[int]:
    return reducers.reduce({"name": "x", **option}, values, TIMES[: len(values)])


@pytest.mark.parametrize(
    ("option", "results"),
    [
        ({"reduce": "count"}, [5]),
        ({"reduce": "sum"}, [70_027]),
        ({"reduce": "last"}, [9]),
        ({"reduce": "first"}, [10]),
        ({"reduce": "first", "n": 6}, [10, 4, 4, 70_000, 9, 0]),
        ({"reduce": "recent", "n": 3}, [9, 70_000, 4]),
        ({"reduce": "recent", "n": 7}, [9, 70_000, 4, 4, 10, 0, 0]),
        ({"reduce": "min"}, [4]),
        ({"reduce": "max"}, [70_000]),
        ({"reduce": "mean"}, [14_005]),  # 70,027 / 5
        # Means so far: 10, 7, 6, 17504 (70,018 / 4), 14005. Distances: 0, 3, 2, 52496, 13996; their sum 66,497, by 5.
        ({"reduce": "deviation"}, [13_299]),
        # p = 1: 20; 20 - 10 + 4 = 14; 14 - 7 + 4 = 11; 11 - 5 + 70,000 = 70,006; 70,006 - 35,003 + 9 = 35,012; by 2.
        ({"reduce": "ewma", "power": 1}, [17_506]),
        # p = 3: 80; 80 - 10 + 4 = 74; 74 - 9 + 4 = 69; 69 - 8 + 70,000 = 70,061; 70,061 - 8,757 + 9 = 61,313; by 8.
        ({"reduce": "ewma"}, [7_664]),
        # Periods of 10: 0, 1, 2, 2, 1. The last is the second time in 1, and not in a row with the first.
        ({"reduce": "period", "period": 10}, [9]),
        ({"reduce": "peak", "period": 10}, [70_004]),
        ({"reduce": "period", "period": "1us"}, [70_027]),
    ],
)
def test_each_reducer(option: dict[str, Any], results: list[int]) -> None:
    assert worked_out(option) == results
    assert worked_out(option, []) == [0] * len(results)


def test_what_hashes_give() -> None:
    """9E37.. is 1001 1110..., twice it 0011 1100..., thrice 1101 1010... and four times it 0111 1000..."""
    assert [reducers.top_bits(x, 6) for x in range(5)] == [0, 0b100111, 0b001111, 0b110110, 0b011110]
    assert worked_out({"reduce": "distinct", "bits": 64}, [1, 2, 1, 3]) == [3]
    assert worked_out({"reduce": "ngram", "n": 1, "buckets": 2}, [1, 2, 65_537, 3, 2**40]) == [2, 3]  # 0s: 2, 2^40 cut to 0
    # Of two: 1 + 2^16 * 0 has the top bit set; 0 + 2^16 * 1 has bit 47 of the factor on top: 0x7C15... is 0111.
    assert worked_out({"reduce": "ngram", "n": 2, "buckets": 2}, [0, 1, 0]) == [1, 1]
    assert worked_out({"reduce": "ngram", "n": 4, "buckets": 2}, [0, 1, 0]) == [0, 0]


def test_names_of_results() -> None:
    assert reducers.names({"name": "x", "reduce": "sum"}) == ["x"]
    assert reducers.names({"name": "x", "reduce": "first"}) == ["x.1"]
    assert reducers.names({"name": "x", "reduce": "ngram", "buckets": 2}) == ["x.1", "x.2"]


@pytest.mark.parametrize(
    ("column", "found", "v"),
    [
        ({}, 77, 1),
        ({"of": "f"}, -1, 0),
        ({"of": "f", "shift": 3}, 77, 9),
        ({"of": "f", "shift": -3}, 77, 616),
        ({"of": "f", "shift": 1, "clip": 37}, 77, 37),
        ({"of": "f", "clip": 0}, 77, 0),
    ],
)
def test_values(column: dict[str, Any], found: int, v: int) -> None:
    assert value({"name": "x", "reduce": "sum", **column}, {"f": found}) == v


def test_conditions() -> None:
    values = {"tcp_flags": 0x12, "s": -5, "source": 0x0A010203}
    values |= {"comm": int.from_bytes(b"kworker/", "little"), "comm_rest": int.from_bytes(b"0:1", "little")}
    true = ["tcp_flags & ack|fin", "tcp_flags !& fin|rst", "s < 0", "s == -5", "source in 10.0.0.0/8", "source in 0.0.0.0/0"]
    true += ["source not in 10.1.2.2/32", "tcp_flags == 0x12", 'comm == "kworker/0:1"', 'comm != "kworker/"', "s & -8"]
    false = [
        "tcp_flags & fin|rst",
        "tcp_flags !& syn",
        "s >= 0",
        "s != -5",
        "source not in 10.1.2.3/32",
        "source in 10.2.0.0/15",
    ]
    false += ['comm != "kworker/0:1"', 'comm == "kworker/0:10"', "s & 4"]
    assert [each for each in true if not meaning.holds(each, values)] == []
    assert [each for each in false if meaning.holds(each, values)] == []
    assert [meaning.nanoseconds(each) for each in (7, "250us", "2m", "1ns", "1h")] == [7, 250_000, 120 * 10**9, 1, 3600 * 10**9]


FOUR = {
    "version": 4,
    "source": 0x0A010203,
    "destination": 0x0A010202,
    "source_port": 0x1234,
    "destination_port": 80,
    "protocol": 6,
}
SIX = {"source_high": 1, "source_low": 2, "destination_high": 0xFE80 << 48, "destination_low": 3}
TYPES = {"s": "s16", "u": "u8"}


def test_keys() -> None:
    low, high = bytes([2, 2, 1, 10, 0xFF, 0xFF]) + bytes(10), bytes([3, 2, 1, 10, 0xFF, 0xFF]) + bytes(10)
    tail = b"\x06\0\0\0"
    given = {**FOUR, **SIX}
    assert key_bytes("flow", {}, given) == low + high + b"\x50\0\x34\x12" + tail
    assert key_bytes("flow.directed", {}, given) == high + low + b"\x34\x12\x50\0" + tail
    assert key_bytes("source", {}, given) == high
    assert key_bytes("destination", {}, {**given, "version": 6}) == b"\x03" + bytes(13) + b"\x80\xfe"
    assert key_bytes("destination", {}, {**given, "version": 0}) == bytes(16)
    assert key_bytes(["s", "u"], TYPES, {"s": -2, "u": 9}) == b"\xfe\xff\x09\0\0\0\0\0"


def run(spec: dict[str, Any], *given: dict[str, int]) -> list[Any]:
    machine = Machine({"event": [{"trigger": "a"}], "key": ["u"], **spec}, [{"u": "u8", "time": "u64"}])
    return [machine.observe(0, {"u": 0, **each}) for each in given]


def times(*given: int) -> list[dict[str, int]]:
    return [{"time": each} for each in given]


def rows(seen: list[Any]) -> list[Any]:
    return [each and each.row for each in seen]


def derived(name: str) -> dict[str, str]:
    return {"name": name, "reduce": "last", "of": name}


ALL = [derived(name) for name in ("number", "gap", "age")]


def test_derived_fields_and_a_clock_that_goes_back() -> None:
    assert rows(run({"column": ALL}, *times(5, 9, 3, 10))) == [(1, 0, 0), (2, 4, 4), (3, 0, 0), (4, 7, 5)]


def test_idle_begins_anew() -> None:
    seen = run({"column": ALL, "state": {"idle": 4}}, *times(5, 8, 12, 0, 4))
    assert rows(seen) == [(1, 0, 0), (2, 3, 3), (1, 0, 0), (2, 0, 0), (1, 0, 0)]
    assert [each.restarted for each in seen] == [False, False, True, False, True]


def test_end_deletes_behind_the_row() -> None:
    seen = run({"column": ALL[:1], "end": ["number == 2"]}, *times(1, 1, 1))
    assert rows(seen) == [(1,), (2,), (1,)]
    assert [(each.created, each.ended) for each in seen] == [(True, False), (False, True), (True, False)]


def test_when_there_is_a_row() -> None:
    at = {"count": [2], "every": 4, "after": 10}
    seen = run({"column": ALL[:1], "at": at}, *times(0, 1, 10, 10, 12, 20))
    assert rows(seen) == [None, (2,), None, (4,), None, (6,)]  # 20 is 10 behind the row at 10, and 10 but 9 behind that at 1


def test_a_full_map_takes_no_new_key() -> None:
    given = [{"u": each, "time": 0} for each in (1, 2, 1)]
    seen = run({"column": ALL[:1], "state": {"map": "hash", "entries": 1}, "end": ["number == 2"]}, *given, given[1])
    assert rows(seen) == [(1,), None, (2,), (1,)]


def test_columns_of_some_events() -> None:
    spec = {
        "event": [{"trigger": "a"}, {"trigger": "t", "target": "x:b"}],
        "key": ["u"],
        "column": [
            {"name": "n", "reduce": "sum", "of": "u", "event": "b"},
            {"name": "m", "reduce": "count", "when": ["u > 1"]},
        ],
    }
    machine = Machine(spec, [{"u": "u8"}, {"u": "u8"}])
    seen = [machine.observe(index, {"u": 7, "time": 0}) for index in (0, 1, 1)]
    assert rows(seen) == [(0, 1), (7, 2), (14, 3)]


def test_replies() -> None:
    spec = {"event": [{"trigger": "a"}], "key": "flow", "column": [derived("reply")]}
    machine = Machine(spec, [{}])
    back = {**FOUR, "source": FOUR["destination"], "destination": FOUR["source"], "source_port": 80, "destination_port": 0x1234}
    seen = [machine.observe(0, {**each, "time": 0}) for each in (FOUR, back, FOUR)]
    assert rows(seen) == [(0,), (1,), (0,)]


def test_encoders() -> None:
    bins = {"encode": "bins", "bounds": [-1, 5, 2**64 - 1], "step": 85}
    assert [encoders.encoded(bins, x) for x in (0, 5, 2**64 - 1)] == [b"\x55", b"\xaa", b"\xff"]
    assert encoders.encoded({"encode": "thermometer", "bounds": [1, 5, 9]}, 5) == b"\1\1\0"
    linear = {"encode": "linear", "low": 0, "high": 510}  # a bound every 2
    assert [encoders.encoded(linear, x)[0] for x in (0, 1, 2, 3, 509, 510)] == [0, 0, 1, 1, 254, 255]
    log2 = {"encode": "log2", "low": 1, "high": 8, "fraction": 1}  # 1, 1.5, 2, 3, 4, 6, 8
    assert [encoders.encoded(log2, x)[0] for x in (0, 1, 2, 3, 5, 6, 8)] == [0, 1, 3, 4, 5, 6, 7]
