"""``.BTF.ext``: the FUNC of each function, the source line of each instruction, and the CO-RE relocations.

Offsets in the records are in bytes from the start of a section, as clang writes them (Documentation/bpf/btf.rst, section 4.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from ...errors import ObjectError
from .btf import BTF_HEADER, BTF_MAGIC, Btf

_CORE_HEADER = struct.Struct("<II")  # the rest of the header, since LLVM 10
_SUBSECTION = struct.Struct("<II")


class FuncInfo(NamedTuple):
    """The type of the function at byte ``offset`` of its section is the FUNC ``type_id``."""

    offset: int
    type_id: int


class LineInfo(NamedTuple):
    """The source line of the instruction at byte ``offset`` of its section.

    ``file`` and ``text`` are string offsets. ``line_and_column`` contains both numbers in one word.
    """

    offset: int
    file: int
    text: int
    line_and_column: int


class CoreInfo(NamedTuple):
    """A CO-RE relocation of ``type_id`` for the instruction at byte ``offset`` of its section.

    ``kind`` is the number of a ``CoreKind``. ``access`` is a string offset.
    """

    offset: int
    type_id: int
    access: int
    kind: int


class BtfExt(NamedTuple):
    """The records by section name, each list in the order of offsets."""

    functions: dict[str, list[FuncInfo]]
    lines: dict[str, list[LineInfo]]
    core: dict[str, list[CoreInfo]]


_Record = TypeVar("_Record", FuncInfo, LineInfo, CoreInfo)


def read_btf_ext(data: bytes, btf: Btf, name: str) -> BtfExt:
    """Reads a ``.BTF.ext`` section. Raises :class:`ObjectError` if it is malformed."""
    if len(data) < BTF_HEADER.size:
        raise ObjectError(f"{name}: .BTF.ext is cut short at {len(data)} bytes; rebuild the object")
    magic, version, _, header, func_offset, func_size, line_offset, line_size = BTF_HEADER.unpack_from(data)
    if magic != BTF_MAGIC or version != 1:
        raise ObjectError(f"{name}: .BTF.ext has magic {magic:#x}, version {version}; only version 1 is supported")
    functions: dict[str, list[FuncInfo]] = {}
    for section, record in _records(data, header + func_offset, func_size, btf, FuncInfo._fields, name):
        functions.setdefault(section, []).append(FuncInfo(*record))
    lines: dict[str, list[LineInfo]] = {}
    for section, record in _records(data, header + line_offset, line_size, btf, LineInfo._fields, name):
        lines.setdefault(section, []).append(LineInfo(*record))
    core: dict[str, list[CoreInfo]] = {}
    if header >= BTF_HEADER.size + _CORE_HEADER.size and len(data) >= BTF_HEADER.size + _CORE_HEADER.size:
        core_offset, core_size = _CORE_HEADER.unpack_from(data, BTF_HEADER.size)
        for section, record in _records(data, header + core_offset, core_size, btf, CoreInfo._fields, name):
            core.setdefault(section, []).append(CoreInfo(*record))
    return BtfExt(_sorted(functions), _sorted(lines), _sorted(core))


def _sorted(sections: dict[str, list[_Record]]) -> dict[str, list[_Record]]:
    return {name: sorted(records, key=lambda record: record.offset) for name, records in sections.items()}


def _records(
    data: bytes, at: int, size: int, btf: Btf, fields: tuple[str, ...], name: str
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yields (section name, record).

    A subsection contains the size of a record, then for each section its name, the number of its records, and the records.
    """
    end = at + size
    if not size:
        return
    if end > len(data) or size < 4:
        raise ObjectError(f"{name}: .BTF.ext ends past its section; the object is cut short, rebuild it")
    (record_size,) = struct.unpack_from("<I", data, at)
    layout = struct.Struct(f"<{len(fields)}I")
    at += 4
    while at < end:
        if at + _SUBSECTION.size > end:
            raise ObjectError(f"{name}: .BTF.ext is cut short; rebuild the object")
        section_name, count = _SUBSECTION.unpack_from(data, at)
        at += _SUBSECTION.size
        if record_size < layout.size or at + count * record_size > end:
            raise ObjectError(f"{name}: .BTF.ext claims {count} records of {record_size} bytes, more than it holds; rebuild it")
        section = btf.string(section_name)
        for _ in range(count):
            yield section, layout.unpack_from(data, at)
            at += record_size
