"""BTF, the type format of BPF objects and of the kernel (Documentation/bpf/btf.rst, Linux 6.18).

The bytes are indexed once and decoded where somebody looks, so that a kernel's six megabytes cost no more than an object's
few kilobytes.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from ..errors import ObjectError

_HEADER = struct.Struct("<HBBIIIII")
_RECORD = struct.Struct("<III")
_MAGIC = 0xEB9F
_MAX_DEPTH = 32  # of typedefs, qualifiers and arrays: the kernel's own MAX_RESOLVE_DEPTH


class Kind(IntEnum):
    """BTF_KIND_*."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


# What follows a record's three words: (words of its own, words for each of its vlen entries). In the patterns, "s" is the
# offset of a string, "t" the id of a type, "." anything else. The record's third word is a type id for the kinds in _REFERS.
_TAIL: dict[Kind, tuple[str, str]] = {
    Kind.INT: (".", ""),
    Kind.ARRAY: ("tt.", ""),
    Kind.STRUCT: ("", "st."),
    Kind.UNION: ("", "st."),
    Kind.ENUM: ("", "s."),
    Kind.FUNC_PROTO: ("", "st"),
    Kind.VAR: (".", ""),
    Kind.DATASEC: ("", "t.."),
    Kind.DECL_TAG: (".", ""),
    Kind.ENUM64: ("", "s.."),
}
_REFERS = frozenset(
    {Kind.PTR, Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.FUNC, Kind.FUNC_PROTO, Kind.VAR}
    | {Kind.DECL_TAG, Kind.TYPE_TAG}
)
_TRANSPARENT = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
_SIZED = frozenset({Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT, Kind.DATASEC})
_HAS_VLEN = frozenset({Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FUNC_PROTO, Kind.DATASEC})


class Linkage(IntEnum):
    """BTF_FUNC_* and BTF_VAR_*: the vlen of a FUNC, the tail of a VAR."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


class Type(NamedTuple):
    """A type's fixed part. ``reference`` is the size in bytes or the id of another type, as the kind has it."""

    kind: Kind
    name: str
    vlen: int
    flag: bool
    reference: int


class Member(NamedTuple):
    """A member of a struct or union: ``offset`` in bits, ``bits`` its width where it is a bit-field, else 0."""

    name: str
    type_id: int
    offset: int
    bits: int


