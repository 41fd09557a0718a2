"""Checks whether an object's type and a kernel's type are the same for CO-RE (tools/lib/bpf/relo_core.c, Linux 6.18)."""

from __future__ import annotations

from typing import NamedTuple

from ...errors import ObjectError
from ..btf import Btf, Kind, Type
from ..btf.btf_kinds import COMPOSITE, ENUMS

_MAX_DEPTH = 32  # as in relo_core.c
_MOST_ANONYMOUS = 500  # bounds the recursion; the kernel's largest struct has about twenty anonymous members


def essential_name(name: str) -> str:
    """Returns ``name`` without its flavor, which begins at the last ``___`` between two characters other than ``_``."""
    for at in range(len(name) - 5, -1, -1):
        if name[at] != "_" and name[at + 1 : at + 4] == "___" and name[at + 4] != "_":
            return name[: at + 1]
    return name


def same_kind(one: Kind, other: Kind) -> bool:
    """Whether the kinds are the same. Enums of 32 and of 64 bits count as one kind."""
    return one is other or (one in ENUMS and other in ENUMS)


class Field(NamedTuple):
    """A member of a struct, or of an anonymous struct in it.

    It is member number ``place`` of ``owner``. ``offset`` is in bits from the start of the outermost struct.
    """

    owner: int
    place: int
    type_id: int
    offset: int


