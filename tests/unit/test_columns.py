"""Columns: a byte counts how many bounds a value reaches. The oracle counts in Python's integers, from docs/preparation.md."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ebpfnn.errors import InputError, ModelError
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import Plugins
from ebpfnn.preparation import Picture, Row, Values, cells
from ebpfnn.preparation import columns as module
from ebpfnn.preparation.columns import inputs, preparer, read

INTEGERS = st.integers(-(2**63), 2**64 - 1)
REALS = st.floats(allow_nan=False)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


def column(kind: str, encode: str, **parameters: Any) -> dict[str, Any]:
    return {"name": "x", "type": kind, "encode": encode, **parameters}


def levels(described: dict[str, Any], values: Sequence[Any]) -> list[list[int]]:
    sample = preparer(read({"columns": [described]}))
    return [sample(Row({"x": value})).tolist() for value in values]


def refusal(*described: Any) -> str:
    with pytest.raises(ModelError) as caught:
        read({"columns": list(described)})
    return str(caught.value)


def counted(bounds: Sequence[Any], value: Any) -> int:
    count = 0
    for bound in bounds:
        if value >= bound:
            count += 1
    return count


@given(st.lists(INTEGERS, min_size=1, max_size=20, unique=True), st.lists(INTEGERS))
def test_bins_of_integers_beyond_what_floats_hold(bounds: list[int], values: list[int]) -> None:
    every = [*values, *bounds, *(bound - 1 for bound in bounds if bound > -(2**63))]
    expected = [[counted(bounds, value)] for value in every]
    assert levels(column("integer", "bins", bounds=sorted(bounds)), every) == expected


def test_a_bound_beside_2_to_the_53_and_in_uint64() -> None:
    for bound in (2**53 + 1, 2**63, 2**64 - 1, -(2**63) + 1):
        values = np.array([bound - 1, bound], np.uint64 if bound > 2**63 - 1 else np.int64)
        assert levels(column("integer", "bins", bounds=[bound]), [*values, *map(str, values)]) == [[0], [1], [0], [1]]


@given(st.lists(FINITE, min_size=1, max_size=20, unique=True), st.lists(REALS))
def test_bins_of_floats(bounds: list[float], values: list[float]) -> None:
    every = [*values, *bounds]
    expected = [[counted(bounds, value)] for value in every]
    assert levels(column("float", "bins", bounds=sorted(bounds)), every) == expected
    assert levels(column("float", "bins", bounds=sorted(bounds)), [repr(value) for value in every]) == expected


@given(st.integers(1, 17), st.lists(st.integers(-50, 300)))
def test_a_step_is_added_for_each_bound(step: int, values: list[int]) -> None:
    bounds = list(range(0, 150, 10))
    expected = [[step * counted(bounds, value)] for value in values]
    assert levels(column("integer", "bins", bounds=bounds, step=step), values) == expected


@pytest.mark.parametrize("count", [0, 1, 254, 255, 256, 509, 510, 511, 65_535])
def test_a_wide_column_gives_a_byte_for_each_255_bounds(count: int) -> None:
    bounds = list(range(0, 3 * count, 3))
    described = column("integer", "bins", bounds=bounds)
    (wide,) = read({"columns": [described]})
    some = (*bounds[:2], *bounds[253:257], *bounds[508:513], *bounds[-2:])
    values = [value for bound in some for value in (bound - 1, bound)]
    parts = [bounds[first : first + 255] for first in range(0, count, 255)] or [[]]
    assert wide.inputs == len(parts)
    expected = [[counted(part, value) for part in parts] for value in (-9, *values, 10**9)]
    assert levels(described, [-9, *values, 10**9]) == expected


def test_bytes_of_wide_columns_lie_between_those_of_others() -> None:
    """A bound is reached just where one byte, (k - 1) div 255 of the column, is at least (k - 1) mod 255 + 1."""
    bounds = [0.5 * number for number in range(600)]
    columns = {"a": [1.0], "b": bounds, "c": [2.0]}
    described = [{**column("float", "bins", bounds=each), "name": name} for name, each in columns.items()]
    sample = preparer(read({"columns": described}))
    for value in (-1.0, 0.0, 63.4, 127.0, 127.5, 254.9, 255.0, 299.5, float("inf")):
        found = sample(Values(np.array([1.0, value, 0.0]))).tolist()
        assert (len(found), found[0], found[-1]) == (5, 1, 0)
        for k, bound in enumerate(bounds):
            assert (found[1 + k // 255] >= k % 255 + 1) == (value >= bound)


@given(INTEGERS, INTEGERS, st.lists(INTEGERS))
def test_linear_integers(low: int, high: int, values: list[int]) -> None:
    if low == high:
        return
    low, high = sorted((low, high))
    every = [*values, low, high, low - 1 if low > -(2**63) else low, (low + high) // 2]
    expected = [[sum(255 * (value - low) >= k * (high - low) for k in range(1, 256))] for value in every]
    assert levels(column("integer", "linear", low=low, high=high), every) == expected


@pytest.mark.parametrize("count", [1, 2, 5, 257])
def test_linear_bytes_count_even_steps_together(count: int) -> None:
    wide = column("float", "linear", low=-2.0, high=3.0, bytes=count)
    steps = 255 * count
    for value in (-9.0, -2.0, -1.999, 0.0, 1.234, 2.9999, 3.0, 9.0):
        level = min(max((Fraction(value) + 2) * steps // 5, 0), steps)
        (got,) = levels(wide, [value])
        assert got == [min(max(level - 255 * byte, 0), 255) for byte in range(count)]


def test_linear_of_a_flag_takes_the_whole_byte() -> None:
    assert levels(column("integer", "linear", low=0, high=1), [-1, 0, 1, 2]) == [[0], [0], [255], [255]]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.lists(REALS, max_size=5))
def test_linear_floats_have_the_nearest_float_as_a_bound(low: float, high: float, values: list[float]) -> None:
    low, high = sorted((low, high))
    if low == high:
        return
    (a, b), (c, d) = low.as_integer_ratio(), high.as_integer_ratio()
    # low + k (high - low) / 255 as one fraction; true division of integers rounds to the nearest float.
    bounds = [(255 * a * d + k * (c * b - a * d)) / (255 * b * d) for k in range(1, 256)]
    every = [*values, *bounds[::17], low, high]
    assert levels(column("float", "linear", low=low, high=high), every) == [[counted(bounds, value)] for value in every]


def steps_upto(value: int, fraction: int) -> int:
    """The steps of an octave that lie in 1..value: exponent and the first bits behind it, as a kernel computes them."""
    if value < 1:
        return 0
    exponent = value.bit_length() - 1
    return (exponent << fraction) + (((value - (1 << exponent)) << fraction) >> exponent) + 1


@given(st.integers(0, 7), st.integers(0, 20), st.integers(0, 60), st.lists(INTEGERS))
def test_log2_of_integers(fraction: int, first: int, octaves: int, values: list[int]) -> None:
    octaves = min(octaves, (255 >> fraction) - 1)
    low, high = 1 << first, min((1 << first + octaves) + 3, 2**64 - 1)
    if octaves < 0 or high < low or steps_upto(high, fraction) - (first << fraction) > 255:
        return
    every = [*values, *range(-1, 40), low - 1, low, high - 1, high, high + 1, *(1 << e for e in range(64))]
    every = [value for value in every if value < 2**64]
    expected = [[steps_upto(min(value, high), fraction) - (first << fraction) if value >= low else 0] for value in every]
    assert levels(column("integer", "log2", low=low, high=high, fraction=fraction), every) == expected


def test_log2_of_floats() -> None:
    found = levels(column("float", "log2", low=0.25, high=2.0, fraction=1), [0.0, -1.0, 0.24, 0.25, 0.375, 0.5, 1.9, 2, "inf"])
    assert found == [[0], [0], [0], [1], [2], [3], [6], [7], [7]]


@given(st.lists(INTEGERS, min_size=1, max_size=30, unique=True), st.lists(INTEGERS))
def test_a_thermometer_has_a_bit_for_each_bound(bounds: list[int], values: list[int]) -> None:
    expected = [[int(value >= bound) for bound in sorted(bounds)] for value in values]
    assert levels(column("integer", "thermometer", bounds=sorted(bounds)), values) == expected


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (" 12 ", 12),
        ("+12", 12),
        ("-0", 0),
        ("12.0", 12),
        ("1e3", 1000),
        (True, 1),
        (np.uint8(200), 200),
        (np.float32(7), 7),
        ("00000000000000000012", 12),
    ],
)
def test_integers(cell: Any, number: int) -> None:
    assert cells.integer(cell) == number
    assert type(cells.integer(cell)) is int


@pytest.mark.parametrize(
    "cell", ["1.5", 1.5, "inf", float("-inf"), 2**64, "18446744073709551616", -(2**63) - 1, 2.0**53 * 2, 10**400]
)
def test_what_is_no_integer(cell: Any) -> None:
    with pytest.raises(InputError, match="; "):
        cells.integer(cell)


@pytest.mark.parametrize("cell", ["", " ", None, "NaN", "N/A", float("nan"), np.float64("nan"), "null"])
def test_no_value(cell: Any) -> None:
    for read_cell in (cells.integer, cells.real):
        with pytest.raises(InputError, match=r"^no value; "):
            read_cell(cell)


@pytest.mark.parametrize("cell", ["tcp", "1_000", "0x10", "1,5", "١", b"1", [1], {}, 1j, "9" * 100 + "x", "--1"])
def test_no_number(cell: Any) -> None:
    for read_cell in (cells.integer, cells.real):
        with pytest.raises(InputError) as caught:
            read_cell(cell)
        assert "is not a number" in str(caught.value)


@given(FINITE)
def test_floats_as_text_are_themselves(value: float) -> None:
    assert cells.real(repr(value)) == value


def test_an_integer_in_a_float_column_is_the_nearest_float() -> None:
    assert cells.real(2**53 + 1) == cells.real(str(2**53 + 1)) == float(2**53)
    assert cells.real(10**30) == cells.real("1" + "0" * 30) == 1e30


def test_a_refusal_names_column_and_value() -> None:
    sample = preparer(read({"columns": [column("integer", "bins", bounds=[1])]}))
    for cell, fact in (("tcp", "'tcp' is not a number"), (None, "no value"), (1.5, "1.5 is not an integer")):
        with pytest.raises(InputError, match=f"^column 'x': {fact}"):
            sample(Row({"x": cell}))
    with pytest.raises(InputError, match=r"^no column 'x'; give every column"):
        sample(Row({"y": 1}))


def test_values_go_by_position() -> None:
    sample = preparer(
        read({"columns": [column("integer", "bins", bounds=[5]), {**column("float", "bins", bounds=[0.5]), "name": "y"}]})
    )
    assert sample(Values(np.array([5.0, 0.4]))).tolist() == [1, 0]
    assert sample(Row({"y": 0.6, "z": "ignored", "x": 4})).tolist() == [0, 1]
    with pytest.raises(InputError, match=r"\[3\] values, but the network takes 2 columns \(x, y\)"):
        sample(Values(np.zeros(3)))
    with pytest.raises(InputError, match="a picture"):
        sample(Picture.of(np.zeros((2, 2), np.uint8)))


@pytest.mark.parametrize(
    ("described", "fact"),
    [
        ([], "no columns"),
        ([1], "column 0: is not described"),
        ([column("text", "bins", bounds=[1])], "type 'text'"),
        ([column("integer", "hash", bounds=[1])], "encoder 'hash'"),
        ([column("integer", "thermometer", bounds=list(range(256)))], "256 bounds, over 255; give fewer"),
        ([column("integer", "bins", bounds=list(range(65_536)))], "65536 bounds, over 65535; give fewer"),
        ([column("integer", "bins", bounds=list(range(256)), step=2)], "step 2 times 256 bounds is no byte"),
        ([column("integer", "bins", bounds=[1, 1])], "do not rise"),
        ([column("integer", "bins", bounds=[1.5])], "'bounds' must be of type int"),
        ([column("integer", "bins", bounds=[2**64])], "64 bits"),
        ([column("float", "bins", bounds=["1"])], "must be a number"),
        ([column("integer", "bins", bounds=[True])], "must be of type int"),
        ([column("integer", "bins", bounds=[1, 2], step=128)], "is no byte"),
        ([column("integer", "bins", bounds=[1], step=0)], "is no byte"),
        ([column("integer", "bins", bounds=[1], low=1)], "no parameter"),
        ([column("integer", "linear", low=1, high=1)], "low 1 is not below high 1"),
        ([column("integer", "linear", low=1)], "'high' must be"),
        ([column("integer", "linear", low=1, high=2, bytes=0)], "'bytes' must lie in 1..257"),
        ([column("integer", "linear", low=1, high=2, bytes=258)], "'bytes' must lie in 1..257"),
        ([column("float", "linear", low=-1.7e308, high=1.7e308)] * 2, "more than once"),
        ([column("integer", "log2", low=0, high=8, fraction=0)], "0 < low"),
        ([column("integer", "log2", low=1, high=8, fraction=8)], "fraction"),
        ([column("integer", "log2", low=1, high=2**64 - 1, fraction=2)], "over 255 steps"),
        ([column("integer", "thermometer", bounds=[1], step=2)], "no step"),
        ([column("integer", "thermometer", bounds=[])], "0 values"),
        ([column("integer", "bins", bounds=[1]), {**column("integer", "thermometer", bounds=[1]), "name": "y"}], "one kind"),
        ([{**column("integer", "bins", bounds=[1]), "name": "a\nb"}], "printable"),
    ],
)
def test_descriptions_that_are_refused(described: list[Any], fact: str) -> None:
    assert fact in refusal(*described)


THERMOMETER = Preparation("columns", {"columns": [column("integer", "thermometer", bounds=[1, 2, 3])]})
BINS = Preparation("columns", {"columns": [column("integer", "bins", bounds=[1, 2, 3])]})


@pytest.mark.parametrize(
    ("form", "fact"),
    [
        (InputFormat((2,), prepared=BINS), "they give 1 values"),
        (InputFormat((1,), 1, (1,), prepared=BINS), "thermometers are for 1-bit"),
        (InputFormat((3,), prepared=THERMOMETER), "thermometers are for 1-bit"),
        (InputFormat((3,), 1, (128,), prepared=THERMOMETER), "threshold 1"),
        (InputFormat((3,), prepared=Preparation("columns")), "'columns' must be"),
    ],
)
def test_formats_that_do_not_fit_the_columns(form: InputFormat, fact: str) -> None:
    with pytest.raises(ModelError) as caught:
        Plugins.installed().wanted(form)
    assert fact in str(caught.value)
    assert str(caught.value).startswith("preparation 'columns': ")


def test_the_kind_says_what_it_has() -> None:
    wanted = Plugins.installed().wanted(InputFormat((3,), 1, (1,), packed=True, prepared=THERMOMETER))
    assert wanted.one(Row({"x": 2})).tolist() == [1, 1, 0]
    assert wanted.kind.describe(THERMOMETER) == "columns: x (thermometer 3)"
    assert inputs(read(THERMOMETER.options)) == 3


def test_all_bounds_together_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = [
        {"name": f"c{place}", "type": "float", "encode": "linear", "low": 0.0, "high": 1.0, "bytes": 4} for place in range(3)
    ]
    monkeypatch.setattr(module, "MOST_BOUNDS", 2 * 4 * 255)
    assert inputs(read({"columns": wide[:2]})) == 8
    with pytest.raises(ModelError, match="over 2,040 bounds in all; give fewer"):
        read({"columns": wide})
