"""The kinds of BTF types, and the layout of a record of each kind (Documentation/bpf/btf.rst, section 2; Linux 6.18)."""

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
    """BTF_FUNC_* and BTF_VAR_*: the vlen of a FUNC, the last word of a VAR."""

    STATIC = 0
    GLOBAL = 1
    EXTERN = 2


KINDS = tuple(Kind)
TRANSPARENT = frozenset({Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG})
SIZED = frozenset({Kind.INT, Kind.STRUCT, Kind.UNION, Kind.ENUM, Kind.ENUM64, Kind.FLOAT, Kind.DATASEC})
COMPOSITE = frozenset({Kind.STRUCT, Kind.UNION})
ENUMS = frozenset({Kind.ENUM, Kind.ENUM64})

# The words after the three fixed words of a record: (words of its own, words for each of its vlen entries). In the patterns,
# "s" is the offset of a string, "t" the id of a type, "." any other word. The third fixed word is a type id for the kinds in
# _REFERS.
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
    """Returns the kind in the second word of a record, or None if the kind is void or unknown."""
    number = info >> 24 & 31
    return KINDS[number] if 0 < number < len(KINDS) else None


def own_words(kind: Kind) -> int:
    """Returns the number of words between the three fixed words of a record and its entries."""
    return len(_TAIL.get(kind, ("", ""))[0])


def entry_words(kind: Kind) -> int:
    """Returns the number of words of each of the vlen entries of a record, or 0 for a kind without entries."""
    return len(_TAIL.get(kind, ("", ""))[1])


def pattern(kind: Kind, vlen: int) -> str:
    """Returns one character for each word of a whole record: "s" for a string, "t" for a type, "." for any other word."""
    own, each = _TAIL.get(kind, ("", ""))
    return "s." + ("t" if kind in _REFERS else ".") + own + each * vlen
