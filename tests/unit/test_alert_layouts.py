"""Alerts: how an instance describes their fields, and how people read them."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from ebpfnn.errors import ModelError
from ebpfnn.events.fields import Field, bytes_of
from ebpfnn.events.written import values_of, written
from ebpfnn.instance import layouts

FIELDS = (
    Field("time", 0, 8, False, "ns"),
    Field("source_high", 8, 8, False, "address"),
    Field("source_low", 16, 8, False, "address"),
    Field("source", 24, 4, False, "address"),
    Field("drift", 28, 2, True),
    Field("flag", 30, 1, False, "flag"),
    Field("comm", 32, 8, False, "text"),
    Field("comm_rest", 40, 8, False, "text"),
    Field("where", 48, 8, False, "address"),
)
BYTES = struct.Struct("<QQQIhBx8s8sQ")


def of(high: int = 0, low: int = 0, four: int = 0, drift: int = 0, comm: bytes = b"") -> bytes:
    return BYTES.pack(7, high, low, four, drift, 1, comm[:8], comm[8:], 0xFFFF888000000000)


def test_people_read_addresses_texts_and_signs() -> None:
    found = written(FIELDS, of(four=0xC0000201, drift=-3, comm=b"a long name\0"))
    assert found == {
        "time": 7,
        "source": "192.0.2.1",
        "drift": -3,
        "flag": 1,
        "comm": "a long name",
        "where": "0xffff888000000000",
    }


@pytest.mark.parametrize(
    ("high", "low", "address"),
    [
        (0x20010DB8 << 32, 1, "2001:db8::1"),
        (0, 1, "::1"),
        ((1 << 64) - 1, (1 << 64) - 1, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ],
)
def test_both_halves_of_an_address_are_one(high: int, low: int, address: str) -> None:
    assert written(FIELDS, of(high, low))["source"] == address


def test_an_ipv4_address_stays_where_the_other_is_not_there() -> None:
    assert written(FIELDS, of(four=1 << 24))["source"] == "1.0.0.0"


def test_a_half_alone_stays_a_number_in_memory() -> None:
    assert written(FIELDS[:2], of(high=5)) == {"time": 7, "source_high": "0x5"}


def test_integers_are_as_they_lie() -> None:
    assert values_of(FIELDS, of(high=3, drift=-3))["source_high"] == 3
    assert values_of(FIELDS, of(drift=-3))["drift"] == -3


@pytest.mark.parametrize(("count", "size"), [(0, 0), (1, 8), (5, 32), (6, 32), (9, 56)])
def test_a_struct_has_whole_words(count: int, size: int) -> None:
    assert bytes_of(FIELDS[:count]) == size


def test_what_is_described_is_read_again() -> None:
    described = {layouts.ALERTS: [[[each.name, each.offset, each.type, each.unit] for each in FIELDS], []]}
    assert layouts.layouts(layouts.checked(described)) == [FIELDS, ()]
    assert layouts.checked({}) == {}
    assert layouts.layouts({}) == []


@pytest.mark.parametrize(
    "field",
    [
        ["n", 0, "u8"],
        ["n", 0, "u8", "", ""],
        ["n", 0, "u7", ""],
        ["n", 4096, "u8", ""],
        ["n", -1, "u8", ""],
        ["n", True, "u8", ""],
        ["n", 1.0, "u8", ""],
        ["a b", 0, "u8", ""],
        ["", 0, "u8", ""],
        ["n", 0, "u8", "\n"],
        "n",
        None,
        {},
    ],
)
def test_what_is_no_field_is_refused(field: Any) -> None:
    with pytest.raises(ModelError, match="'alerts' must hold"):
        layouts.checked({layouts.ALERTS: [[field]]})


@pytest.mark.parametrize("every", [None, {}, "n", [None], ["n"], [{}]])
def test_what_is_no_list_of_fields_is_refused(every: Any) -> None:
    with pytest.raises(ModelError, match="'alerts' must be of type list"):
        layouts.checked({layouts.ALERTS: every})
