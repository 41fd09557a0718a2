"""Names in string tables, which an object may make as long as itself, and share."""

from __future__ import annotations

import struct

import pytest
from elves import section_headers, section_start, shipped, with_field, with_words

from ebpfnn.errors import ObjectError
from ebpfnn.obj.elf import MAX_FILE, read_elf

OBJECT = shipped("tracepoint")


def with_name(length: int) -> tuple[bytes, int]:
    """The object with a name of ``length`` bytes more in its string table, and that name's offset."""
    offset, size = struct.unpack_from("<QQ", OBJECT, section_headers(OBJECT)[".strtab"] + 24)
    table = OBJECT[offset : offset + size] + b"x" * length + b"\0"
    data = with_field(OBJECT, ".strtab", "size", len(table)) + table
    return with_words(data, section_headers(OBJECT)[".strtab"] + 24, "<Q", len(OBJECT)), size


def named_section(length: int) -> bytes:
    data, name = with_name(length)
    return with_words(data, section_headers(OBJECT)[".llvm_addrsig"], "<I", name)


def named_symbol(length: int) -> bytes:
    data, name = with_name(length)
    return with_words(data, section_start(OBJECT, ".symtab") + 24, "<I", name)


def test_the_longest_names() -> None:
    assert read_elf(named_section(4096), "test.o").section("x" * 4096)
    assert read_elf(named_symbol(4096), "test.o").symbols[1].name == "x" * 4096


def test_names_that_are_longer() -> None:
    with pytest.raises(ObjectError, match=r"^test\.o: a section's name is longer than 4096 bytes; rebuild the object$"):
        read_elf(named_section(4097), "test.o")
    with pytest.raises(ObjectError, match=r"^test\.o: a symbol's name is longer than 4096 bytes; rebuild the object$"):
        read_elf(named_symbol(4097), "test.o")


def test_names_that_overlap_are_bounded_together() -> None:
    """Every symbol has another tail of few long names."""
    count = MAX_FILE // 2000
    names = b"\0" + (b"x" * 4096 + b"\0") * (count // 4096 + 1)
    symbols = b"".join(struct.pack("<IBBHQQ", 1 + number, 0, 0, 0, 0, 0) for number in range(count))
    data = with_field(OBJECT, ".symtab", "size", len(symbols))
    data = with_field(data, ".symtab", "offset", len(OBJECT))
    table = {"type": 3, "offset": len(OBJECT) + len(symbols), "size": len(names)}
    index = (min(section_headers(OBJECT).values()), section_headers(OBJECT)[".llvm_addrsig"])
    data = with_field(data, ".symtab", "link", (index[1] - index[0]) // 64)
    for field, value in table.items():
        data = with_field(data, ".llvm_addrsig", field, value)
    with pytest.raises(
        ObjectError, match=r"^test\.o: its symbols' names take over 67108864 bytes, which is the limit; shorten them$"
    ):
        read_elf(data + symbols + names, "test.o")


@pytest.mark.parametrize("index", [0, 2, 0xFFFF])
def test_section_names_that_are_nowhere(index: int) -> None:
    with pytest.raises(ObjectError, match=f"the section names are not in section {index} of"):
        read_elf(with_words(OBJECT, 62, "<H", index), "test.o")
