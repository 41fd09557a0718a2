"""Specs as TOML and as plain dicts: what is read, what is refused and where, and that nothing is lost."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpfnn.errors import ModelError
from ebpfnn.events import At, ColumnSpec, Condition, EventSpec, Spec, StateSpec, build, describe, find, load

EXAMPLE = """\
name = "flow"
key = "flow"                               # both directions of a connection
where = ["version == 4", "protocol == 6"]
end = ["tcp_flags & fin|rst"]

[[event]]
trigger = "xdp"

[state]
entries = 1024
map = "hash"
locked = true
idle = "30s"

[at]
count = [4, 8]
every = 64
when = ["tcp_flags & fin|rst"]
after = "1ms"

[[column]]
name = "length"
reduce = "first"
of = "length"
n = 4

[[column]]
name = "longest_gap"
reduce = "max"
of = "gap"
shift = 10
clip = 0
when = ["reply == 1"]
event = "xdp"
encode = { kind = "bins", bounds = [1000, 50000, 2000000] }
"""
CLOSING = Condition("tcp_flags", "&", 5)
READ = Spec(
    "flow",
    "flow",
    (EventSpec("xdp", None, "xdp"),),
    (
        ColumnSpec("length", "first", "length", options={"n": 4}),
        ColumnSpec(
            "longest_gap",
            "max",
            "gap",
            10,
            0,
            (Condition("reply", "==", 1),),
            ("xdp",),
            encode={"kind": "bins", "bounds": [1000, 50000, 2000000]},
        ),
    ),
    (Condition("version", "==", 4), Condition("protocol", "==", 6)),
    (CLOSING,),
    StateSpec(1024, False, True, 30 * 10**9),
    At((4, 8), 64, (CLOSING,), 10**6),
)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "flow.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_every_member_is_read(tmp_path: Path) -> None:
    assert load(written(tmp_path, EXAMPLE)) == READ
    assert find(str(tmp_path / "flow.toml")) == READ
    assert build(json.loads(json.dumps(describe(READ)))) == READ


@pytest.mark.parametrize(
    ("event", "name"),
    [
        ({"trigger": "xdp", "target": "eth0"}, "xdp"),
        ({"trigger": "tracepoint", "target": "sched:sched_switch"}, "sched_switch"),
        ({"trigger": "uprobe", "target": "/bin/bash:readline"}, "readline"),
        ({"trigger": "fentry", "target": "tcp_v4_rcv"}, "tcp_v4_rcv"),
        ({"trigger": "perf"}, "perf"),
        ({"trigger": "perf", "name": "tick"}, "tick"),
    ],
)
def test_an_event_is_called(event: dict[str, str], name: str) -> None:
    assert build({"name": "a", "key": ["cpu"], "event": [event], "column": [COLUMN]}).events[0].name == name


COLUMN = {"name": "n", "reduce": "count"}
REFUSED: list[tuple[str, str, str]] = [
    ('name = "flow"', "", ": spec: has no member 'name'; give 1 to 64 letters"),
    ('name = "flow"', 'name = "a b"', ":1: spec: name is 'a b'; give 1 to 64 letters"),
    ('name = "flow"', 'name = "flow"\nkeys = "flow"', ":2: a spec has no member 'keys'; did you mean 'key'"),
    ('key = "flow"', "key = 5", ':2: key is 5; give "flow"'),
    ('key = "flow"', "key = []", ":2: key is []; give a text, or a list of texts"),
    ('key = "flow"', 'key = ["a", "a"]', ":2: key has a text twice; leave one out"),
    ('"version == 4"', '"version = 4"', ":3: where: 'version = 4' is not a condition; write one"),
    ('end = ["tcp_flags & fin|rst"]', 'end = "number == 4"', ":4: end is 'number == 4'; give a list"),
    ('trigger = "xdp"', 'trigger = "xdp"\nwhen = []', ":8: event 1: an event has no member 'when'; did you mean 'where'"),
    ('trigger = "xdp"', "", ":6: event 1: has no member 'trigger'; give the name of a trigger"),
    ('trigger = "xdp"', 'trigger = "xdp"\nwhere = ["x"]', ":8: event 'xdp': where: 'x' is not a condition"),
    ('trigger = "xdp"', 'trigger = "xdp"\n[[event]]\ntrigger = "xdp"', ":8: event 'xdp' is there twice; give one a name"),
    ("entries = 1024", "entries = 0", ":10: state: entries is 0; give an integer of 1 to 4194304"),
    ("entries = 1024", "entries = true", ":10: state: entries is True; give an integer"),
    ("entries = 1024", "entry = 1", ":10: state: it has no member 'entry'; did you mean 'entries'"),
    ('map = "hash"', 'map = "lru"', ':12: state: locked needs map = "hash"'),
    ('map = "hash"', 'map = "array"', ':11: state: map is \'array\'; give "lru" or "hash"'),
    ('idle = "30s"', 'idle = "30"', ":13: state: idle is '30'; give a duration such as"),
    ('idle = "30s"', "idle = 0", ":13: state: idle is 0; give a duration"),
    ("count = [4, 8]", "count = [4, 4294967295]", ":16: at: count is [4, 4294967295]; give at most 16 integers"),
    ("count = [4, 8]", "count = 4", ":16: at: count is 4; give at most 16"),
    ("every = 64", "every = 0", ":17: at: every is 0; give an integer of 1 to 2147483647"),
    ('name = "longest_gap"', 'name = "length"', ":27: column 'length' is there twice; give one another name"),
    ('reduce = "first"', "", ":21: column 'length': has no member 'reduce'; give the name of a reducer"),
    ('of = "length"', 'of = ""', ":24: column 'length': of is ''; give the name of a field"),
    ("shift = 10", "shift = 64", ":31: column 'longest_gap': shift is 64; give an integer of -32 to 63"),
    ("clip = 0", "clip = -1", ":32: column 'longest_gap': clip is -1; give an integer of 0 to 9223372036854775807"),
    ("clip = 0", "clip = 1e3", ":32: column 'longest_gap': clip is 1000.0; give an integer"),
    ('event = "xdp"', 'event = "tcp"', ":34: column 'longest_gap': event 'tcp' not found; the events are xdp"),
    ('event = "xdp"', 'event = "xd"', ":34: column 'longest_gap': event 'xd' not found; did you mean 'xdp'"),
    ('kind = "bins", ', "", ":35: column 'longest_gap': encode: has no member 'kind'; give the name of an encoder"),
    ("n = 4", "n = 1979-05-27", ":25: 'n' is datetime.date(1979, 5, 27); use integers of 64 bits"),
    ("n = 4", "n = nan", ":25: 'n' is nan; use integers"),
    ("n = 4", f"n = 0x{'f' * 5000}", ":25: 'n' is an integer of 20000 bits; use integers of 64 bits"),
    ("n = 4", "n = [[[[[[[[[[4]]]]]]]]]]", ":21: lists and tables are nested over 8 deep; use fewer"),
    ("n = 4", 'n = "\\u0007"', ":25: 'n' is '\\x07'; use integers"),
    ("n = 4", "n = ", ": not TOML: Invalid value (at line 25, column"),
]


@pytest.mark.parametrize(("old", "new", "told"), REFUSED)
def test_what_is_refused_is_told_with_file_line_and_remedy(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert EXAMPLE.count(old) >= 1
    path = written(tmp_path, EXAMPLE.replace(old, new, 1))
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}{told}")


def test_without_certain_lines_none_is_told(tmp_path: Path) -> None:
    texts = EXAMPLE.replace('"version == 4"', '"""version == 4"""').replace("shift = 10", "shift = 64")
    path = written(tmp_path, texts)
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: column 'longest_gap': shift is 64")


def test_a_line_that_may_be_of_another_table_is_not_told(tmp_path: Path) -> None:
    nested = EXAMPLE.replace("shift = 10", "shift = 64").replace("encode = {", "[column.encode]\nshift = 1\n#")
    path = written(tmp_path, nested)
    with pytest.raises(ModelError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}:27: column 'longest_gap': shift is 64")


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"\0",
        b"name = " + b"[" * 100_000,
        b"name = " + b"{a=" * 100_000,
        b"n = " + b"9" * 10_000,
        b"a." * 100_000 + b"b = 1",
        b"a = {" + b"a." * 100_000 + b"b = 1}",
        b"",
        b"[event]",
        b"event = 5",
        b"[[event]]\n" * 50_000,
    ],
)
def test_hostile_files_are_refused(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load(written(tmp_path, text))
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


def test_a_file_is_one_mebibyte_at_most(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="larger than 1 MiB"):
        load(written(tmp_path, EXAMPLE + "#" * (1 << 20)))


def test_a_name_that_is_none_is_told_with_near_ones() -> None:
    with pytest.raises(ModelError, match="spec 'no_such' not found; use "):
        find("no_such")
    with pytest.raises(ModelError, match=r"nowhere\.toml"):
        find("nowhere.toml")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["xdp", "flow", "sum"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for step, inner in steps for each in paths(inner, (*path, step)))]


@settings(max_examples=400)
@given(st.data())
def test_any_value_anywhere_is_read_or_refused(data: st.DataObject) -> None:
    described = json.loads(json.dumps(describe(READ)))
    path = data.draw(st.sampled_from(paths(described)))
    inner: Any = described
    for step in path[:-1]:
        inner = inner[step]
    wrong = data.draw(JSON)
    if path:
        inner[path[-1]] = wrong
    else:
        described = wrong
    with contextlib.suppress(ModelError):
        spec = build(described)
        assert build(json.loads(json.dumps(describe(spec)))) == spec


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
FIELDS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
CONDITIONS = st.lists(
    st.builds(Condition, FIELDS, st.sampled_from(("==", "<", "&", "!&")), st.integers(-(1 << 63), (1 << 64) - 1))
    | st.builds(lambda sign: Condition("source", sign, (0x0A000000, 8)), st.sampled_from(("in", "not in")))
    | st.just(Condition("comm", "!=", "a b")),
    max_size=3,
).map(tuple)
EVENTS = st.lists(
    st.builds(EventSpec, NAMES, st.none() | st.just("sched:sched_switch"), NAMES, CONDITIONS),
    min_size=1,
    max_size=3,
    unique_by=lambda event: event.name,
).map(tuple)
OPTIONS = st.dictionaries(
    st.sampled_from(("n", "bits", "period", "power")), st.integers(-5, 1 << 64 - 1) | st.text("abc", max_size=3)
)
DURATIONS = st.just(0) | st.integers(1, 1 << 62)
STATES = st.builds(StateSpec, st.integers(1, 1 << 22), st.booleans(), st.just(False), DURATIONS) | st.just(
    StateSpec(5, False, True)
)
ATS = st.builds(
    At, st.lists(st.integers(1, 2**32 - 2), max_size=16).map(tuple), st.integers(0, 2**31 - 1), CONDITIONS, DURATIONS
)


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    events = draw(EVENTS)
    column = st.builds(
        ColumnSpec,
        NAMES,
        NAMES,
        st.just("") | FIELDS,
        st.integers(-32, 63),
        st.none() | st.integers(0, 2**63 - 1),
        CONDITIONS,
        st.lists(st.sampled_from([event.name for event in events]), unique=True).map(tuple),
        OPTIONS,
        st.just({}) | st.just({"kind": "bins", "bounds": [1, 2]}),
    )
    columns = draw(st.lists(column, min_size=1, max_size=4, unique_by=lambda each: each.name))
    key = draw(st.sampled_from(("flow", "source")) | st.lists(FIELDS, min_size=1, max_size=4, unique=True).map(tuple))
    rest = (draw(part) for part in (CONDITIONS, CONDITIONS, STATES, ATS))
    return Spec(draw(NAMES), key, events, tuple(columns), *rest)


@given(specs())
def test_a_described_spec_is_built_as_the_same(spec: Spec) -> None:
    assert build(json.loads(json.dumps(describe(spec)))) == spec
