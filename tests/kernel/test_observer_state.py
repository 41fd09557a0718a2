"""Keys, states, derived fields, and when there are rows: observers in the kernel, held to the twin."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from rigs import Rig, rig

from ebpfnn import abi
from ebpfnn.events.spec import LAST_NUMBER
from ebpfnn.obj import ObjectSpec

pytestmark = pytest.mark.root
Build = Callable[..., ObjectSpec]
WORD = (1 << 64) - 1
COUNT = {"name": "count", "reduce": "count"}
DERIVED = [{"name": each, "reduce": "last", "of": each} for each in ("number", "gap", "age")]
REPLY = [*DERIVED, {"name": "reply", "reduce": "last", "of": "reply"}, {"name": "replies", "reduce": "sum", "of": "reply"}]
ADDRESSES_4 = (0, 0x0A000001, 0x0A000002, 0xFFFFFFFF)
ADDRESSES_6 = ((0, 0), (0, 1), (1, 0), (1 << 63, WORD), (WORD, 1 << 63))
PORTS = (0, 1, 80, 0x8000, 0xFFFF)


def packets(count: int, seed: int) -> list[dict[str, int]]:
    """Ends that are equal, or differ in the address or the port alone, of both versions; what is no IP may have ports too."""
    choose, found = random.Random(seed), []
    for _ in range(count):
        version = choose.choice((0, 4, 4, 6, 6, 5))
        values = {"version": version, "protocol": choose.choice((6, 17, 255))}
        values |= {f"{end}_port": choose.choice(PORTS) for end in ("source", "destination")}
        for end in ("source", "destination"):
            values[end] = choose.choice(ADDRESSES_4)
            values[f"{end}_high"], values[f"{end}_low"] = choose.choice(ADDRESSES_6)
        found.append(values)
    return found


@pytest.mark.parametrize("key", ["flow", "flow.directed", "source", "destination"])
@pytest.mark.parametrize(
    "where", [[], ["version == 4"], pytest.param(["version == 6"], marks=pytest.mark.slow)], ids=["any", "v4", "v6"]
)
def test_keys_with_names(build_spec: Build, key: str, where: list[str]) -> None:
    columns = REPLY if key == "flow" else DERIVED
    with rig(build_spec, {"key": key, "where": where, "column": columns}) as made:
        for time, packet in enumerate(packets(800, 1)):
            made.check({**packet, "time": time})
        assert made.states() == len(made.twin.states) > 3


@pytest.mark.parametrize(
    "fields",
    [
        ["u8"],
        ["u64"],
        ["s8", "u64", "s16", "u32"],
        ["u8", "s64", "u64", "u16", "s32", "source_high", "comm", "protocol"],
        ["u64", "s64", "source_high", "source_low", "comm"],
        ["u32", "s32"],
        ["u16", "s32", "s16"],
    ],
    ids=lambda fields: ",".join(fields),
)
def test_keys_of_fields(build_spec: Build, fields: list[str]) -> None:
    """Parts of every size at any place; the sign bit of each set and not."""
    choose = random.Random(2)
    sizes = {"protocol": 8, "source_high": 64, "source_low": 64, "comm": 64}
    with rig(build_spec, {"key": fields, "column": [COUNT]}) as made:
        for _ in range(300):
            values = {}
            for field in fields:
                bits = sizes.get(field) or int(field[1:])
                value = choose.choice((0, 1, (1 << bits) - 1, 1 << bits - 1, choose.getrandbits(bits)))
                signed = field in ("s8", "s16", "s32", "s64")
                values[field] = value - (1 << bits) if signed and value >> bits - 1 else value
            made.check(values)


AT: dict[str, dict[str, Any]] = {
    "always": {},
    "counts": {"count": [1, 3, 4, 16, LAST_NUMBER - 1]},
    "every third": {"every": 3},
    "every fourth": {"every": 4},
    "every event": {"every": 1},
    "seldom": {"every": (1 << 31) - 1},
    "conditions": {"when": ["u8 == 3", "gap > 5"]},
    "a time": {"after": 40},
    "a long time": {"after": 1 << 62},
    "all of it": {"count": [2], "every": 7, "when": ["number == 5"], "after": "50ns"},
}


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("at", AT)
def test_when_there_are_rows(build_spec: Build, at: str, locked: bool) -> None:
    choose, time = random.Random(3), 1000
    state = {"map": "hash", "locked": locked}
    with rig(build_spec, {"key": ["u16"], "at": AT[at], "column": DERIVED, "state": state}) as made:
        rows = 0
        for _ in range(400):
            time += choose.choice((0, 1, 5, 6, 40, -20))
            values = {"u16": choose.randint(0, 5), "u8": choose.randint(0, 4), "time": time}
            rows += made.check(values) is not None
        assert made.counts == {"observed": 400, "created": 6, **({"rows": rows} if rows else {})}
        assert (rows > 0) == (at not in ("seldom", "a long time"))


@pytest.mark.parametrize("locked", [False, True])
def test_states_end_and_begin_again(build_spec: Build, locked: bool) -> None:
    """After a while, by a packet, and by both; every word is as in a new state, and who replies is found anew."""
    columns: list[dict[str, Any]] = [*REPLY, {"name": "first", "reduce": "first", "of": "u64", "n": 3}]
    columns += [{"name": "bits", "reduce": "distinct", "of": "u64", "bits": 64}]
    columns += [{"name": "grams", "reduce": "ngram", "of": "u64", "buckets": 2}]
    state = {"map": "hash", "locked": locked, "idle": 100}
    spec = {"key": "flow", "end": ["tcp_flags & fin", "number > 1"], "column": columns, "state": state}
    choose, time = random.Random(4), 1 << 33
    with rig(build_spec, spec) as made:
        for packet in packets(1500, 5):
            time += choose.choice((0, 1, 50, 99, 100, 101, 5000, -99, -200))
            flags = choose.choice((0, 0, 0, 1))
            narrow = {**packet, "version": choose.choice((0, 4)), "protocol": 6}
            narrow |= {f"{end}_port": choose.choice((1, 2)) for end in ("source", "destination")}
            narrow |= dict.fromkeys(("source", "destination"), 1)
            made.check({**narrow, "time": time, "tcp_flags": flags, "u64": choose.getrandbits(5)})
        counts = made.counts
        assert counts["created"] - counts["ended"] == made.states() == len(made.twin.states)
        assert min(counts["ended"], counts["restarted"]) > 20


def test_a_time_after_a_row_begins_again_with_the_state(build_spec: Build) -> None:
    spec = {"key": ["u8"], "column": DERIVED, "at": {"after": 50}, "state": {"idle": 100}}
    with rig(build_spec, spec) as made:
        rows = [made.check({"time": time}) is not None for time in (1, 40, 51, 60, 160, 209, 210)]
    assert rows == [False, False, True, False, False, False, True]


def test_a_state_that_is_full_stays_as_it_is(build_spec: Build) -> None:
    spec = {"key": ["u8"], "column": [COUNT, *DERIVED], "state": {"map": "hash", "idle": 100}}
    with rig(build_spec, spec) as made:
        made.check({"time": 1})
        near_the_end(made, LAST_NUMBER - 1)
        assert made.check({"time": 2}) is not None
        for time in (3, 4, 101):
            assert made.check({"time": time}) is None
        assert made.check({"time": 102}) is not None  # idle since 2: the full state observed nothing after that
        assert made.counts == {"observed": 6, "created": 1, "frozen": 3, "restarted": 1, "rows": 3}


def near_the_end(made: Rig, number: int) -> None:
    """Gives the one state, in the kernel and in the twin, a number."""
    ((key, value),) = made.maps[abi.STATES].items()
    made.maps[abi.STATES].update(key, value[:24] + number.to_bytes(4, "little") + value[28:])
    made.twin.states[key].number = number


def test_a_full_hash_takes_no_new_keys(build_spec: Build) -> None:
    spec = {"key": ["u16"], "column": [COUNT], "state": {"map": "hash", "entries": 3}, "end": ["u8 == 1"]}
    with rig(build_spec, spec) as made:
        for key in (1, 2, 3, 4, 5, 1):
            made.check({"u16": key})
        made.check({"u16": 2, "u8": 1})
        made.check({"u16": 5})
        assert made.counts == {"observed": 8, "created": 4, "unstored": 2, "ended": 1, "rows": 6}


@pytest.mark.slow
def test_an_lru_map_takes_them_all(build_spec: Build) -> None:
    """What it drops is the kernel's choice: of the latest key there is always a state."""
    spec = {"key": ["u16"], "column": [COUNT], "state": {"entries": 64}}
    with rig(build_spec, spec) as made:
        for key in range(5000):
            assert made.run({"u16": key}) == 0
            assert made.run({"u16": key}) == 0
            first, second = made.rows()
            assert (first.number, second.number, second.results) == (1, 2, (2,))
        counts = made.counts
        assert (counts["observed"], counts["created"], counts["rows"]) == (10_000, 5000, 10_000)
        assert "unstored" not in counts


