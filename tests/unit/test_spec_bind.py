"""A spec against the fields of its events and the reducers: what it becomes, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from specs import PACKET, REDUCERS, THREAD, bound, spec_dict

from ebpfnn.errors import ModelError
from ebpfnn.events import BoundCondition, Derived, Field, Place, bind, build, load

COUNT = {"name": "n", "reduce": "count"}
OWN = (
    Field("returned", 0, 8, signed=True, place=Place.CONTEXT),
    Field("text", 8, 0, signed=False, place=Place.CONTEXT, refused="not an integer: a string"),
    Field("level", 16, 2, signed=True, place=Place.CONTEXT),
    Field("gap", 24, 8, signed=False, place=Place.CONTEXT),
)
OTHER = (Field("level", 16, 4, signed=True, place=Place.CONTEXT), Field("mode", 24, 1, signed=False, place=Place.CONTEXT))
TWO = {"key": ["tgid"], "event": [{"trigger": "fexit", "target": "one"}, {"trigger": "fexit", "target": "two"}]}
FIELDS = {"one": (*OWN, *THREAD), "two": (*OTHER, *THREAD)}


def refusal(columns: Sequence[Mapping[str, Any]], fields: Mapping[str, Sequence[Field]] | None = None, **members: Any) -> str:
    with pytest.raises(ModelError) as caught:
        bind(build(spec_dict(columns, **members)), {"xdp": PACKET} if fields is None else fields, REDUCERS)
    return str(caught.value)


def test_columns_lie_one_behind_another() -> None:
    spec = bound(
        [COUNT, {"name": "first", "reduce": "first", "of": "length", "n": 2}, {"name": "last", "reduce": "last", "of": "gap"}]
    )
    assert [(each.word, each.words, each.result, each.names) for each in spec.columns] == [
        (0, 1, 0, ("n",)),
        (1, 3, 1, ("first.1", "first.2")),
        (4, 1, 3, ("last",)),
    ]
    assert (spec.words, spec.key_bytes, spec.names) == (5, 40, ("n", "first.1", "first.2", "last"))
    assert spec.columns[2].uses[0].source is Derived.GAP


@pytest.mark.parametrize(
    ("key", "size"),
    [("flow", 40), ("flow.directed", 40), ("source", 16), ("destination", 16), (["protocol"], 8), (["time", "protocol"], 16)],
)
def test_a_key_is_filled_up_to_words(key: str | list[str], size: int) -> None:
    assert bound([COUNT], key=key).key_bytes == size


def test_a_column_counts_at_its_events_alone() -> None:
    columns = [COUNT, {"name": "mode", "reduce": "last", "of": "mode", "event": "two"}]
    spec = bind(build(spec_dict(columns, **TWO)), FIELDS, REDUCERS)
    assert [sorted(column.uses) for column in spec.columns] == [[0, 1], [1]]


def test_conditions_of_an_event_without_their_field_never_hold() -> None:
    at = {"when": ["mode == 1", "number > 2"]}
    spec = bind(build(spec_dict([COUNT], **TWO, end=["returned < 0"], at=at)), FIELDS, REDUCERS)
    returned = spec.events[0].fields["returned"]
    assert [event.end for event in spec.events] == [(BoundCondition((returned,), "<", (0,)),), ()]
    assert [len(event.when) for event in spec.events] == [0, 2]


def test_an_event_hides_fields_of_its_own_that_derived_ones_are_called() -> None:
    spec = bind(build(spec_dict([{"name": "a", "reduce": "last", "of": "gap"}], **TWO)), FIELDS, REDUCERS)
    assert spec.columns[0].uses[0].source is Derived.GAP
    assert "gap" not in spec.events[0].fields


@pytest.mark.parametrize(
    ("column", "told"),
    [
        ({"reduce": "summ", "of": "length"}, "reducer 'summ' not found; did you mean 'sum'?"),
        ({"reduce": "zzz"}, "reducer 'zzz' not found; installed: count, deviation, distinct, ewma, first, last, max"),
        ({"reduce": "count", "of": "length"}, "count takes no value; leave out of, or use sum"),
        ({"reduce": "count", "shift": 1, "clip": 0}, "count takes no value; leave out shift and clip, or use sum"),
        ({"reduce": "first", "of": "length", "n": 65}, "n is 65; give an integer of 1 to 64"),
        (
            {"reduce": "first", "of": "length", "shfit": 1},
            "has no member 'shfit', and first no such option; did you mean 'shift'?",
        ),
        ({"reduce": "peak", "perid": "1s"}, "has no member 'perid', and peak no such option; did you mean 'period'?"),
        ({"reduce": "peak"}, 'period is None; give a duration such as "30s"'),
        ({"reduce": "sum", "qq": 1}, "has no member 'qq', and sum no such option; options of sum: none"),
        ({"reduce": "last", "of": "lenght"}, "event 'xdp' has no field 'lenght'; did you mean 'length'"),
        ({"reduce": "last", "of": "qqqq"}, "event 'xdp' has no field 'qqqq'; `ebpfnn fields` lists them"),
        ({"reduce": "last", "when": ["lenght > 1"]}, "when: event 'xdp' has no field 'lenght'; did you mean 'length'"),
        (
            {"reduce": "sum", "of": "gap"},
            "sum takes values of 32 bits, and these have 64; give clip = 4294967295, or shift = 32",
        ),
        ({"reduce": "sum", "of": "length", "shift": -1}, "and these have 33; give clip = 4294967295, or shift = 0"),
        (
            {"reduce": "ewma", "of": "gap"},
            "ewma takes values of 60 bits, and these have 64; give clip = 1152921504606846975, or shift = 4",
        ),
        ({"reduce": "last", "of": "gap", "shift": -1}, "shift = -1 makes 65 bits of 64, over 64; give 0 or more"),
        (
            {"reduce": "last", "encode": {"kind": "bin"}},
            "encode: 'n' has the encoder 'bin', which is not installed; did you mean 'bins'",
        ),
        ({"reduce": "last", "encode": {"kind": "bins", "bounds": [2, 1]}}, "encode: 'n': its bounds do not rise"),
        (
            {"reduce": "last", "encode": {"kind": "bins", "bounds": [1.5]}},
            "encode: 'n': 'bounds' must be of type int",
        ),
        ({"reduce": "last", "encode": {"kind": "bins", "type": "float"}}, "encode: has no member 'type'; leave it out"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(column: dict[str, Any], told: str) -> None:
    message = refusal([{"name": "n", **column}])
    assert message.startswith("column 'n': ")
    assert told in message


@pytest.mark.parametrize("reduce", sorted(set(REDUCERS) - {"count"}))
@pytest.mark.parametrize("of", ["length", "time", "gap", "protocol", ""])
def test_both_remedies_for_too_many_bits_help(reduce: str, of: str) -> None:
    column = {
        "name": "n",
        "reduce": reduce,
        **({"of": of} if of else {}),
        **({"period": "1s"} if reduce in ("period", "peak") else {}),
    }
    try:
        bound([column])
    except ModelError as error:
        clip, shift = (part.split(" = ")[1] for part in str(error).split("; give ")[1].split(", or "))
        bound([{**column, "clip": int(clip)}])
        bound([{**column, "shift": int(shift)}])
        for key, value in (("clip", int(clip) * 2 + 1), ("shift", int(shift) - 1)):
            assert "; give clip" in refusal([{**column, key: value}])


def test_a_signed_field_has_a_bit_less() -> None:
    column = {"name": "n", "reduce": "sum", "of": "level"}
    bind(build(spec_dict([column], **TWO)), FIELDS, REDUCERS)
    wide = {"name": "n", "reduce": "last", "of": "returned", "event": "one", "shift": -1}
    bind(build(spec_dict([wide], **TWO)), FIELDS, REDUCERS)


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"key": "flw"}, "key: 'flw' not found; did you mean 'flow'?"),
        (
            {"key": "tgid"},
            'key: \'tgid\' not found; use "flow", "flow.directed", "source", "destination", or a list of fields such as',
        ),
        ({"key": ["source", "lenght"]}, "key: event 'xdp' has no field 'lenght'; did you mean 'length'"),
        ({"key": ["number"]}, "key: 'number' is not known before the state of the key; use other fields"),
        (
            {"key": ["source_low", "source_high", "destination_low", "destination_high", "time", "protocol"]},
            "key: its fields have 41 bytes, over 40; use fewer or smaller ones",
        ),
        ({"key": ["cpu"], "end": ["reply == 1"]}, 'end: reply needs key = "flow", which has two directions; use another field'),
        ({"where": ["age > 1"]}, "where: 'age' is not known before the state of the key"),
        ({"event": [{"trigger": "xdp", "where": ["gap > 1"]}]}, "event 'xdp': where: 'gap' is not known before the state"),
        ({"at": {"when": ["nmber == 1"]}}, "at.when: event 'xdp' has no field 'nmber'; did you mean 'number'"),
        ({"end": ["version == 256"]}, "end: 'version == 256': version is in 0..255, so this says nothing"),
        ({"end": ["reply == 2"]}, "end: 'reply == 2': reply is in 0..1"),
    ],
)
def test_members_that_do_not_fit_are_refused(members: dict[str, Any], told: str) -> None:
    assert refusal([COUNT], **members).startswith(told)


@pytest.mark.parametrize(
    ("columns", "members", "told"),
    [
        (
            [{"name": "a", "reduce": "last", "of": "text"}],
            {},
            "column 'a': event 'one': field 'text' cannot be used: not an integer",
        ),
        (
            [{"name": "a", "reduce": "last", "of": "mode"}],
            {},
            "column 'a': event 'one' has no field 'mode', other events have it; name the events that count, event = [...]",
        ),
        (
            [COUNT],
            {"key": ["level"]},
            "key: field 'level' is s32 in event 'two', but s16 in 'one'; use one that all events have",
        ),
        (
            [COUNT],
            {"key": ["mode"]},
            "key: event 'one' has no field 'mode', other events have it; use one that all events have",
        ),
        ([COUNT], {"key": "flow"}, "key: 'flow' is not for event 'one', which has no field 'version'; give a list"),
        (
            [COUNT],
            {"where": ["mode == 1"]},
            "where: event 'one' has no field 'mode', other events have it; write the condition into",
        ),
        (
            [COUNT],
            {"end": ["mode == 1", "returned == 0"]},
            "end: event 'one' has no field 'mode', other events have it; so these",
        ),
        (
            [COUNT],
            {"end": ["text == 1"]},
            "end: event 'one': field 'text' cannot be used: not an integer: a string; use another",
        ),
    ],
)
def test_events_that_differ_are_told(columns: list[dict[str, Any]], members: dict[str, Any], told: str) -> None:
    assert refusal(columns, FIELDS, **{**TWO, **members}).startswith(told)


def test_an_event_needs_its_time() -> None:
    fields = [field for field in PACKET if field.name != "time"]
    told = refusal([COUNT], {"xdp": fields})
    assert told == "event 'xdp' has no field 'time' of u64; use a trigger whose shell gives it"


def test_a_field_of_a_key_has_the_type_that_the_key_takes() -> None:
    fields = [replace(field, size=8) if field.name == "source" else field for field in PACKET]
    assert refusal([COUNT], {"xdp": fields}).startswith(
        "key: 'flow' is not for event 'xdp', whose field 'source' is u64, not u32"
    )


def test_all_columns_together_have_limits() -> None:
    wide = [{"name": f"c{k}", "reduce": "ngram", "buckets": 64} for k in range(8)]
    told = refusal(wide)
    assert told == "the columns have 528 words of state, over 480; most of them, 66, has 'c0': make it smaller"
    assert len(bound(wide[:7]).names) == 448
    rest = [{"name": f"r{k}", "reduce": "count"} for k in range(480 - 7 * 66)]
    assert bound([*wide[:7], *rest]).words == 480
    assert "481 words of state, over 480" in refusal([*wide[:7], *rest, COUNT])


def test_a_member_that_is_missing_has_the_line_of_its_table(tmp_path: Path) -> None:
    path = tmp_path / "flow.toml"
    lines = [
        'name = "a"',
        'key = "flow"',
        "[[event]]",
        'trigger = "xdp"',
        "[[column]]",
        'name = "x"',
        'reduce = "sum"',
        "shift = -32",
    ]
    path.write_text("\n".join(lines))
    with pytest.raises(ModelError) as caught:
        bind(load(path), {"xdp": PACKET}, REDUCERS)
    assert str(caught.value).startswith(f"{path}:5: column 'x': sum takes values of 32 bits, and these have 33; give clip")


@pytest.mark.parametrize(("value", "fits"), [(-32768, True), (-32769, False), (32767, True), (32768, False)])
def test_a_signed_field_has_values_of_its_type(value: int, fits: bool) -> None:
    members = {**TWO, "event": [{**TWO["event"][0], "where": [f"level == {value}"]}]}
    if fits:
        bind(build(spec_dict([COUNT], **members)), FIELDS, REDUCERS)
    else:
        assert "level is in -32768..32767" in refusal([COUNT], FIELDS, **members)


def test_two_results_have_two_names() -> None:
    columns = [{"name": "a", "reduce": "first", "n": 2}, {"name": "a.2", "reduce": "count"}]
    assert refusal(columns) == "column 'a.2': its result 'a.2' has the name of one of column 'a'; rename one"


def test_thermometers_and_bytes_do_not_mix() -> None:
    kinds = [{"name": kind, "reduce": "last", "encode": {"kind": kind, "bounds": [1]}} for kind in ("bins", "thermometer")]
    assert refusal(kinds).startswith("encode: thermometers and other encoders; give all columns one kind")


def test_a_spec_of_a_file_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "flow.toml"
    lines = [
        'name = "a"',
        'key = "flow"',
        "[[event]]",
        'trigger = "xdp"',
        "[[column]]",
        'name = "x"',
        'reduce = "sum"',
        'of = "lengt"',
    ]
    path.write_text("\n".join(lines))
    with pytest.raises(ModelError) as caught:
        bind(load(path), {"xdp": PACKET}, REDUCERS)
    assert str(caught.value).startswith(f"{path}:8: column 'x': event 'xdp' has no field 'lengt'; did you mean 'length'")