class Btf:
    """A set of types. Ids count from 1; 0 is void.

    Raises :class:`ObjectError`, as every method here does, where the bytes contradict themselves.
    """

    def __init__(self, types: bytes | bytearray = b"", strings: bytes = b"\0") -> None:
        if not strings.startswith(b"\0") or not strings.endswith(b"\0"):
            raise ObjectError("BTF: the string table does not begin and end with NUL; rebuild the object")
        self._types = bytearray(types)
        self._strings = bytearray(strings)
        self._offsets = array("I", [0])
        self._index(0)

    @classmethod
    def from_bytes(cls, data: bytes) -> Btf:
        """Reads a ``.BTF`` section, or a file of /sys/kernel/btf."""
        if len(data) < _HEADER.size:
            raise ObjectError(f"BTF: {len(data)} bytes, shorter than its header; rebuild the object")
        magic, version, _, header, type_offset, type_size, string_offset, string_size = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 1:
            raise ObjectError(f"BTF: magic {magic:#x}, version {version}; only little-endian BTF version 1 is known")
        types = _slice(data, header + type_offset, type_size, "type section")
        return cls(types, _slice(data, header + string_offset, string_size, "string section"))

    def to_bytes(self) -> bytes:
        """The bytes that BPF_BTF_LOAD takes."""
        sizes = (0, len(self._types), len(self._types), len(self._strings))
        return _HEADER.pack(_MAGIC, 1, 0, _HEADER.size, *sizes) + self._types + self._strings

    def __len__(self) -> int:
        """How many ids there are, void included."""
        return len(self._offsets)

    def __getitem__(self, type_id: int) -> Type:
        if type_id == 0:
            return Type(Kind.VOID, "", 0, False, 0)
        name, info, reference = self._record(type_id)
        return Type(Kind(info >> 24 & 31), self.string(name), info & 0xFFFF, bool(info >> 31), reference)

    def string(self, offset: int) -> str:
        """The string at ``offset`` of the string table."""
        if offset >= len(self._strings):
            raise ObjectError(f"BTF: string offset {offset} is past the table's {len(self._strings)} bytes; rebuild the object")
        return self._strings[offset : self._strings.index(0, offset)].decode("utf-8", "replace")

    def members(self, type_id: int) -> Iterator[Member]:
        """The members of a struct or union, in order."""
        flag = self[type_id].flag
        for name, member_type, offset in self._entries(type_id):
            where = (offset & 0xFFFFFF, offset >> 24) if flag else (offset, 0)
            yield Member(self.string(name), member_type, *where)

    def parameters(self, type_id: int) -> list[tuple[str, int]]:
        """The parameters of a FUNC_PROTO: their names ("" where unnamed) and types."""
        if self[type_id].kind is not Kind.FUNC_PROTO:
            raise ObjectError(f"BTF: type {type_id} is a {self[type_id].kind.name}, not a prototype; rebuild the object")
        return [(self.string(name), parameter) for name, parameter in self._entries(type_id)]

    def section_variables(self, type_id: int) -> list[tuple[int, int, int]]:
        """The variables of a DATASEC: (id of the VAR, offset, size)."""
        return [(entry[0], entry[1], entry[2]) for entry in self._entries(type_id)]

    def array(self, type_id: int) -> tuple[int, int]:
        """Element type and length of an ARRAY."""
        element, _, length = self._own_words(type_id)
        return element, length

    def find(self, name: str, *kinds: Kind) -> int | None:
        """The first type of that name, of one of ``kinds`` where any are given."""
        wanted = self._strings.find(b"\0" + name.encode() + b"\0")
        if wanted < 0:
            return None
        for type_id in range(1, len(self)):
            found = self[type_id] if self._record(type_id)[0] else None
            if found is not None and found.name == name and (not kinds or found.kind in kinds):
                return type_id
        return None

    def resolve(self, type_id: int) -> int:
        """``type_id`` without its typedefs and qualifiers."""
        for _ in range(_MAX_DEPTH):
            found = self[type_id]
            if found.kind not in _TRANSPARENT:
                return type_id
            type_id = found.reference
        raise ObjectError(f"BTF: type {type_id} refers to itself, or is nested past {_MAX_DEPTH}; rebuild the object")

    def size_of(self, type_id: int) -> int:
        """Bytes that a value of the type takes."""
        count = 1
        for _ in range(_MAX_DEPTH):
            found = self[type_id := self.resolve(type_id)]
            if found.kind is Kind.PTR:
                return count * 8
            if found.kind in _SIZED:
                return count * found.reference
            if found.kind is Kind.VAR:
                type_id = found.reference
            elif found.kind is Kind.ARRAY:
                type_id, length = self.array(type_id)
                count *= length
            else:
                break
        raise ObjectError(f"BTF: type {type_id} ({self[type_id].kind.name} '{self[type_id].name}') has no size")

    # What the reader and the linker change. None of these alters a record's length.

    def place_section(self, type_id: int, size: int, offsets: dict[str, int]) -> None:
        """Fills in what clang leaves to a linker: a DATASEC's size and its variables' offsets, sorted for the kernel."""
        variables = self.section_variables(type_id)
        entries = [(offsets.get(self[var].name, offset), var, length) for var, offset, length in variables]
        at = self._offsets[type_id]
        struct.pack_into("<I", self._types, at + 8, size)
        for number, (offset, var, length) in enumerate(sorted(entries)):
            _RECORD.pack_into(self._types, at + _RECORD.size * (1 + number), var, offset, length)

    def set_linkage(self, type_id: int, linkage: Linkage) -> None:
        """Changes the linkage of a FUNC."""
        self._set_info(type_id, Kind.FUNC, linkage)

    def retire_extern(self, type_id: int) -> None:
        """Turns an extern FUNC into a typedef of its prototype: the kernel refuses extern functions, and ids must not move."""
        self._set_info(type_id, Kind.TYPEDEF, 0)

    def append(self, other: Btf) -> int:
        """Adds ``other``'s types behind these, and returns what to add to an id of ``other`` (0 stays 0)."""
        shift, strings, start = len(self) - 1, len(self._strings), len(self._types)
        self._types += other._types
        self._strings += other._strings
        self._index(start)
        for type_id in range(shift + 1, len(self)):
            self._shift(type_id, shift, strings)
        return shift

    @property
    def string_bytes(self) -> int:
        """The size of the string table: what :meth:`append` adds to a string offset of the other."""
        return len(self._strings)

    def _shift(self, type_id: int, types: int, strings: int) -> None:
        at, pattern = self._offsets[type_id], self._pattern(type_id)
        words = list(struct.unpack_from(f"<{len(pattern)}I", self._types, at))
        for place, what in enumerate(pattern):
            if words[place] and what != ".":
                words[place] += types if what == "t" else strings
        struct.pack_into(f"<{len(pattern)}I", self._types, at, *words)

    def _pattern(self, type_id: int) -> str:
        kind, vlen = self._kind_and_vlen(type_id)
        own, each = _TAIL.get(kind, ("", ""))
        return "s." + ("t" if kind in _REFERS else ".") + own + each * vlen

    def _set_info(self, type_id: int, kind: Kind, vlen: int) -> None:
        struct.pack_into("<I", self._types, self._offsets[type_id] + 4, kind << 24 | vlen)

    def _index(self, at: int) -> None:
        while at < len(self._types):
            self._offsets.append(at)
            try:
                kind, vlen = self._kind_and_vlen(len(self) - 1)
            except (ValueError, struct.error):
                raise ObjectError(f"BTF: type {len(self) - 1} is cut short or of an unknown kind; rebuild the object") from None
            own, each = _TAIL.get(kind, ("", ""))
            at += _RECORD.size + 4 * (len(own) + len(each) * vlen)
        if at != len(self._types):
            raise ObjectError(f"BTF: type {len(self) - 1} runs past the end of the type section; rebuild the object")

    def _kind_and_vlen(self, type_id: int) -> tuple[Kind, int]:
        info = _RECORD.unpack_from(self._types, self._offsets[type_id])[1]
        kind = Kind(info >> 24 & 31)
        return kind, info & 0xFFFF if kind in _HAS_VLEN else 0

    def _record(self, type_id: int) -> tuple[int, int, int]:
        if not 0 < type_id < len(self):
            raise ObjectError(f"BTF: type id {type_id} of {len(self) - 1}; rebuild the object")
        name, info, reference = _RECORD.unpack_from(self._types, self._offsets[type_id])
        return name, info, reference

    def _own_words(self, type_id: int) -> tuple[int, ...]:
        own, _ = _TAIL.get(self[type_id].kind, ("", ""))
        return struct.unpack_from(f"<{len(own)}I", self._types, self._offsets[type_id] + _RECORD.size)

    def _entries(self, type_id: int) -> Iterator[tuple[int, ...]]:
        kind, vlen = self._kind_and_vlen(type_id)
        own, each = _TAIL.get(kind, ("", ""))
        at = self._offsets[type_id] + _RECORD.size + 4 * len(own)
        for number in range(vlen if each else 0):
            yield struct.unpack_from(f"<{len(each)}I", self._types, at + 4 * len(each) * number)


def _slice(data: bytes, offset: int, size: int, what: str) -> bytes:
    if offset + size > len(data):
        raise ObjectError(f"BTF: the {what} ends at byte {offset + size} of {len(data)}; the object is cut short")
    return data[offset : offset + size]