def test_events_share_states(build_spec: Build) -> None:
    """Three events: columns that count some of them, conditions of their own, rows and ends by fields and derived fields."""
    events = [
        {"trigger": "xdp", "name": "a"},
        {"trigger": "xdp", "name": "b", "where": ["u8 < 200"]},
        {"trigger": "xdp", "name": "c", "where": ["u8 > 10"]},
    ]
    columns: list[dict[str, Any]] = [*DERIVED, {**COUNT, "name": "all"}]
    columns += [{**COUNT, "name": f"only-{name}", "event": name} for name in "abc"]
    columns += [{"name": "both", "reduce": "recent", "of": "u32", "n": 3, "event": ["a", "c"], "when": ["u8 & 1"]}]
    spec = {"event": events, "key": ["u16"], "column": columns, "at": {"every": 2, "when": ["u8 == 50"]}, "end": ["u8 == 99"]}
    choose = random.Random(6)
    with rig(build_spec, spec) as made:
        for time in range(1500):
            values = {"u16": choose.randint(0, 3), "u8": choose.choice((0, 5, 50, 51, 99, 250)), "u32": choose.getrandbits(32)}
            made.check({**values, "time": time}, choose.randint(0, 2))
        counts = made.counts
        assert counts["observed"] < 1500
        assert counts["created"] - counts["ended"] == made.states()