class Comparison:
    """Compares the types of ``local`` with those of ``target``. Results are cached, which bounds the time."""

    def __init__(self, local: Btf, target: Btf) -> None:
        self.local, self.target = local, target
        self._matched: dict[tuple[int, int, bool], bool] = {}
        self._fields: dict[int, dict[str, Field]] = {}

    def fields(self, struct: int) -> dict[str, Field]:
        """Returns the members of the target's ``struct`` by name. An anonymous member is replaced by its own members.

        The result is empty if the type is not a struct or union.
        """
        if struct not in self._fields:
            self._fields[struct] = {}
            self._add_fields(self._fields[struct], struct, 0, set())
        return self._fields[struct]

    def _add_fields(self, found: dict[str, Field], struct: int, offset: int, seen: set[int]) -> None:
        """Adds the members. The first member of a name is kept, so an anonymous struct that occurs again adds nothing."""
        struct = self.target.resolve(struct)
        if struct in seen or self.target[struct].kind not in COMPOSITE:
            return
        if len(seen) == _MOST_ANONYMOUS:
            raise ObjectError(
                f"BTF: type '{self.target[struct].name}' has over {_MOST_ANONYMOUS} anonymous members; it is broken"
            )
        seen.add(struct)
        for place, member in enumerate(self.target.members(struct)):
            if member.name:
                found.setdefault(member.name, Field(struct, place, member.type_id, offset + member.offset))
            else:
                self._add_fields(found, member.type_id, offset + member.offset, seen)

    def fields_compatible(self, local_id: int, target_id: int) -> bool:
        """Whether a field of the target's type may be read as one of the local type (``bpf_core_fields_are_compat``)."""
        for _ in range(_MAX_DEPTH):
            local_id, target_id, ours, theirs = self._resolve(local_id, target_id)
            if ours.kind in COMPOSITE and theirs.kind in COMPOSITE:
                return True
            if not same_kind(ours.kind, theirs.kind):
                return False
            if ours.kind is not Kind.ARRAY:
                return self._plain_fields_compatible(local_id, target_id, ours, theirs)
            local_id, target_id = self.local.array(local_id)[0], self.target.array(target_id)[0]
        raise _too_deep(ours)

    def _plain_fields_compatible(self, local_id: int, target_id: int, ours: Type, theirs: Type) -> bool:
        if ours.kind is Kind.INT:
            return self._whole(local_id, target_id)
        if ours.kind in (Kind.FWD, *ENUMS):
            names = essential_name(ours.name), essential_name(theirs.name)
            return not all(names) or names[0] == names[1]
        return ours.kind in (Kind.PTR, Kind.FLOAT)

    def compatible(self, local_id: int, target_id: int, level: int = _MAX_DEPTH) -> bool:
        """Whether the kinds agree, also behind pointers, arrays and prototypes (``__bpf_core_types_are_compat``).

        Names, members and enumerators are not compared.
        """
        if not same_kind(self.local[local_id].kind, self.target[target_id].kind):
            return False
        for _ in range(_MAX_DEPTH):
            local_id, target_id, ours, theirs = self._resolve(local_id, target_id)
            if not same_kind(ours.kind, theirs.kind):
                return False
            if ours.kind in (Kind.VOID, Kind.FWD, *COMPOSITE, *ENUMS):
                return True
            if ours.kind is Kind.INT:
                return self._whole(local_id, target_id)
            if ours.kind is Kind.ARRAY:
                local_id, target_id = self.local.array(local_id)[0], self.target.array(target_id)[0]
                continue
            if ours.kind is Kind.FUNC_PROTO and not self._parameters(local_id, target_id, level):
                return False
            if ours.kind not in (Kind.PTR, Kind.FUNC_PROTO):
                return False
            local_id, target_id = ours.reference, theirs.reference
        raise _too_deep(ours)

    def _parameters(self, local_id: int, target_id: int, level: int) -> bool:
        ours, theirs = self.local.parameters(local_id), self.target.parameters(target_id)
        if level <= 0:
            raise _too_deep(self.local[local_id])
        return len(ours) == len(theirs) and all(
            self.compatible(self.local.resolve(one), self.target.resolve(other), level - 1)
            for (_, one), (_, other) in zip(ours, theirs, strict=True)
        )

    def match(self, local_id: int, target_id: int, behind_pointer: bool = False, level: int = _MAX_DEPTH) -> bool:
        """Whether the target's type has all that the local type has, by name and type (``__bpf_core_types_match``)."""
        if level <= 0:
            raise _too_deep(self.local[local_id])
        key = (local_id, target_id, behind_pointer)
        if key not in self._matched:
            self._matched[key] = self._match(local_id, target_id, behind_pointer, level - 1)
        return self._matched[key]

    def _match(self, local_id: int, target_id: int, behind: bool, level: int) -> bool:
        local_id, target_id, ours, theirs = self._resolve(local_id, target_id)
        if essential_name(ours.name) != essential_name(theirs.name):
            return False
        if ours.kind in (Kind.FWD, *COMPOSITE):
            return self._match_composites(local_id, target_id, behind, level)
        if ours.kind in ENUMS:
            return theirs.kind in ENUMS and ours.reference == theirs.reference and self._match_enums(local_id, target_id)
        if ours.kind is not theirs.kind:
            return False
        if ours.kind is Kind.PTR:
            return self.match(ours.reference, theirs.reference, True, level)
        if ours.kind is Kind.INT:
            signed = self.local.integer(local_id)[2], self.target.integer(target_id)[2]
            return ours.reference == theirs.reference and signed[0] == signed[1]
        if ours.kind is Kind.ARRAY:
            (element, length), (other, other_length) = self.local.array(local_id), self.target.array(target_id)
            return length == other_length and self.match(element, other, behind, level)
        if ours.kind is Kind.FUNC_PROTO:
            return self._match_prototypes(local_id, target_id, behind, level)
        return ours.kind is Kind.VOID

    def _match_composites(self, local_id: int, target_id: int, behind: bool, level: int) -> bool:
        """Behind a pointer, the name is sufficient, and a forward declaration matches the type that it declares."""
        ours, theirs = self.local[local_id], self.target[target_id]
        if behind:
            return _is_union(ours) == _is_union(theirs) if theirs.kind in (Kind.FWD, *COMPOSITE) else False
        if ours.kind is not theirs.kind:
            return False
        if ours.kind is Kind.FWD:
            return ours.flag == theirs.flag
        members: dict[str, list[int]] = {}
        for member in self.target.members(target_id):
            members.setdefault(essential_name(member.name), []).append(member.type_id)
        return ours.vlen <= theirs.vlen and all(
            any(self.match(member.type_id, other, behind, level) for other in members.get(essential_name(member.name), ()))
            for member in self.local.members(local_id)
        )

    def _match_enums(self, local_id: int, target_id: int) -> bool:
        ours, theirs = self.local.enumerators(local_id), self.target.enumerators(target_id)
        names = {essential_name(name) for name, _ in theirs}
        return len(ours) <= len(theirs) and all(essential_name(name) in names for name, _ in ours)

    def _match_prototypes(self, local_id: int, target_id: int, behind: bool, level: int) -> bool:
        ours, theirs = self.local.parameters(local_id), self.target.parameters(target_id)
        pairs = [(self.local[local_id].reference, self.target[target_id].reference)]
        pairs += [(one, other) for (_, one), (_, other) in zip(ours, theirs, strict=False)]
        return len(ours) == len(theirs) and all(self.match(one, other, behind, level) for one, other in pairs)

    def _resolve(self, local_id: int, target_id: int) -> tuple[int, int, Type, Type]:
        local_id, target_id = self.local.resolve(local_id), self.target.resolve(target_id)
        return local_id, target_id, self.local[local_id], self.target[target_id]

    def _whole(self, local_id: int, target_id: int) -> bool:
        """Whether both INTs begin at bit 0. Old compilers wrote bit-fields as INTs that do not; these match no other type."""
        return not self.local.integer(local_id)[1] and not self.target.integer(target_id)[1]


def _is_union(found: Type) -> bool:
    return found.kind is Kind.UNION or (found.kind is Kind.FWD and found.flag)


def _too_deep(found: Type) -> ObjectError:
    return ObjectError(f"BTF: type '{found.name}' is nested past {_MAX_DEPTH} levels; rebuild the object or its BTF file")
