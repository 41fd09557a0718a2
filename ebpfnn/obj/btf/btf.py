"""BTF, the type format of BPF objects and of the kernel (Documentation/bpf/btf.rst, Linux 6.18).

The bytes are indexed once, and a type is decoded only when it is used. So the BTF of a kernel (six megabytes) costs no more to
decode than that of an object (a few kilobytes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import ObjectError
from .btf_kinds import COMPOSITE, ENUMS, KINDS, SIZED, TRANSPARENT, Kind, Linkage
from .btf_records import Records

__all__ = ["Btf", "Kind", "Linkage", "Member", "Type"]

BTF_HEADER = struct.Struct("<HBBIIIII")
"""Magic, version, flags, the header's length, then offset and length of each section."""
BTF_MAGIC = 0xEB9F
# These limits bound the time that a malformed table can take. The kernel itself accepts names of up to 511 bytes.
_LONGEST_NAME, _LONGEST_TEXT = 1 << 12, 1 << 16
_MOST_COPIES = 1 << 12  # of one string; linking adds one copy for each object
_MAX_DEPTH = 32  # of nested typedefs, qualifiers and arrays; the kernel's MAX_RESOLVE_DEPTH


class Type(NamedTuple):
    """The fixed part of a type. ``reference`` is the size in bytes or the id of another type, depending on the kind."""

    kind: Kind
    name: str
    vlen: int
    flag: bool
    reference: int


_VOID = Type(Kind.VOID, "", 0, False, 0)


class Member(NamedTuple):
    """A member of a struct or union. ``offset`` is in bits. ``bits`` is the width of a bit-field, and 0 for other members."""

    name: str
    type_id: int
    offset: int
    bits: int