def test_an_event_that_is_ignored_leaves_nothing(build_spec: Build) -> None:
    spec = {"key": ["u16"], "column": [COUNT], "where": ["u8 == 1", "u16 != 3"]}
    with rig(build_spec, spec) as made:
        for values in ({"u8": 0}, {"u8": 1, "u16": 3}, {"u8": 2, "u16": 3}):
            assert made.check(values) is None
        assert (made.states(), made.counts) == (0, {})
        assert made.check({"u8": 1, "u16": 4}) is not None


def test_a_full_ring_loses_rows_and_counts_them(build_spec: Build) -> None:
    spec = {"key": ["u16"], "column": [{"name": "first", "reduce": "first", "of": "u64", "n": 64}]}
    with rig(build_spec, spec, ring_bytes=4096) as made:
        for _ in range(20):
            made.run({"u64": 7})
        lost = made.counts["lost"]
        assert len(made.rows()) + lost == 20
        assert 0 < lost < 20
        made.run({"u64": 7})
        assert [row.number for row in made.rows()] == [21]


def test_flow_in_both_directions_by_hand(build_spec: Build) -> None:
    """So that the twin is not alone: 10.0.0.2:80 answers 10.0.0.1:1000."""
    one = {"version": 4, "protocol": 6, "source": 0x0A000001, "destination": 0x0A000002, "source_port": 1000}
    one |= {"destination_port": 80}
    other = {**one, "source": 0x0A000002, "destination": 0x0A000001, "source_port": 80, "destination_port": 1000}
    with rig(build_spec, {"key": "flow", "column": REPLY}) as made:
        rows = [made.check({**values, "time": time}) for time, values in ((10, other), (15, one), (12, other), (30, one))]
    mapped = bytes.fromhex("0100000affff0000" + "00" * 8 + "0200000affff0000" + "00" * 8 + "e803500006000000")
    assert [row and row.key for row in rows] == [mapped] * 4
    assert [row and row.results for row in rows] == [(1, 0, 0, 0, 0), (2, 5, 5, 1, 1), (3, 0, 2, 0, 1), (4, 18, 20, 1, 2)]


@pytest.mark.parametrize(("columns", "kind"), [(256, "sum"), (256, "max"), (128, "deviation"), (30, "distinct"), (8, "ngram")])
def test_many_columns_load(build_spec: Build, columns: int, kind: str) -> None:
    """The verifier's walk grows with the columns, and no faster."""
    options = {"distinct": {"bits": 512}, "ngram": {"buckets": 32, "n": 3}}.get(kind, {})
    described = [
        {"name": f"c{n}", "reduce": kind, "of": ("u32", "u16", "length")[n % 3], "clip": 1 + (n * 7919) % 60_000}
        | options
        | {"when": [f"u8 != {n % 200}", "gap >= 5"]}
        for n in range(columns)
    ]
    choose = random.Random(7)
    with rig(build_spec, {"key": ["s64"], "column": described}) as made:
        walked = made.objects[0].programs["on_event"].info().verified_insns
        assert walked < 200_000
        for time in range(40):
            values = {"u32": choose.getrandbits(32), "u16": choose.getrandbits(16), "length": choose.getrandbits(11)}
            made.check({**values, "u8": choose.getrandbits(8), "time": 9 * time, "s64": -(time % 3)})


@pytest.mark.parametrize(("shift", "clip"), [*product((0, 5), (None, 9))])
def test_derived_values_are_shifted_and_clipped(build_spec: Build, shift: int, clip: int | None) -> None:
    rest = {"shift": shift} | ({} if clip is None else {"clip": clip})
    with rig(build_spec, {"key": "flow", "column": [{**each, **rest} for each in REPLY]}) as made:
        for time in (5, 5, 100, 50, 1 << 40, WORD, 3):
            made.check({"time": time, "source_port": time & 7})
