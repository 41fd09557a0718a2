"""Whatever the file: an object, or an ObjectError that says what is wrong with it."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elves import SHIPPED, section_headers, section_start, shipped, with_field, with_words
from hypothesis import given, settings
from hypothesis import strategies as st

from ebpfnn.errors import ObjectError
from ebpfnn.obj import ObjectSpec
from ebpfnn.obj.elf import MAX_FILE, read_elf

OBJECT = shipped("tracepoint")


def refusal(data: bytes) -> str:
    with pytest.raises(ObjectError) as caught:
        ObjectSpec.from_bytes(data, "test.o")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\n" * 100, "not an ELF file"),
        (OBJECT[:63], "cut short at 63 bytes"),
        (with_words(OBJECT, 4, "B", 1), "a 32-bit ELF file"),
        (with_words(OBJECT, 5, "B", 2), "a big-endian ELF file; build it with clang -target bpfel"),
        (with_words(OBJECT, 18, "<H", 62), "machine 62, not BPF (247)"),
        (with_words(OBJECT, 16, "<H", 2), "not a relocatable object (ELF type 2)"),
        (with_words(OBJECT, 60, "<H", 0), "section table is outside the file"),
        (with_words(OBJECT, 58, "<H", 63), "section table is outside the file"),
        (with_words(OBJECT, 40, "<Q", 1 << 63), "section table is outside the file"),
    ],
)
def test_a_header_that_is_not_ours(data: bytes, words: str) -> None:
    assert words in refusal(data)


@pytest.mark.parametrize("size", [len(OBJECT), 1 << 31, 1 << 32, 1 << 63, (1 << 64) - 1])
@pytest.mark.parametrize("section", [".symtab", "tracepoint", ".BTF", ".maps", "license", ".reltracepoint", ".strtab"])
def test_a_section_larger_than_the_file(section: str, size: int) -> None:
    assert "ends past the end of the file" in refusal(with_field(OBJECT, section, "size", size))


def test_a_section_that_begins_behind_everything() -> None:
    assert "ends past the end of the file" in refusal(with_field(OBJECT, ".BTF", "offset", (1 << 64) - 1))


def test_a_section_that_takes_no_room_but_claims_much() -> None:
    data = with_field(OBJECT, ".rodata", "type", 8)
    assert f"has {1 << 32} bytes; a map holds at most" in refusal(with_field(data, ".rodata", "size", 1 << 32))


@pytest.mark.parametrize("size", [MAX_FILE + 1, (1 << 32) - 1])
def test_a_section_that_takes_no_room_may_be_larger_than_any_file(size: int) -> None:
    data = with_field(with_field(OBJECT, ".rodata", "type", 8), ".rodata", "size", size)
    spec = ObjectSpec.from_bytes(data, "test.o")
    assert (spec.maps[".rodata"].value_size, spec.maps[".rodata"].contents) == (size, None)


@pytest.mark.parametrize(
    ("section", "field", "value", "words"),
    [
        (".maps", "flags", 1 << 11, "is compressed"),
        (".maps", "type", 4, "is of type 0x4"),
        (".maps", "type", 5, "is of type 0x5"),
        (".symtab", "link", 0, "symbol table's strings are not in section 0"),
        (".symtab", "link", 0xFFFFFFFF, "symbol table's strings are not in section"),
        (".symtab", "type", 1, "0 symbol tables"),
        (".symtab", "size", 25, "its symbol table is cut short"),
        (".reltracepoint", "size", 17, "cut short"),
        (".reltracepoint", "info", 70000, "relocates section 70000 of"),
        (".reltracepoint", "info", 0, "relocates section 0 of"),
        (".maps", "name", 1 << 31, "a section's name is outside the string table"),
        ("tracepoint", "type", 8, "not a whole number of instructions"),
    ],
)
def test_a_section_that_makes_no_sense(section: str, field: str, value: int, words: str) -> None:
    assert words in refusal(with_field(OBJECT, section, field, value))


def test_two_symbol_tables() -> None:
    link = struct.unpack_from("<I", OBJECT, section_headers(OBJECT)[".symtab"] + 40)[0]
    data = OBJECT
    for field, value in {"type": 2, "link": link, "size": 0, "entry": 24}.items():
        data = with_field(data, ".llvm_addrsig", field, value)
    assert "2 symbol tables" in refusal(data)


def test_symbols_out_of_range() -> None:
    symbol = section_start(OBJECT, ".symtab") + 24
    assert "name is outside the string table" in refusal(with_words(OBJECT, symbol, "<I", 1 << 31))
    assert "a symbol is in section 65000" in refusal(with_words(OBJECT, symbol + 6, "<H", 65000))


def test_strings_without_an_end() -> None:
    header = section_headers(OBJECT)[".strtab"]
    start, size = struct.unpack_from("<QQ", OBJECT, header + 24)
    assert refusal(OBJECT[: start + 1] + b"x" * (size - 1) + OBJECT[start + size :])


def test_a_relocation_of_a_symbol_that_is_not_there() -> None:
    at = section_start(OBJECT, ".reltracepoint")
    assert "refers to symbol 70000 of" in refusal(with_words(OBJECT, at + 8, "<Q", 70000 << 32 | 1))


@pytest.mark.parametrize(
    ("kind", "moved", "words"),
    [(99, 0, "is unknown"), (1, 4, "is unknown"), (10, 0, "is unknown"), (1, 1 << 62, "past its end")],
)
def test_a_relocation_that_makes_no_sense(kind: int, moved: int, words: str) -> None:
    at = section_start(OBJECT, ".reltracepoint")
    offset, info = struct.unpack_from("<QQ", OBJECT, at)
    assert words in refusal(with_words(OBJECT, at, "<QQ", offset + moved, info & ~0xFFFFFFFF | kind))


@pytest.mark.parametrize("name", SHIPPED)
def test_cut_short_anywhere(name: str) -> None:
    data = shipped(name)
    for length in range(0, len(data), 64):
        refusal(data[:length])


def test_a_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(ObjectError, match="No such file"):
        ObjectSpec.from_file(tmp_path / "absent.o")
    with pytest.raises(ObjectError, match="Is a directory"):
        ObjectSpec.from_file(tmp_path)
    with open(tmp_path / "large.o", "wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(ObjectError, match="larger than"):
        ObjectSpec.from_file(tmp_path / "large.o")


def test_sections_that_overlap_are_bounded_together() -> None:
    """A small file of many sections, each of which claims all of it, must not be read many times over."""
    room, count = 2 << 20, 64
    body = bytearray(OBJECT.ljust(room, b"\0"))
    table = [(0, 1, 0, 0, 0, room, 0, 0, 1, 0)] * count
    body += b"".join(struct.pack("<IIQQQQIIQQ", *header) for header in table)
    struct.pack_into("<Q", body, 40, room)
    struct.pack_into("<HH", body, 60, count, 1)
    assert "the limit is" in refusal(bytes(body))


@given(name=st.sampled_from(SHIPPED), data=st.data())
@settings(max_examples=400)
def test_any_damage_is_an_object_error_or_none(name: str, data: st.DataObject) -> None:
    whole = shipped(name)
    parts = [*section_headers(whole).values(), 0, section_start(whole, ".BTF"), section_start(whole, ".symtab")]
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        near = data.draw(st.sampled_from([0, *parts]))
        reach = 64 if near else len(damaged) - 1
        at = min(near + data.draw(st.integers(0, reach)), len(damaged) - 1)
        damaged[at] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]) | st.integers(0, 255))
    with suppress(ObjectError):
        ObjectSpec.from_bytes(bytes(damaged), "damaged.o")


@pytest.mark.parametrize("name", SHIPPED)
def test_sections_and_symbols_are_what_pyelftools_reads(name: str) -> None:
    read, expected = read_elf(shipped(name), name), ELFFile(io.BytesIO(shipped(name)))
    headers = list(expected.iter_sections())
    assert [(each.name, each.size) for each in read.sections] == [(each.name, each["sh_size"]) for each in headers]
    contents = [b"" if each["sh_type"] == "SHT_NOBITS" else each.data() for each in headers]
    assert [each.data for each in read.sections] == contents
    symbols = list(expected.get_section_by_name(".symtab").iter_symbols())
    assert [(each.value, each.size) for each in read.symbols] == [(each["st_value"], each["st_size"]) for each in symbols]


def test_sections_are_found_by_name() -> None:
    elf = read_elf(OBJECT, "test.o")
    section = elf.section("license")
    assert section is not None
    assert section.data == b"GPL\0"
    assert elf.section("absent") is None
