"""Which types CO-RE takes for the same: compatible in make, or matching in every member."""

from __future__ import annotations

import pytest
from rawbtf import BtfWriter

from ebpfnn.errors import ObjectError
from ebpfnn.obj import Kind
from ebpfnn.obj.core.core_types import Comparison, essential_name

SIGNED = 1 << 24


@pytest.mark.parametrize(
    ("name", "essential"),
    [
        ("task_struct", "task_struct"),
        ("task_struct___old", "task_struct"),
        ("a___b___c", "a___b"),
        ("a____b", "a____b"),
        ("___a", "___a"),
        ("a___", "a___"),
        ("a___b", "a"),
        ("", ""),
    ],
)
def test_essential_names(name: str, essential: str) -> None:
    assert essential_name(name) == essential


class Zoo(BtfWriter):
    """Types of all makes by name."""

    def __init__(self) -> None:
        super().__init__()
        self.int = self.add(Kind.INT, "int", 4, SIGNED | 32)
        self.unsigned = self.integer("unsigned", 4)
        self.long = self.add(Kind.INT, "long", 8, SIGNED | 64)
        self.odd = self.add(Kind.INT, "odd", 4, 3 << 16 | 5)
        self.alias = self.add(Kind.TYPEDEF, "alias", self.add(Kind.CONST, "", self.int))
        self.enum = self.add(Kind.ENUM, "color", 4, self.string("RED"), 1, vlen=1)
        self.other_enum = self.add(Kind.ENUM, "shape", 4, self.string("RED"), 1, self.string("BLUE"), 2, vlen=2)
        self.flavored_enum = self.add(Kind.ENUM, "color___v2", 4, self.string("RED___v2"), 9, self.string("B"), 2, vlen=2)
        self.unnamed_enum = self.add(Kind.ENUM, "", 4)
        self.wide_enum = self.add(Kind.ENUM64, "color", 8, self.string("RED"), 1, 0, vlen=1)
        self.struct_a = self.struct("s", 4, ("x", self.int, 0))
        self.struct_b = self.struct("s___more", 8, ("w", self.long, 0), ("x", self.int, 0))
        self.struct_c = self.struct("s", 4, ("x", self.long, 0))
        self.union = self.add(Kind.UNION, "s", 4, self.string("x"), self.int, 0, vlen=1)
        self.fwd = self.add(Kind.FWD, "s")
        self.fwd_union = self.add(Kind.FWD, "s", flag=True)
        self.other_fwd = self.add(Kind.FWD, "t")
        self.float = self.add(Kind.FLOAT, "double", 8)
        self.array4 = self.array(self.int, 4)
        self.array8 = self.array(self.alias, 8)
        self.array_of_pointers = self.array(self.pointer(self.int), 4)
        self.to_struct, self.to_union = self.pointer(self.struct_a), self.pointer(self.union)
        self.to_other = self.pointer(self.struct_c)
        self.to_fwd, self.to_fwd_union = self.pointer(self.fwd), self.pointer(self.fwd_union)
        self.to_void = self.pointer(0)
        self.call = self.prototype(self.int, self.int, self.long)
        self.call_alias = self.prototype(self.alias, self.alias, self.long)
        self.call_short = self.prototype(self.int, self.int)
        self.call_pointer = self.prototype(self.int, self.int, self.to_struct)
        self.comparison = Comparison(self.btf(), self.btf())


