"""The kinds of BTF types, and how a record of each is laid out (Documentation/bpf/btf.rst, section 2; Linux 6.18)."""

from __future__ import annotations

from enum import IntEnum


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


class Linkage(IntEnum):
    """BTF_FUNC_* and BTF_VAR_*: the vlen of a FUNC, the tail of a VAR."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


KINDS = tuple(Kind)
TRANSPARENT = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
SIZED = frozenset({Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT, Kind.DATASEC})
COMPOSITE = frozenset({Kind.STRUCT, Kind.UNION})
ENUMS = frozenset({Kind.ENUM, Kind.ENUM64})

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


def kind_of(info: int) -> Kind | None:
    """The kind that a record's second word tells, None where it is none that follows void."""
    number = info >> 24 & 31
    return KINDS[number] if 0 < number < len(KINDS) else None


def own_words(kind: Kind) -> int:
    """How many words a record of the kind has between its first three and its entries."""
    return len(_TAIL.get(kind, ("", ""))[0])


def entry_words(kind: Kind) -> int:
    """How many words each of a record's vlen entries has, 0 for a kind without any."""
    return len(_TAIL.get(kind, ("", ""))[1])


def pattern(kind: Kind, vlen: int) -> str:
    """What each word of a whole record is: a string, a type, or anything else."""
    own, each = _TAIL.get(kind, ("", ""))
    return "s." + ("t" if kind in _REFERS else ".") + own + each * vlen
