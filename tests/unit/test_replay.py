"""The twin: rows from the fields of events, held to numbers computed by hand from docs/events.md."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pytest
from specs import IPV6, PACKET, REDUCERS, THREAD, UDP, bound, packet, reply, spec_dict, thread

from ebpfnn.errors import InputError, ModelError
from ebpfnn.events import Bound, Field, Replay, Result, bind, build, replay, samples
from ebpfnn.events.spec import LAST_NUMBER
from ebpfnn.preparation import columns as encoded

MAPPED = (1 << 48) - (1 << 32)
COUNT = {"name": "n", "reduce": "count"}


def rows(spec: Bound, events: Iterable[Mapping[str, int]]) -> list[Result]:
    return list(replay(spec, ((0, values) for values in events)))


def results(columns: list[dict[str, Any]], events: Iterable[Mapping[str, int]], **members: Any) -> list[tuple[int, ...]]:
    return [row.results for row in rows(bound(columns, **members), events)]


def one(reduce: str, values: Iterable[int], *, times: Iterable[int] | None = None, **options: Any) -> list[tuple[int, ...]]:
    """The results of a reducer over ``values`` in the field source_low, after each."""
    column = {"name": "x", "reduce": reduce, "of": "source_low", **options}
    found = list(values)
    at = list(times) if times is not None else [0] * len(found)
    return results([column], [packet(t, source_low=value) for t, value in zip(at, found, strict=True)])


BIG = (1 << 64) - 1


@pytest.mark.parametrize(
    ("reduce", "options", "values", "expected"),
    [
        ("sum", {"clip": 9}, [3, 10, 0], [(3,), (12,), (12,)]),
        ("last", {}, [3, BIG, 0], [(3,), (BIG,), (0,)]),
        ("min", {}, [3, 5, 1], [(3,), (3,), (1,)]),
        ("max", {}, [3, 5, 1], [(3,), (5,), (5,)]),
        ("mean", {"clip": 99}, [3, 6, 0], [(3,), (4,), (3,)]),
        ("deviation", {"clip": 99}, [10, 20, 3], [(0,), (2,), (4,)]),  # means 10, 15, 11; distances 0, 5, 8
        ("ewma", {"power": 1, "clip": 99}, [8, 4, 1], [(8,), (6,), (3,)]),  # 16, 16 - 8 + 4 = 12, 12 - 6 + 1 = 7
        ("first", {"n": 2}, [3, 5, 1], [(3, 0), (3, 5), (3, 5)]),
        ("recent", {"n": 2}, [3, 5, 1], [(3, 0), (5, 3), (1, 5)]),
        ("first", {}, [3, 5], [(3,), (3,)]),
        ("distinct", {"bits": 64}, [0, 0, 1], [(1,), (1,), (2,)]),
        ("ngram", {"n": 1, "buckets": 2}, [0, 1, 0], [(1, 0), (1, 1), (2, 1)]),  # h(1) of one bit is 1
        ("ngram", {"n": 2, "buckets": 2}, [0, 0, 1], [(0, 0), (1, 0), (1, 1)]),
    ],
)
def test_a_reducer_gives(reduce: str, options: dict[str, int], values: list[int], expected: list[tuple[int, ...]]) -> None:
    assert one(reduce, values, **options) == expected


def test_periods_are_counted_from_the_clocks_start() -> None:
    times, values = [5, 9, 10, 19, 40, 39, 38], [1, 2, 4, 8, 16, 32, 64]
    now = one("period", values, times=times, period=10, clip=99)
    assert now == [(1,), (3,), (4,), (12,), (16,), (32,), (96,)]  # the last two lie in 30..39 again
    assert one("peak", values, times=times, period=10, clip=99) == [(1,), (3,), (4,), (12,), (16,), (32,), (96,)]
    assert one("peak", [9, 1, 2], times=[0, 10, 20], period=10, clip=99) == [(9,), (9,), (9,)]


def test_values_are_shifted_and_then_clipped() -> None:
    assert one("last", [0x1FF, 0x3F], shift=4, clip=9) == [(9,), (3,)]
    assert results([{"name": "x", "reduce": "last", "of": "protocol", "shift": -4, "clip": 99}], [packet()]) == [(96,)]
    assert results([{"name": "x", "reduce": "sum", "shift": -3}], [packet(), packet()]) == [(8,), (16,)]


def test_a_negative_value_counts_as_zero() -> None:
    fields = [*PACKET, Field("level", 0, 2, signed=True)]
    spec = bound([{"name": "x", "reduce": "last", "of": "level", "shift": 1}], fields)
    assert [row.results for row in rows(spec, [packet(level=-4), packet(level=4)])] == [(0,), (2,)]


def test_derived_fields() -> None:
    columns = [{"name": name, "reduce": "last", "of": name} for name in ("number", "gap", "age", "reply")]
    events = [reply(100), packet(130), reply(120), packet(90), reply(95)]
    assert results(columns, events) == [(1, 0, 0, 0), (2, 30, 30, 1), (3, 0, 20, 0), (4, 0, 0, 1), (5, 5, 0, 0)]


def test_equal_ends_have_their_source_at_the_lower_one() -> None:
    same = {"destination": 0x0A000001, "destination_port": 1000}
    assert results([{"name": "reply", "reduce": "last", "of": "reply"}], [packet(**same)] * 2) == [(0,), (0,)]


def end(address: int, port: int) -> tuple[bytes, bytes]:
    return address.to_bytes(16, "little"), port.to_bytes(2, "little")


def test_the_bytes_of_keys() -> None:
    client, server = MAPPED + 0x0A000001, MAPPED + 0x0A000002
    both = struct.pack("<QQQQHHB3x", client, 0, server, 0, 1000, 80, 6)
    assert [row.key for row in rows(bound([COUNT]), [packet(), reply()])] == [both, both]
    back = struct.pack("<QQQQHHB3x", server, 0, client, 0, 80, 1000, 6)
    assert [row.key for row in rows(bound([COUNT], key="flow.directed"), [packet(), reply()])] == [both, back]
    assert [row.key for row in rows(bound([COUNT], key="source"), [packet(), reply()])] == [
        struct.pack("<QQ", client, 0),
        struct.pack("<QQ", server, 0),
    ]
    assert rows(bound([COUNT], key="destination"), [packet()])[0].key == struct.pack("<QQ", server, 0)


def test_ends_compare_by_their_first_bits_first() -> None:
    values = {"version": IPV6, "source_high": 2, "source_low": 1, "destination_high": 1, "destination_low": 9}
    key = rows(bound([COUNT]), [packet(**values)])[0].key
    assert key == struct.pack("<QQQQHHB3x", 9, 1, 1, 2, 80, 1000, 6)
    same = {"version": IPV6, "source_high": 1, "source_low": 9, "destination_high": 1, "destination_low": 9}
    assert rows(bound([COUNT]), [packet(**same)])[0].key == struct.pack("<QQQQHHB3x", 9, 1, 9, 1, 80, 1000, 6)


def test_a_packet_that_is_not_ip_has_no_address() -> None:
    assert rows(bound([COUNT], key="source"), [packet(version=0)])[0].key == bytes(16)


def test_a_list_of_fields_is_filled_with_zeros() -> None:
    fields = [*PACKET, Field("level", 0, 2, signed=True)]
    spec = bound([COUNT], fields, key=["level", "protocol", "source"])
    assert rows(spec, [packet(level=-2)])[0].key == struct.pack("<hBI", -2, 6, 0x0A000001) + b"\0"


def numbers(events: Iterable[Mapping[str, int]], **members: Any) -> list[int]:
    return [row.number for row in rows(bound([COUNT], **members), events)]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"count": [2, 5, 9]}, [2, 5]),
        ({"every": 2}, [2, 4, 6]),
        ({"when": ["length > 40"]}, [5, 6]),
        ({"after": 25}, [4]),
        ({"after": 20}, [3, 5]),
        ({"count": [4], "after": 20}, [3, 4, 6]),  # the row at 4 starts the wait again
        ({"when": ["number == 3"], "every": 5}, [3, 5]),
    ],
)
def test_rows_are_given_at(at: dict[str, Any], expected: list[int]) -> None:
    events = [packet(10 * number, length=10 * number) for number in range(1, 7)]
    assert numbers(events, at=at) == expected


def test_waiting_counts_no_negative_time() -> None:
    assert numbers([packet(100), packet(50), packet(109), packet(110)], at={"after": 10}) == [4]


def test_an_idle_state_starts_again() -> None:
    assert numbers([packet(0), packet(9), packet(19), packet(5), packet(14)], state={"idle": 10}) == [1, 2, 1, 2, 3]


def test_the_last_packet_deletes_the_state() -> None:
    events = [packet(), packet(tcp_flags=1), packet(), packet(tcp_flags=16)]
    assert numbers(events, end=["tcp_flags & fin|rst"]) == [1, 2, 1, 2]
    assert numbers([packet()] * 5, end=["number == 2"]) == [1, 2, 1, 2, 1]


def test_columns_see_their_events_and_conditions() -> None:
    columns = [
        {"name": "all", "reduce": "sum", "of": "pid"},
        {"name": "two", "reduce": "sum", "of": "pid", "event": ["two"]},
        {"name": "late", "reduce": "count", "when": ["number > 2"]},
    ]
    event = [{"trigger": "perf", "name": "one"}, {"trigger": "perf", "name": "two"}]
    spec = bind(build(spec_dict(columns, key=["tgid"], event=event)), {"one": THREAD, "two": THREAD}, REDUCERS)
    events = [("one", thread(pid=1)), ("two", thread(pid=2)), (0, thread(pid=4)), (1, thread(pid=8))]
    assert [row.results for row in replay(spec, events)] == [(1, 0, 0), (3, 2, 0), (7, 2, 1), (15, 10, 2)]


def test_events_that_where_refuses_leave_no_trace() -> None:
    spec = bound([COUNT], where=["protocol == 6"], event=[{"trigger": "xdp", "where": ["length > 5"]}])
    twin = Replay(spec)
    assert twin.observe(0, packet(length=9, protocol=UDP)) is None
    assert twin.observe(0, packet(length=5)) is None
    assert not twin.states
    assert twin.observe("xdp", packet(length=6)) == Result(next(iter(twin.states)), 1, 0, (1,))


def test_a_full_map_takes_no_new_keys_or_drops_the_oldest() -> None:
    events = [packet(source_port=port) for port in (1, 2, 1, 3, 1, 2)]
    assert numbers(events, state={"entries": 2, "map": "hash"}) == [1, 1, 2, 3, 2]
    assert numbers(events, state={"entries": 2}) == [1, 1, 2, 1, 3, 1]


def test_the_last_number_stays() -> None:
    twin = Replay(bound([COUNT], state={"idle": 10}))
    assert twin.observe(0, packet(5)) is not None
    (state,) = twin.states.values()
    state.number = LAST_NUMBER - 1
    last = twin.observe(0, packet(6))
    assert last is not None
    assert last.number == LAST_NUMBER
    assert twin.observe(0, packet(7)) is None
    assert (state.last, state.number) == (6, LAST_NUMBER)
    again = twin.observe(0, packet(16))
    assert again is not None
    assert again.number == 1


def test_events_that_do_not_belong_are_refused() -> None:
    twin = Replay(bound([{"name": "n", "reduce": "last", "of": "length"}]))
    for event in (1, -1, "tc"):
        with pytest.raises(InputError, match="is not in the spec; its events: xdp"):
            twin.observe(event, packet())
    values = packet()
    del values["length"]
    with pytest.raises(InputError, match="event 'xdp' has no field 'length'"):
        twin.observe(0, values)


def test_samples_are_those_of_the_preparation() -> None:
    spec = bound([COUNT, {"name": "length", "reduce": "first", "of": "length", "n": 2}])
    described = [
        {"name": "n", "type": "integer", "encode": "bins", "bounds": [2, 3], "step": 10},
        *({"name": f"length.{k}", "type": "integer", "encode": "log2", "low": 1, "high": 64, "fraction": 0} for k in (1, 2)),
    ]
    columns = encoded.read({"columns": described})
    found = samples(spec, columns, rows(spec, [packet(length=8), packet(length=64), packet()]))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 4, 0], [10, 4, 7], [20, 4, 7]]
    assert samples(spec, columns, []).shape == (0, 3)
    some = samples(spec, (columns[2], columns[0]), rows(spec, [packet(length=8), packet(length=64)]))
    assert some.tolist() == [[0, 0], [7, 10]]
    other = encoded.read({"columns": [{**described[1], "name": "lenght.1"}]})
    with pytest.raises(ModelError, match=r"spec 'test' has no result 'lenght\.1'; did you mean 'length\.1'"):
        samples(spec, other, [])


def test_a_hundred_thousand_events_take_seconds() -> None:
    reducers = ["sum", "last", "max", "min", "mean", "deviation", "first", "ewma"]
    columns = [{"name": f"c{k}", "reduce": reducers[k % 8], "of": ("length", "hops", "payload")[k % 3]} for k in range(24)]
    spec = bound(columns, at={"every": 8})
    some = [packet(k, length=k % 1500, source_port=k % 997) for k in range(2000)]
    began = time.process_time()
    found = rows(spec, (some[k % 2000] for k in range(20_000)))
    assert time.process_time() - began < 4
    assert len(found) > 1000