ZOO = Zoo()
FIELDS = {
    ("int", "long"): True,
    ("int", "alias"): True,
    ("int", "odd"): False,
    ("int", "enum"): False,
    ("enum", "enum"): True,
    ("enum", "wide_enum"): True,
    ("enum", "flavored_enum"): True,
    ("enum", "other_enum"): False,
    ("enum", "unnamed_enum"): True,
    ("struct_a", "union"): True,
    ("struct_a", "int"): False,
    ("fwd", "fwd_union"): True,
    ("fwd", "other_fwd"): False,
    ("to_struct", "to_void"): True,
    ("to_struct", "int"): False,
    ("float", "float"): True,
    ("array4", "array8"): True,
    ("array4", "array_of_pointers"): False,
    ("call", "call"): False,
}
COMPATIBLE = {
    ("int", "long"): True,
    ("int", "odd"): False,
    ("alias", "alias"): True,
    ("struct_a", "struct_c"): True,
    ("struct_a", "union"): False,
    ("enum", "wide_enum"): True,
    ("to_struct", "to_other"): True,
    ("to_struct", "to_union"): False,
    ("array4", "array8"): True,
    ("array4", "array_of_pointers"): False,
    ("call", "call_alias"): True,
    ("call", "call_short"): False,
    ("call", "call_pointer"): False,
    ("float", "float"): False,
}
MATCH = {
    ("int", "alias"): True,
    ("int", "unsigned"): False,
    ("int", "long"): False,
    ("struct_a", "struct_a"): True,
    ("struct_a", "struct_b"): True,
    ("struct_b", "struct_a"): False,
    ("struct_a", "struct_c"): False,
    ("struct_a", "union"): False,
    ("union", "union"): True,
    ("fwd", "fwd"): True,
    ("fwd", "fwd_union"): False,
    ("to_struct", "to_other"): True,
    ("to_struct", "to_fwd"): True,
    ("to_struct", "to_fwd_union"): False,
    ("to_fwd_union", "to_union"): True,
    ("to_fwd", "to_union"): False,
    ("to_void", "to_void"): True,
    ("to_void", "to_struct"): False,
    ("enum", "flavored_enum"): True,
    ("flavored_enum", "enum"): False,
    ("enum", "wide_enum"): False,
    ("enum", "other_enum"): False,
    ("array4", "array4"): True,
    ("array4", "array8"): False,
    ("call", "call_alias"): True,
    ("call", "call_pointer"): False,
    ("call", "call_short"): False,
    ("float", "float"): False,
}


@pytest.mark.parametrize(("pair", "expected"), FIELDS.items(), ids=str)
def test_fields(pair: tuple[str, str], expected: bool) -> None:
    assert ZOO.comparison.fields_compatible(getattr(ZOO, pair[0]), getattr(ZOO, pair[1])) is expected


@pytest.mark.parametrize(("pair", "expected"), COMPATIBLE.items(), ids=str)
def test_compatible(pair: tuple[str, str], expected: bool) -> None:
    assert ZOO.comparison.compatible(getattr(ZOO, pair[0]), getattr(ZOO, pair[1])) is expected


@pytest.mark.parametrize(("pair", "expected"), MATCH.items(), ids=str)
def test_match(pair: tuple[str, str], expected: bool) -> None:
    assert ZOO.comparison.match(getattr(ZOO, pair[0]), getattr(ZOO, pair[1])) is expected


@pytest.mark.parametrize("kind", [Kind.PTR, Kind.ARRAY])
def test_types_of_themselves_end(kind: Kind) -> None:
    writer = BtfWriter()
    if kind is Kind.PTR:
        writer.pointer(1)
    else:
        writer.array(1, 1)
    comparison = Comparison(writer.btf(), writer.btf())
    for ask in (comparison.compatible, comparison.match):
        with pytest.raises(ObjectError, match="nested past 32 levels"):
            ask(1, 1)


def test_a_prototype_of_itself_ends() -> None:
    writer = BtfWriter()
    writer.prototype(1, 1, 1, 1)
    comparison = Comparison(writer.btf(), writer.btf())
    for ask in (comparison.compatible, comparison.match):
        with pytest.raises(ObjectError, match="nested past 32 levels"):
            ask(1, 1)


def test_structs_that_double_at_every_level_end() -> None:
    writer = BtfWriter()
    below = writer.integer()
    for level in range(25):
        below = writer.struct(f"s{level}", 8, *((f"m{number}", below, 0) for number in range(40)))
    assert Comparison(writer.btf(), writer.btf()).match(below, below)
