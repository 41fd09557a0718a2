"""BTF of kernels: looking up names, types that go on from a base, and tables that contradict themselves."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rawbtf import BtfWriter

from ebpfnn.errors import ObjectError
from ebpfnn.obj import Btf, Kind
from ebpfnn.obj.btf import Member


class SplitWriter(BtfWriter):
    """Types that go on from ``base``; their strings too."""

    def __init__(self, base: Btf) -> None:
        super().__init__()
        self.base, self.strings, self.count = base, b"", len(base) - 1

    def string(self, text: str) -> int:
        offset = self.base.string_bytes + len(self.strings)
        self.strings += text.encode() + b"\0"
        return offset if text else 0

    def btf(self) -> Btf:
        return Btf(self.types, self.strings, self.base)


@pytest.fixture
def base() -> Btf:
    writer = BtfWriter()
    number = writer.integer("int")
    writer.struct("shared", 4, ("x", number, 0))
    return writer.btf()


def test_ids_and_strings_go_on_from_the_base(base: Btf) -> None:
    writer = SplitWriter(base)
    added = writer.struct("added", 8, ("y", 1, 0), ("z", 2, 32))
    split = writer.btf()
    assert (added, split.first_id, len(split)) == (3, 3, 4)
    assert [split[type_id].name for type_id in range(4)] == ["", "int", "shared", "added"]
    assert list(split.members(added)) == [Member("y", 1, 0, 0), Member("z", 2, 32, 0)]
    assert list(split.members(2)) == [Member("x", 1, 0, 0)]
    assert split.size_of(2) == 4


def test_the_base_is_asked_first(base: Btf) -> None:
    writer = SplitWriter(base)
    again = writer.struct("shared", 8)
    split = writer.btf()
    assert (split.find("shared"), split.find("int"), split.find("nothing")) == (2, 1, None)
    assert list(split.find_all("shared")) == [2, again]
    assert set(split.names_with_prefix("sh")) == {"shared"}


def test_a_type_may_be_named_by_a_string_of_the_base(base: Btf) -> None:
    (offset,) = base.string_offsets("shared")
    split = Btf(struct.pack("<III", offset, Kind.FWD << 24, 0), b"\0", base)
    assert list(split.find_all("shared", Kind.FWD)) == [3]


def test_split_bytes_come_back(base: Btf) -> None:
    writer = SplitWriter(base)
    writer.struct("added", 8, ("y", 1, 0))
    data = writer.btf().to_bytes()
    assert Btf.from_bytes(data, base).to_bytes() == data


def test_a_split_without_its_base_is_refused(base: Btf) -> None:
    writer = SplitWriter(base)
    writer.struct("added", 8)
    with pytest.raises(ObjectError, match="string table"):
        Btf.from_bytes(writer.btf().to_bytes())


def test_every_type_of_a_name() -> None:
    writer = BtfWriter()
    ids = [writer.add(kind, "same") for kind in (Kind.FWD, Kind.STRUCT, Kind.FWD)]
    writer.add(Kind.FWD, "samething")
    btf = writer.btf()
    assert list(btf.find_all("same")) == ids
    assert list(btf.find_all("same", Kind.FWD)) == [ids[0], ids[2]]
    assert list(btf.find_all("")) == []
    assert btf.find("ame") is None


def test_offsets_that_only_seem_to_name_a_type() -> None:
    """The halves of 0x10000 and 0, one behind the other, read as 1: the offset of "x"."""
    types = b"".join(struct.pack("<III", offset, Kind.FWD << 24, 0) for offset in (0x10000, 0, 1))
    assert list(Btf(types, b"\0x" + bytes(0x10000)).find_all("x")) == [3]


def test_names_that_are_written_twice() -> None:
    types = b"".join(struct.pack("<III", offset, Kind.FWD << 24, 0) for offset in (3, 5, 1))
    assert list(Btf(types, b"\0x\0x\0y\0").find_all("x")) == [1, 3]


def test_names_that_are_written_without_end() -> None:
    with pytest.raises(ObjectError, match="'x' is in the string table over 4096 times"):
        Btf(b"", b"\0" + b"x\0" * 5000).find("x")


def test_names_that_are_too_long() -> None:
    types = struct.pack("<III", 1, Kind.FWD << 24, 0)
    assert len(Btf(types, b"\0" + b"x" * 4096 + b"\0")[1].name) == 4096
    with pytest.raises(ObjectError, match="string at offset 1 is longer than 4096 bytes"):
        Btf(types, b"\0" + b"x" * 4097 + b"\0")[1]
    with pytest.raises(ObjectError, match="longer than 65536 bytes"):
        Btf(types, b"\0" + b"x" * 70000 + b"\0").string(1)


def test_enumerators() -> None:
    writer = BtfWriter()
    words = (writer.string("MINUS"), 0xFFFFFFFF, writer.string("ONE"), 1)
    unsigned, signed = (writer.add(Kind.ENUM, "", 4, *words, vlen=2, flag=flag) for flag in (False, True))
    wide = (writer.string("HUGE"), 5, 0x80000000)
    unsigned64, signed64 = (writer.add(Kind.ENUM64, "", 8, *wide, vlen=1, flag=flag) for flag in (False, True))
    btf = writer.btf()
    assert btf.enumerators(unsigned) == [("MINUS", 0xFFFFFFFF), ("ONE", 1)]
    assert btf.enumerators(signed) == [("MINUS", -1), ("ONE", 1)]
    assert btf.enumerators(unsigned64) == [("HUGE", 0x8000000000000005)]
    assert btf.enumerators(signed64) == [("HUGE", 5 - (1 << 63))]


def test_integers() -> None:
    writer = BtfWriter()
    odd = writer.add(Kind.INT, "odd", 4, 1 << 24 | 3 << 16 | 5)
    assert writer.btf().integer(odd) == (5, 3, True)


def test_one_member() -> None:
    writer = BtfWriter()
    bits = writer.struct("bits", 4, ("a", writer.integer(), 3 << 24), ("b", 1, 5 << 24 | 3), flag=True)
    btf = writer.btf()
    assert [btf.member(bits, place) for place in range(2)] == list(btf.members(bits))
    for place in (2, -1):
        with pytest.raises(ObjectError, match=f"member {place} of type {bits}, which has 2"):
            btf.member(bits, place)


@pytest.mark.parametrize("ask", [Btf.members, Btf.enumerators, Btf.parameters, Btf.section_variables, Btf.array, Btf.integer])
def test_asking_a_type_for_what_its_kind_has_not(ask: object) -> None:
    writer = BtfWriter()
    writer.add(Kind.FLOAT, "double", 8)
    with pytest.raises(ObjectError, match="type 1 is a FLOAT, not a"):
        list(ask(writer.btf(), 1))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("place", "value"),
    [(place, value) for place in range(4, 24, 4) for value in (1 << 31, 0xFFFFFFFF, 0x7FFFFFFF)],
)
def test_header_fields_that_claim_too_much(base: Btf, place: int, value: int) -> None:
    data = bytearray(base.to_bytes())
    struct.pack_into("<I", data, place, value)
    with pytest.raises(ObjectError):
        Btf.from_bytes(bytes(data))


@pytest.mark.parametrize("size", range(24))
def test_headers_cut_short(base: Btf, size: int) -> None:
    with pytest.raises(ObjectError, match="shorter than its header"):
        Btf.from_bytes(base.to_bytes()[:size])


@pytest.mark.parametrize("cut", [1, 2, 3, 4, 11])
def test_type_sections_cut_short(cut: int) -> None:
    writer = BtfWriter()
    writer.struct("thing", 8, ("x", writer.integer(), 0))
    with pytest.raises(ObjectError, match=r"runs past the end|is cut short"):
        Btf(writer.types[:-cut], writer.strings)


@pytest.mark.parametrize("type_id", [-1, 2, 1 << 31])
def test_ids_past_the_end(type_id: int) -> None:
    writer = BtfWriter()
    writer.integer()
    with pytest.raises(ObjectError, match=f"type id {type_id} of 1"):
        writer.btf()[type_id]


@given(st.binary(max_size=300), st.binary(max_size=40))
def test_any_bytes_are_an_object_error_or_types(types: bytes, strings: bytes) -> None:
    try:
        btf = Btf(types, b"\0" + strings + b"\0")
    except ObjectError:
        return
    assert len(btf) <= 1 + len(types) // 12
    for type_id in range(len(btf)):
        for ask in (btf.__getitem__, btf.resolve, btf.size_of, btf.enumerators, lambda each: list(btf.members(each))):
            try:
                ask(type_id)
            except ObjectError:
                continue
    assert btf.to_bytes() == Btf.from_bytes(btf.to_bytes()).to_bytes()