class Btf:
    """A set of types. Ids start at 1; 0 is void. With a ``base``, ids and string offsets continue after those of the base.

    The constructor and every method raise :class:`ObjectError` if the bytes are inconsistent.
    """

    def __init__(self, types: bytes | bytearray = b"", strings: bytes = b"\0", base: Btf | None = None) -> None:
        if not strings.endswith(b"\0") or (base is None and not strings.startswith(b"\0")):
            raise ObjectError("BTF: the string table does not begin and end with NUL; rebuild the object")
        self.base = base
        self._first = len(base) if base else 1
        self._first_string = base.string_bytes if base else 0
        self._records = Records(types)
        self._strings = bytearray(strings)
        self._offsets: dict[str, tuple[int, ...]] = {}

    @classmethod
    def from_bytes(cls, data: bytes, base: Btf | None = None) -> Btf:
        """Reads a ``.BTF`` section, or a file of /sys/kernel/btf. For a module, ``base`` is the BTF of ``vmlinux``."""
        if len(data) < BTF_HEADER.size:
            raise ObjectError(f"BTF: {len(data)} bytes, shorter than its header; rebuild the object")
        magic, version, _, header, type_offset, type_size, string_offset, string_size = BTF_HEADER.unpack_from(data)
        if magic != BTF_MAGIC or version != 1:
            raise ObjectError(f"BTF: magic {magic:#x}, version {version}; only little-endian BTF version 1 is supported")
        types = _slice(data, header + type_offset, type_size, "type section")
        return cls(types, _slice(data, header + string_offset, string_size, "string section"), base)

    def to_bytes(self) -> bytes:
        """The bytes that BPF_BTF_LOAD takes."""
        types = self._records.to_bytes()
        return (
            BTF_HEADER.pack(BTF_MAGIC, 1, 0, BTF_HEADER.size, 0, len(types), len(types), len(self._strings))
            + types
            + self._strings
        )

    def __len__(self) -> int:
        """The number of ids, including void and the ids of the base."""
        return self._first + len(self._records)

    def __getitem__(self, type_id: int) -> Type:
        if self.base and type_id < self._first:
            return self.base[type_id]
        if type_id == 0:
            return _VOID
        name, info, reference = self._records.fixed(self._number(type_id))
        return Type(KINDS[info >> 24 & 31], self._name(name), info & 0xFFFF, bool(info >> 31), reference)

    def string(self, offset: int, longest: int = _LONGEST_TEXT) -> str:
        """Returns the string at ``offset`` of the string table. It may have at most ``longest`` bytes."""
        if self.base and offset < self._first_string:
            return self.base.string(offset, longest)
        offset -= self._first_string
        if offset >= len(self._strings):
            raise ObjectError(f"BTF: string offset {offset} is past the table's {len(self._strings)} bytes; rebuild the object")
        end = self._strings.find(0, offset, offset + longest + 1)
        if end < 0:
            raise ObjectError(f"BTF: the string at offset {offset} is longer than {longest} bytes; rebuild the object")
        return self._strings[offset:end].decode("utf-8", "replace")

    def members(self, type_id: int) -> Iterator[Member]:
        """The members of a struct or union, in order."""
        flag = self[type_id].flag
        for entry in self._entries(type_id, *COMPOSITE):
            yield self._member(entry, flag)

    def member(self, type_id: int, place: int) -> Member:
        """Returns member number ``place`` of a struct or union, counted from 0."""
        table, vlen = self._table(type_id, (Kind.STRUCT, Kind.UNION)), self[type_id].vlen
        if not 0 <= place < vlen:
            raise ObjectError(f"BTF: member {place} of type {type_id}, which has {vlen}; rebuild the object")
        return self._member(table._records.entry(table._number(type_id), place), self[type_id].flag)

    def parameters(self, type_id: int) -> list[tuple[str, int]]:
        """The parameters of a FUNC_PROTO: (name, type id). The name of an unnamed parameter is ""."""
        return [(self._name(name), parameter) for name, parameter in self._entries(type_id, Kind.FUNC_PROTO)]

    def section_variables(self, type_id: int) -> list[tuple[int, int, int]]:
        """The variables of a DATASEC: (id of the VAR, offset, size)."""
        return [(entry[0], entry[1], entry[2]) for entry in self._entries(type_id, Kind.DATASEC)]

    def enumerators(self, type_id: int) -> list[tuple[str, int]]:
        """The names and values of an ENUM or ENUM64. Values can be negative if the enum is signed."""
        bits = 64 if self[type_id].kind is Kind.ENUM64 else 32
        signed = self[type_id].flag
        values = [(e[0], e[1] | (e[2] << 32 if bits == 64 else 0)) for e in self._entries(type_id, *ENUMS)]
        return [(self._name(name), value - (1 << bits) if signed and value >> bits - 1 else value) for name, value in values]

    def integer(self, type_id: int) -> tuple[int, int, bool]:
        """Returns the width of an INT in bits, its first bit, and whether it is signed."""
        (word,) = self._own(type_id, Kind.INT)
        return word & 0xFF, word >> 16 & 0xFF, bool(word >> 24 & 1)

    def array(self, type_id: int) -> tuple[int, int]:
        """Element type and length of an ARRAY."""
        element, _, length = self._own(type_id, Kind.ARRAY)
        return element, length

    def tags(self, type_id: int) -> Iterator[tuple[int, str]]:
        """The declaration tags of a type: (index of the tagged member or parameter, text). Index -1 is the whole type."""
        for tag_id in range(self._first, len(self)):
            found = self[tag_id]
            if found.kind is Kind.DECL_TAG and found.reference == type_id:
                (place,) = self._own(tag_id, Kind.DECL_TAG)
                yield (place if place < 1 << 31 else -1), found.name

    def find(self, name: str, *kinds: Kind) -> int | None:
        """Returns the first type with this name, or None. If ``kinds`` are given, the type must be of one of them."""
        return next(self.find_all(name, *kinds), None)

    def find_all(self, name: str, *kinds: Kind) -> Iterator[int]:
        """Yields every type with this name, in the order of ids. If ``kinds`` are given, the types must be of one of them."""
        if self.base:
            yield from self.base.find_all(name, *kinds)
        yield from self.find_own(name, *kinds)

    def find_own(self, name: str, *kinds: Kind) -> Iterator[int]:
        """Like :meth:`find_all`, without the types of the base."""
        # The name of a module's type may be a string of the base.
        offsets = [*(self.base.string_offsets(name) if self.base else ()), *self.string_offsets(name)]
        for number in self._records.named(offsets):
            if not kinds or KINDS[self._records.info(number) >> 24 & 31] in kinds:
                yield self._first + number

    def string_offsets(self, text: str) -> tuple[int, ...]:
        """Returns where the whole string ``text`` is in this table (not the base's). Compilers and pahole write it once."""
        # The result is cached because each module repeats the lookup in its base.
        if text not in self._offsets:
            self._offsets[text] = tuple(self._string_offsets(text))
        return self._offsets[text]

    def _string_offsets(self, text: str) -> Iterator[int]:
        wanted = b"\0" + text.encode() + b"\0"
        if text and self._strings.startswith(wanted[1:]):
            yield self._first_string
        at, written = self._strings.find(wanted) if text else -1, 0
        while at >= 0:
            yield self._first_string + at + 1
            at, written = self._strings.find(wanted, at + 1), written + 1
            if written > _MOST_COPIES:
                raise ObjectError(f"BTF: '{text}' is in the string table over {_MOST_COPIES} times; rebuild the object")

    def names_with_prefix(self, prefix: str) -> Iterator[str]:
        """Yields the strings of this table (not that of the base) that begin with ``prefix``, which must not be empty."""
        wanted = b"\0" + prefix.encode()
        if self._strings.startswith(wanted[1:]):
            yield self._strings[: self._strings.index(0)].decode("utf-8", "replace")
        at = self._strings.find(wanted)
        while at >= 0:
            end = self._strings.index(0, at + 1)
            yield self._strings[at + 1 : end].decode("utf-8", "replace")
            at = self._strings.find(wanted, end)

    def resolve(self, type_id: int) -> int:
        """Follows typedefs and qualifiers from ``type_id``, and returns the id of the first other type."""
        for _ in range(_MAX_DEPTH):
            found = self[type_id]
            if found.kind not in TRANSPARENT:
                return type_id
            type_id = found.reference
        raise ObjectError(f"BTF: type {type_id} refers to itself, or is nested past {_MAX_DEPTH}; rebuild the object")

    def size_of(self, type_id: int) -> int:
        """Returns the size of a value of the type, in bytes."""
        count = 1
        for _ in range(_MAX_DEPTH):
            found = self[type_id := self.resolve(type_id)]
            if found.kind is Kind.PTR:
                return count * 8
            if found.kind in SIZED:
                return count * found.reference
            if found.kind is Kind.VAR:
                type_id = found.reference
            elif found.kind is Kind.ARRAY:
                type_id, length = self.array(type_id)
                count *= length
            else:
                break
        raise ObjectError(f"BTF: type {type_id} ({self[type_id].kind.name} '{self[type_id].name}') has no size")

    # The reader and the linker change types with these methods. None of them changes the length of a record.

    def place_section(self, type_id: int, size: int, offsets: dict[str, int]) -> None:
        """Sets a DATASEC's size and its variables' offsets, which clang leaves to a linker. Sorts by offset for the kernel."""
        variables = self.section_variables(type_id)
        entries = [(offsets.get(self[var].name, offset), var, length) for var, offset, length in variables]
        placed = [(var, offset, length) for offset, var, length in sorted(entries)]
        self._records.set_section(self._number(type_id), size, placed)

    def set_linkage(self, type_id: int, linkage: Linkage) -> None:
        """Changes the linkage of a FUNC."""
        self._records.set_info(self._number(type_id), Kind.FUNC, linkage)

    def retire_extern(self, type_id: int) -> None:
        """Turns an extern FUNC, which the kernel refuses, into a typedef of its prototype, so that ids do not change."""
        self._records.set_info(self._number(type_id), Kind.TYPEDEF, 0)

    def append(self, other: Btf) -> int:
        """Appends the types of ``other``. Returns the number to add to an id of ``other``; 0 stays 0."""
        shift = len(self) - 1
        self._records.extend(other._records, shift, len(self._strings))
        self._strings += other._strings
        self._offsets.clear()
        return shift

    @property
    def first_id(self) -> int:
        """The id of the first type that does not belong to the base."""
        return self._first

    @property
    def string_bytes(self) -> int:
        """The end of the string table. :meth:`append` adds this number to the string offsets of the other set."""
        return self._first_string + len(self._strings)

    def _number(self, type_id: int) -> int:
        if not self._first <= type_id < len(self):
            raise ObjectError(f"BTF: type id {type_id} of {len(self) - 1}; rebuild the object")
        return type_id - self._first

    def _name(self, offset: int) -> str:
        return self.string(offset, _LONGEST_NAME)

    def _member(self, entry: tuple[int, ...], flag: bool) -> Member:
        name, type_id, offset = entry
        where = (offset & 0xFFFFFF, offset >> 24) if flag else (offset, 0)
        return Member(self._name(name), type_id, *where)

    def _table(self, type_id: int, kinds: tuple[Kind, ...]) -> Btf:
        """Returns the set that contains the type: this one or a base. The type must be of one of ``kinds``."""
        found = self[type_id]
        if found.kind not in kinds:
            wanted = " or ".join(kind.name for kind in kinds)
            raise ObjectError(f"BTF: type {type_id} is a {found.kind.name}, not a {wanted}; rebuild the object")
        return self.base._table(type_id, kinds) if self.base and type_id < self._first else self

    def _own(self, type_id: int, *kinds: Kind) -> tuple[int, ...]:
        table = self._table(type_id, kinds)
        return tuple(table._records.own(table._number(type_id)))

    def _entries(self, type_id: int, *kinds: Kind) -> Iterator[tuple[int, ...]]:
        table = self._table(type_id, kinds)
        return table._records.entries(table._number(type_id))


def _slice(data: bytes, offset: int, size: int, what: str) -> bytes:
    if offset + size > len(data):
        raise ObjectError(f"BTF: the {what} ends at byte {offset + size} of {len(data)}; the object is cut short")
    return data[offset : offset + size]
