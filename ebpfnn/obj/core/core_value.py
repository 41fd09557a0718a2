"""Computes the value that a CO-RE relocation writes into its instruction.

It does what ``bpf_core_calc_relo`` does (tools/lib/bpf/relo_core.c, Linux 6.18).
"""

from __future__ import annotations

from typing import NamedTuple

from ...errors import ObjectError
from ..btf import Btf, Kind
from ..btf.btf_kinds import ENUMS
from .core_access import Access
from .core_relocation import CoreKind


class Value(NamedTuple):
    """The value of a relocation.

    ``size`` (in bytes) and ``type_id`` describe what is loaded or stored, if this can differ in the target. ``certain`` means
    that the compiler must have computed the same value for the object's own types.
    """

    value: int
    size: int = 0
    type_id: int = 0
    certain: bool = True


def value_of(kind: CoreKind, access: Access | None) -> Value | None:
    """Returns the value for the path ``access``, or for a path that does not exist (None).

    Returns None if there is no value. Then the instruction must not be reached. Raises :class:`ObjectError` for a kind of
    relocation that does not apply to the field.
    """
    if kind in (CoreKind.FIELD_EXISTS, CoreKind.ENUMVAL_EXISTS, CoreKind.TYPE_EXISTS, CoreKind.TYPE_MATCHES):
        return Value(int(access is not None))
    if access is None:
        return None if kind.of_field or kind.of_enumerator else Value(0)
    if kind is CoreKind.ENUMVAL_VALUE:
        step = access.steps[0]
        return Value(access.btf.enumerators(step.type_id)[step.place][1])
    if kind is CoreKind.TYPE_SIZE:
        return Value(access.btf.size_of(access.root))
    if kind.of_field:
        return _field_value(kind, access)
    return Value(access.root, certain=False)  # a linker may have changed the id of the type


def _field_value(kind: CoreKind, access: Access) -> Value:
    btf, step = access.btf, access.steps[-1]
    if not step.name:
        return _element_value(kind, access)
    member = btf.member(step.type_id, step.place)
    field = btf.resolve(member.type_id)
    if member.bits:
        start, size = _container(access, btf.size_of(field), member.bits)
        bits = member.bits
    else:
        start, size = access.bit_offset // 8, btf.size_of(field)
        bits = size * 8
    certain = not member.bits  # a compiler may read a bit-field in another way
    if kind is CoreKind.FIELD_BYTE_OFFSET:
        return Value(start, *((0, 0) if member.bits else _access_size(btf, field)), certain)
    if kind is CoreKind.FIELD_BYTE_SIZE:
        return Value(size, certain=certain)
    if kind is CoreKind.FIELD_SIGNED:
        return Value(int(_is_signed(btf, field)))
    if kind is CoreKind.FIELD_LSHIFT_U64:
        return Value(64 - (access.bit_offset + bits - start * 8), certain=certain)
    return Value(64 - bits)


def _element_value(kind: CoreKind, access: Access) -> Value:
    element = access.steps[-1].type_id
    if kind is CoreKind.FIELD_BYTE_OFFSET:
        return Value(access.bit_offset // 8, *_access_size(access.btf, element))
    if kind is CoreKind.FIELD_BYTE_SIZE:
        return Value(access.btf.size_of(element))
    raise ObjectError(f"CO-RE relocation {access} {kind.label}: an array element is asked for its bits; ask for its offset")


def _container(access: Access, size: int, bits: int) -> tuple[int, int]:
    """Returns offset and size, in bytes, of the integer to load for a bit-field.

    It is the smallest aligned integer that is at least as large as the field's type and contains the whole bit-field.
    """
    offset = access.bit_offset
    while size and offset + bits > (offset // 8 // size + 1) * size * 8:
        size *= 2
    if size not in (1, 2, 4, 8):
        raise ObjectError(f"CO-RE relocation {access}: no load of up to 8 bytes holds the bit-field; read it in parts")
    return offset // 8 // size * size, size


def _access_size(btf: Btf, type_id: int) -> tuple[int, int]:
    """Returns size (in bytes) and type of one load of the field. For an array, these are size and type of its element."""
    while btf[type_id].kind is Kind.ARRAY:
        btf.size_of(type_id)  # raises for an array of itself
        type_id = btf.resolve(btf.array(type_id)[0])
    return btf.size_of(type_id), type_id


def _is_signed(btf: Btf, type_id: int) -> bool:
    found = btf[type_id]
    return found.flag if found.kind in ENUMS else found.kind is Kind.INT and btf.integer(type_id)[2]


def may_resize(local: Btf, ours: Value, target: Btf, theirs: Value) -> bool:
    """Whether a load of ``ours`` may become a load of ``theirs``.

    Only pointers and unsigned integers can be resized, because a load extends them with zeros.
    """
    kinds = local[ours.type_id].kind, target[theirs.type_id].kind
    if kinds == (Kind.INT, Kind.INT):
        return not local.integer(ours.type_id)[2] and not target.integer(theirs.type_id)[2]
    return kinds == (Kind.PTR, Kind.PTR)
