"""Changes types so that an older kernel accepts them.

A type that the kernel refuses is replaced by a type of the same size that describes less. Ids never change, because code, maps
and func_info refer to them. The replacements are those of libbpf 1.5 (``bpf_object__sanitize_btf``). They are simpler where the
kernel looks only at the size.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import NamedTuple

from ..externs import extern_types
from .btf import BTF_HEADER, Btf
from .btf_kinds import Kind, Linkage, entry_words, kind_of, own_words

_FIXED = 3
_INT_BITS = 32
_VLEN = 0xFFFF


class BtfFeature(Enum):
    """What was added to BTF after its first version (Linux 4.18)."""

    FUNC = auto()  # FUNC and FUNC_PROTO (Linux 5.0)
    DATASEC = auto()  # VAR and DATASEC (5.2)
    FUNC_GLOBAL = auto()  # the linkage of a FUNC (5.6)
    FLOAT = auto()  # 5.13
    DECL_TAG = auto()  # 5.16
    TYPE_TAG = auto()  # 5.17
    ENUM64 = auto()  # ENUM64, and the sign of an ENUM (6.0)
    QMARK_DATASEC = auto()  # sections whose name begins with "?" (6.9)


class _Record(NamedTuple):
    """A type as words: name, info (kind, vlen and flag), size or type, and the rest."""

    name: int
    kind: Kind
    vlen: int
    flag: bool
    reference: int
    rest: tuple[int, ...] = ()

    def encode(self) -> bytes:
        info = self.flag << 31 | self.kind << 24 | self.vlen
        return struct.pack(f"<{_FIXED + len(self.rest)}I", self.name, info, self.reference, *self.rest)


_EMPTY = _Record(0, Kind.STRUCT, 0, False, 0)


def sanitize(btf: Btf, missing: frozenset[BtfFeature] = frozenset()) -> Btf:
    """Returns a copy without externs, which no kernel accepts, and without the features in ``missing``.

    If nothing has to be changed, returns ``btf`` itself.
    """
    sections, externs = extern_types(btf)
    if not sections and not externs and not missing:
        return btf
    data = btf.to_bytes()
    types, strings = _parts(data)
    names = _Names(bytearray(strings))
    changed = bytearray()
    for type_id, record in enumerate(_records(types), 1):
        if type_id in sections:
            record = _EMPTY
        elif type_id in externs:
            record = _Record(record.name, Kind.TYPEDEF, 0, False, record.reference)
        for feature in BtfFeature:
            if feature in missing:
                record = _REPLACEMENTS[feature](record, names)
        changed += record.encode()
    return Btf(changed, bytes(names.strings))


def probe_types(feature: BtfFeature) -> bytes:
    """Returns the smallest BTF that only a kernel with ``feature`` accepts, as bytes for BPF_BTF_LOAD."""
    number = _Record(1, Kind.INT, 0, False, 4, (1 << 24 | _INT_BITS,))
    prototype = _Record(0, Kind.FUNC_PROTO, 0, False, 0)
    added = {
        BtfFeature.FUNC: [prototype, _Record(1, Kind.FUNC, Linkage.STATIC, False, 2)],
        BtfFeature.DATASEC: [_Record(1, Kind.VAR, 0, False, 1, (0,)), _Record(1, Kind.DATASEC, 1, False, 4, (2, 0, 4))],
        BtfFeature.FUNC_GLOBAL: [prototype, _Record(1, Kind.FUNC, Linkage.GLOBAL, False, 2)],
        BtfFeature.FLOAT: [_Record(1, Kind.FLOAT, 0, False, 4)],
        BtfFeature.DECL_TAG: [_Record(1, Kind.VAR, 0, False, 1, (0,)), _Record(1, Kind.DECL_TAG, 0, False, 2, (0xFFFFFFFF,))],
        BtfFeature.TYPE_TAG: [_Record(1, Kind.TYPE_TAG, 0, False, 1), _Record(0, Kind.PTR, 0, False, 2)],
        BtfFeature.ENUM64: [_Record(1, Kind.ENUM64, 1, False, 8, (1, 0, 0))],
        BtfFeature.QMARK_DATASEC: [
            _Record(1, Kind.VAR, 0, False, 1, (0,)),
            _Record(3, Kind.DATASEC, 1, False, 4, (2, 0, 4)),
        ],
    }[feature]
    return Btf(b"".join(record.encode() for record in (number, *added)), b"\0x\0?x\0").to_bytes()


class _Names:
    """The string table, to which names may be added."""

    def __init__(self, strings: bytearray) -> None:
        self.strings = strings

    def identifier(self, offset: int) -> int:
        """Returns the offset of the name with "_" for each character that is not allowed in a C identifier."""
        name = self._name(offset)
        return self._add(offset, bytes(c if chr(c).isalnum() or c == ord("_") else ord("_") for c in name))

    def unquestioned(self, offset: int) -> int:
        """Returns the offset of the name with "_" for a leading "?"."""
        name = self._name(offset)
        return self._add(offset, b"_" + name[1:] if name.startswith(b"?") else name)

    def _name(self, offset: int) -> bytes:
        return bytes(self.strings[offset : self.strings.index(0, offset)])

    def _add(self, offset: int, changed: bytes) -> int:
        if changed == self._name(offset):
            return offset
        self.strings += changed + b"\0"
        return len(self.strings) - len(changed) - 1


def _no_func(record: _Record, _: _Names) -> _Record:
    if record.kind is Kind.FUNC:
        return record._replace(kind=Kind.TYPEDEF, vlen=0)
    return _EMPTY if record.kind is Kind.FUNC_PROTO else record


def _no_datasec(record: _Record, names: _Names) -> _Record:
    """A variable becomes an integer of one byte. A section becomes a struct without members."""
    if record.kind is Kind.VAR:
        return record._replace(kind=Kind.INT, vlen=0, reference=1, rest=(8,))
    if record.kind is Kind.DATASEC:
        return record._replace(name=names.identifier(record.name), kind=Kind.STRUCT, vlen=0, rest=())
    return record


def _no_func_global(record: _Record, _: _Names) -> _Record:
    return record._replace(vlen=Linkage.STATIC) if record.kind is Kind.FUNC else record


def _no_float(record: _Record, _: _Names) -> _Record:
    return record._replace(name=0, kind=Kind.STRUCT) if record.kind is Kind.FLOAT else record


def _no_decl_tag(record: _Record, names: _Names) -> _Record:
    if record.kind is not Kind.DECL_TAG:
        return record
    return _Record(names.identifier(record.name), Kind.INT, 0, False, 1, (8,))


def _no_type_tag(record: _Record, _: _Names) -> _Record:
    return record._replace(name=0, kind=Kind.CONST) if record.kind is Kind.TYPE_TAG else record


def _no_enum64(record: _Record, _: _Names) -> _Record:
    if record.kind is Kind.ENUM64:
        return record._replace(kind=Kind.INT, vlen=0, flag=False, rest=(record.flag << 24 | 8 * min(record.reference, 8),))
    return record._replace(flag=False) if record.kind is Kind.ENUM else record


def _no_qmark(record: _Record, names: _Names) -> _Record:
    return record._replace(name=names.unquestioned(record.name)) if record.kind is Kind.DATASEC else record


_REPLACEMENTS: dict[BtfFeature, Callable[[_Record, _Names], _Record]] = {
    BtfFeature.FUNC: _no_func,
    BtfFeature.DATASEC: _no_datasec,
    BtfFeature.FUNC_GLOBAL: _no_func_global,
    BtfFeature.FLOAT: _no_float,
    BtfFeature.DECL_TAG: _no_decl_tag,
    BtfFeature.TYPE_TAG: _no_type_tag,
    BtfFeature.ENUM64: _no_enum64,
    BtfFeature.QMARK_DATASEC: _no_qmark,
}


def _parts(data: bytes) -> tuple[memoryview, bytes]:
    _, _, _, header, type_offset, type_size, string_offset, string_size = BTF_HEADER.unpack_from(data)
    types = memoryview(data)[header + type_offset : header + type_offset + type_size]
    return types, data[header + string_offset : header + string_offset + string_size]


def _records(types: memoryview) -> Iterator[_Record]:
    """Yields every record of a type section. :class:`Btf` has read the section before, so no record exceeds it."""
    at = 0
    while at < len(types):
        name, info, reference = struct.unpack_from("<III", types, at)
        kind = kind_of(info) or Kind.VOID
        count = own_words(kind) + entry_words(kind) * (info & _VLEN)
        rest = struct.unpack_from(f"<{count}I", types, at + 4 * _FIXED)
        yield _Record(name, kind, info & _VLEN, bool(info >> 31), reference, rest)
        at += 4 * (_FIXED + count)
