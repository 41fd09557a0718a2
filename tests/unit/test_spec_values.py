"""Any spec that fits gives results of 64 bits for any events, as many as it says."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from specs import PACKET, REDUCERS, spec_dict

from ebpfnn.errors import ModelError
from ebpfnn.events import Bound, Field, Place, Spec, bind, build, describe, replay

WORD = (1 << 64) - 1
SIGNED = [Field(f"s{8 * size}", 8 * size, size, signed=True, place=Place.CONTEXT) for size in (1, 2, 4, 8)]
FIELDS = [*PACKET, *SIGNED]
NAMES = [*(field.name for field in FIELDS), "number", "gap", "age", "reply"]
OPTIONS = {
    "first": {"n": st.integers(1, 64)},
    "recent": {"n": st.integers(1, 16)},
    "ewma": {"power": st.integers(1, 16)},
    "period": {"period": st.sampled_from((1, 1000, "1s", 1 << 62))},
    "peak": {"period": st.sampled_from((1, 1000, "1s", 1 << 62))},
    "distinct": {"bits": st.sampled_from((64, 128, 1024))},
    "ngram": {"n": st.integers(1, 4), "buckets": st.sampled_from((2, 16, 64))},
}
CONDITIONS = st.sampled_from(
    (
        "length > 100",
        "number <= 3",
        "gap >= 1000",
        "s8 < 0",
        "s64 >= -5",
        "tcp_flags & syn",
        "source in 0.0.0.0/1",
        "reply == 1",
    )
)


@st.composite
def columns(draw: st.DrawFn) -> dict[str, Any]:
    reduce = draw(st.sampled_from(sorted(REDUCERS)))
    column = {"reduce": reduce, **{name: draw(values) for name, values in OPTIONS.get(reduce, {}).items()}}
    if reduce != "count":
        more = {"of": st.sampled_from(NAMES), "shift": st.integers(-32, 63), "clip": st.integers(0, (1 << 63) - 1)}
        column |= {name: draw(values) for name, values in more.items() if draw(st.booleans())}
    if draw(st.booleans()):
        column["when"] = draw(st.lists(CONDITIONS, max_size=2))
    return column


@st.composite
def packets(draw: st.DrawFn) -> dict[str, int]:
    corners = st.sampled_from((0, 1, 6, 80))
    values = {field.name: draw(corners | st.just(255)) for field in FIELDS}
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=6)):
        bits = 8 * field.size - field.signed
        values[field.name] = draw(st.integers(-(1 << bits) if field.signed else 0, (1 << bits) - 1))
    return {**values, "version": draw(st.sampled_from((4, 6, 0))), "s8": draw(st.integers(-128, 127))}


def fitting(spec: Spec) -> Bound | None:
    try:
        return bind(spec, {"xdp": FIELDS}, REDUCERS)
    except ModelError:
        return None


@settings(max_examples=100, deadline=None)
@given(
    st.lists(columns(), min_size=1, max_size=5),
    st.sampled_from(("flow", "flow.directed", "source", ("protocol", "s16"))),
    st.fixed_dictionaries({}, optional={"every": st.integers(1, 3), "count": st.just([1, 3]), "after": st.just(1000)}),
    st.lists(packets(), min_size=1, max_size=12),
)
def test_results_fit_words(
    drawn: list[dict[str, Any]], key: str | tuple[str, ...], at: dict[str, Any], events: list[dict[str, int]]
) -> None:
    named = [{"name": f"c{k}", **column} for k, column in enumerate(drawn)]
    spec = build(spec_dict(named, key=key if isinstance(key, str) else list(key), at=at, end=["tcp_flags == 80"]))
    assert build(describe(spec)) == spec
    bound = fitting(spec)
    assume(bound is not None)
    for row in replay(bound, [(0, values) for values in events]):
        assert len(row.results) == len(bound.names)
        assert all(type(number) is int and 0 <= number <= WORD for number in row.results)
        assert len(row.key) == bound.key_bytes
