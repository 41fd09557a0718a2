"""Conditions: their text, and when they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from specs import PACKET, REDUCERS, THREAD, bound, packet, spec_dict, thread

from ebpfnn.errors import ModelError
from ebpfnn.events import Condition, Field, bind, build, replay
from ebpfnn.events.conditions import FLAGS, parse, written


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("length == 5", Condition("length", "==", 5)),
        ("  length>=0x1F ", Condition("length", ">=", 31)),
        ("level < -3", Condition("level", "<", -3)),
        ("tcp_flags & fin|rst", Condition("tcp_flags", "&", 5)),
        ("tcp_flags !& syn | ack", Condition("tcp_flags", "!&", 18)),
        ("tcp_flags == cwr|cwr", Condition("tcp_flags", "==", 128)),
        ("source in 10.0.0.0/8", Condition("source", "in", (0x0A000000, 8))),
        ("source not  in 0.0.0.0/0", Condition("source", "not in", (0, 0))),
        ("index in 1.2.3.4/32", Condition("index", "in", (0x01020304, 32))),
        ('comm == "a b "', Condition("comm", "==", "a b ")),
        ('comm != "a"b"', Condition("comm", "!=", 'a"b')),
    ],
)
def test_a_text_is_read(text: str, condition: Condition) -> None:
    assert parse(text) == condition


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("length", "'length' is not a condition; write one such as"),
        (5, "5 is not a condition"),
        (None, "None is not a condition"),
        ("", "'' is not a condition"),
        ("x" * 300 + " == 1", "is not a condition"),
        ("length = 5", "is not a condition"),
        ("length == ", "'' is not a value; write an integer"),
        ("length == 1 and", "'1 and' is not a value"),
        ("length == fin|five", "'fin|five' is not a value"),
        ("length == 1.5", "'1.5' is not a value"),
        ("source in 10.0.0.1/8", "10.0.0.1/8 has bits behind the prefix; write 10.0.0.0/8"),
        ("source in 10.0.0.256/32", "'10.0.0.256/32' is not an IPv4 prefix"),
        ("source in 10.0.0.0/33", "'10.0.0.0/33' is not an IPv4 prefix"),
        ("source in 10.0.0.1", "a single address with /32"),
        ('comm == "abcdefghijklmnop"', "is not the name of a thread; write"),
        ('comm == "', "is not the name of a thread"),
        ('comm < "a"', "a text is compared with comm alone, by == or !="),
        ('length == "a"', "a text is compared with comm alone"),
    ],
)
def test_what_is_no_condition_is_refused(text: object, told: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse(text)
    assert told in str(caught.value)


NUMBERS = st.builds(
    Condition,
    st.sampled_from(("length", "tcp_flags")),
    st.sampled_from(("==", "!=", "<", "<=", ">", ">=", "&", "!&")),
    st.integers(-(1 << 63), (1 << 64) - 1),
)
PREFIXES = st.integers(0, 32).flatmap(
    lambda bits: st.builds(
        lambda sign, top: Condition("source", sign, (top << 32 - bits, bits)),
        st.sampled_from(("in", "not in")),
        st.integers(0, (1 << bits) - 1),
    )
)
NAMES = st.text(st.characters(exclude_categories=("C", "Z")), max_size=3).map(lambda name: Condition("comm", "==", name))


@given(st.one_of(NUMBERS, PREFIXES, NAMES))
def test_a_written_condition_is_read_as_the_same(condition: Condition) -> None:
    assert parse(written(condition)) == condition


def test_flags_are_written_by_name() -> None:
    assert written(parse("tcp_flags & 5")) == "tcp_flags & fin|rst"
    assert written(parse("tcp_flags == 5")) == "tcp_flags == 5"
    assert parse(f"tcp_flags & {'|'.join(FLAGS)}").value == 255


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("length == 5", [5]),
        ("length != 5", [4, 6]),
        ("length < 5", [0, 4]),
        ("length <= 5", [0, 5]),
        ("length > 5", [6, 7]),
        ("length >= 5", [5, 6]),
        ("length & 5", [1, 4, 5, 7]),
        ("length !& 5", [0, 2, 8]),
        ("source in 0.0.0.4/30", [4, 7]),
        ("source not in 0.0.0.4/30", [3, 8]),
    ],
)
def test_an_operator_holds_for_these_values(text: str, values: list[int]) -> None:
    field = text.split()[0]
    spec = bound([{"name": "n", "reduce": "count"}], key=["cpu"], where=[text])
    events = [(0, packet(**{field: value})) for value in range(9)]
    accepted = [values[field] for _, values in events if list(replay(spec, [(0, values)]))]
    assert set(values) <= set(accepted)
    opposite = {"==": "!=", "<": ">=", ">": "<=", "&": "!&", "in": "not in"}
    opposite |= {other: one for one, other in opposite.items()}
    sign = text.removeprefix(field).rpartition(" ")[0].strip()
    other = bound([{"name": "n", "reduce": "count"}], key=["cpu"], where=[text.replace(f" {sign} ", f" {opposite[sign]} ")])
    refused = [values[field] for _, values in events if list(replay(other, [(0, values)]))]
    assert sorted(accepted + refused) == list(range(9))
    assert refused


def test_a_signed_field_may_be_negative() -> None:
    field = Field("level", 0, 2, signed=True)
    spec = bound([{"name": "n", "reduce": "count"}], [*PACKET, field], key=["cpu"], where=["level < -3"])
    assert [bool(list(replay(spec, [(0, packet(level=level))]))) for level in (-4, -3, 0, 4)] == [True, False, False, False]


def halves(name: bytes) -> dict[str, int]:
    whole = name.ljust(16, b"\0")
    return {"comm": int.from_bytes(whole[:8], "little"), "comm_rest": int.from_bytes(whole[8:], "little")}


def test_the_whole_name_of_a_thread_is_compared() -> None:
    names = [b"kworker/", b"kworker/0:1", b"kworker/0:12", b"0:1", b""]
    for sign, expected in (("==", [False, True, False, False, False]), ("!=", [True, False, True, True, True])):
        spec = bound(
            [{"name": "n", "reduce": "count"}],
            THREAD,
            key=["tgid"],
            event=[{"trigger": "perf"}],
            where=[f'comm {sign} "kworker/0:1"'],
        )
        assert [bool(list(replay(spec, [(0, thread(**halves(name)))]))) for name in names] == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("protocol == 256", "'protocol == 256': protocol is in 0..255, so this says nothing; give another value"),
        ("protocol > -1", "protocol is in 0..255"),
        ("protocol in 10.0.0.0/8", "the field is u8, but an IPv4 address is u32; use source or destination"),
        ("protocl == 6", "event 'xdp' has no field 'protocl'; did you mean 'protocol'"),
        ("gap > 5", "'gap' is not known before the state of the key; use it in at, end and columns"),
        ('comm == "a"', "event 'xdp' has no field 'comm'"),
    ],
)
def test_a_condition_must_fit_its_field(text: str, told: str) -> None:
    with pytest.raises(ModelError) as caught:
        bind(build(spec_dict([{"name": "n", "reduce": "count"}], where=[text])), {"xdp": PACKET}, REDUCERS)
    assert str(caught.value).startswith("where: ")
    assert told in str(caught.value)
