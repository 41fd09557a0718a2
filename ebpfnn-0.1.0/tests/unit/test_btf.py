"""BTF: reading, changing and joining types, and refusing bytes that contradict themselves."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rawbtf import BtfWriter

from ebpfnn.errors import ObjectError
from ebpfnn.obj import Btf, Kind, Linkage
from ebpfnn.obj.btf import Member


def test_bytes_come_back_as_they_went() -> None:
    writer = BtfWriter()
    writer.struct("point", 8, ("x", writer.integer(), 0), ("y", 1, 32))
    btf = writer.btf()
    assert Btf.from_bytes(btf.to_bytes()).to_bytes() == btf.to_bytes()


def test_members_and_bit_fields() -> None:
    writer = BtfWriter()
    writer.integer()
    plain = writer.struct("plain", 8, ("x", 1, 0), ("y", 1, 32))
    bits = writer.struct("bits", 4, ("a", 1, 3 << 24 | 0), ("b", 1, 5 << 24 | 3), flag=True)
    btf = writer.btf()
    assert list(btf.members(plain)) == [Member("x", 1, 0, 0), Member("y", 1, 32, 0)]
    assert list(btf.members(bits)) == [Member("a", 1, 0, 3), Member("b", 1, 3, 5)]


def test_sizes() -> None:
    writer = BtfWriter()
    number = writer.integer("long", 8)
    alias = writer.add(Kind.TYPEDEF, "alias", writer.add(Kind.CONST, "", number))
    matrix = writer.array(writer.array(alias, 3), 5)
    variable = writer.add(Kind.VAR, "matrix", matrix, Linkage.GLOBAL)
    pointers = writer.array(writer.pointer(0), 2)
    btf = writer.btf()
    assert [btf.size_of(each) for each in (number, alias, matrix, variable, pointers)] == [8, 8, 120, 120, 16]
    assert btf.resolve(alias) == number


@pytest.mark.parametrize("kind", [Kind.FUNC_PROTO, Kind.FWD])
def test_what_has_no_size(kind: Kind) -> None:
    writer = BtfWriter()
    writer.add(kind, "shapeless")
    with pytest.raises(ObjectError, match="has no size"):
        writer.btf().size_of(1)


def test_finding_by_name_and_kind() -> None:
    writer = BtfWriter()
    writer.integer("same")
    writer.add(Kind.FUNC, "same", writer.prototype(1))
    btf = writer.btf()
    assert (btf.find("same"), btf.find("same", Kind.FUNC), btf.find("same", Kind.VAR), btf.find("absent")) == (1, 3, None, None)


@pytest.mark.parametrize("kind", [Kind.TYPEDEF, Kind.CONST, Kind.VOLATILE, Kind.RESTRICT, Kind.TYPE_TAG])
def test_a_type_that_refers_to_itself(kind: Kind) -> None:
    writer = BtfWriter()
    writer.add(kind, "loop", 1)
    for ask in (writer.btf().resolve, writer.btf().size_of):
        with pytest.raises(ObjectError, match="refers to itself"):
            ask(1)


def test_an_array_of_itself() -> None:
    writer = BtfWriter()
    writer.array(1, 1 << 31)
    with pytest.raises(ObjectError):
        writer.btf().size_of(1)


@pytest.mark.parametrize("vlen", [1, 0xFFFF])
def test_entries_past_the_end(vlen: int) -> None:
    writer = BtfWriter()
    writer.add(Kind.DATASEC, ".data", 0, vlen=vlen)
    with pytest.raises(ObjectError, match="runs past the end"):
        writer.btf()


def test_a_kind_that_is_not_known() -> None:
    with pytest.raises(ObjectError, match="unknown kind"):
        Btf(struct.pack("<III", 0, 31 << 24, 0))


@pytest.mark.parametrize("strings", [b"", b"abc", b"\0abc", b"abc\0"])
def test_a_string_table_without_its_nuls(strings: bytes) -> None:
    with pytest.raises(ObjectError, match="string table"):
        Btf(b"", strings)


def test_a_section_places_its_variables_in_order() -> None:
    writer = BtfWriter()
    writer.integer()
    first, second = (writer.add(Kind.VAR, name, 1, Linkage.GLOBAL) for name in ("first", "second"))
    section = writer.section(".data", (first, 0, 4), (second, 0, 4))
    btf = writer.btf()
    btf.place_section(section, 16, {"first": 12, "second": 4})
    assert btf.section_variables(section) == [(second, 4, 4), (first, 12, 4)]
    assert btf.size_of(section) == 16


def test_an_extern_becomes_a_typedef_of_its_prototype() -> None:
    writer = BtfWriter()
    prototype = writer.prototype(writer.integer())
    extern = writer.add(Kind.FUNC, "outside", prototype, vlen=Linkage.EXTERN)
    btf = writer.btf()
    btf.retire_extern(extern)
    assert btf[extern]._replace(flag=False) == (Kind.TYPEDEF, "outside", 0, False, prototype)


def everything() -> Btf:
    """A type of every kind, referring to every kind of thing."""
    writer = BtfWriter()
    number = writer.integer()
    for kind in (Kind.PTR, Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG):
        writer.add(kind, "" if kind is not Kind.TYPEDEF else "alias", number)
    writer.array(number, 4)
    writer.struct("s", 8, ("m", number, 0))
    writer.add(Kind.UNION, "u", 4, writer.string("n"), number, 0, vlen=1)
    writer.add(Kind.ENUM, "e", 4, writer.string("one"), 1, vlen=1)
    writer.add(Kind.ENUM64, "f", 8, writer.string("two"), 2, 0, vlen=1)
    writer.add(Kind.FWD, "forward")
    writer.add(Kind.FLOAT, "double", 8)
    function = writer.add(Kind.FUNC, "call", writer.prototype(number, number), vlen=Linkage.GLOBAL)
    writer.section(".data", (writer.add(Kind.VAR, "v", number, Linkage.STATIC), 0, 4))
    writer.add(Kind.DECL_TAG, "tag", function, 0)
    return writer.btf()


def test_a_record_that_would_refer_past_every_type() -> None:
    writer = BtfWriter()
    writer.pointer(0xFFFFFFFF)
    with pytest.raises(ObjectError, match=r"^BTF: record \d+ refers past 2\^32; rebuild the object$"):
        everything().append(writer.btf())


def test_appended_types_refer_to_each_other_as_before() -> None:
    joined, alone = everything(), everything()
    shift = joined.append(alone)
    assert shift == len(alone) - 1
    refers = set(Kind) - {
        Kind.INT,
        Kind.STRUCT,
        Kind.UNION,
        Kind.ENUM,
        Kind.ENUM64,
        Kind.FWD,
        Kind.FLOAT,
        Kind.ARRAY,
        Kind.DATASEC,
    }
    for type_id in range(1, len(alone)):
        before, after = alone[type_id], joined[type_id + shift]
        moved = shift if before.kind in refers and before.reference else 0
        assert after == before._replace(reference=before.reference + moved)
        if before.kind in (Kind.STRUCT, Kind.UNION):
            assert list(joined.members(type_id + shift)) == [
                member._replace(type_id=member.type_id + shift) for member in alone.members(type_id)
            ]
        if before.kind is Kind.DATASEC:
            assert joined.section_variables(type_id + shift) == [
                (variable + shift, offset, size) for variable, offset, size in alone.section_variables(type_id)
            ]
        if before.kind is Kind.FUNC_PROTO:
            assert joined.parameters(type_id + shift) == [("", number + shift) for _, number in alone.parameters(type_id)]
        if before.kind is Kind.ARRAY:
            assert joined.array(type_id + shift) == (alone.array(type_id)[0] + shift, 4)


@given(st.data())
def test_any_damage_is_an_object_error_or_none(data: st.DataObject) -> None:
    damaged = bytearray(everything().to_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    try:
        btf = Btf.from_bytes(bytes(damaged[:cut] if data.draw(st.booleans()) else damaged))
    except ObjectError:
        return
    for type_id in range(len(btf)):
        for ask in (btf.__getitem__, btf.resolve, btf.size_of, btf.parameters):
            try:
                ask(type_id)
            except ObjectError:
                continue
    assert Btf.from_bytes(btf.to_bytes()).to_bytes() == btf.to_bytes()
