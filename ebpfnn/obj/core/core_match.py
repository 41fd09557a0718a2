"""Finds in the kernel's types what a CO-RE relocation refers to (``bpf_core_spec_match``, Linux 6.18).

The relocation is written for the object's own types.
"""

from __future__ import annotations

from difflib import get_close_matches
from itertools import islice
from typing import NamedTuple

from ...errors import ObjectError
from ..btf import Btf, Kind
from ..btf.btf_kinds import COMPOSITE, ENUMS
from .core_access import Access, Step, is_flexible, type_name, way
from .core_relocation import CoreKind
from .core_types import Comparison, essential_name, same_kind

_WEIGHED_PREFIX = 40  # longest prefix that is used to find similar names, in bytes
_SHOWN, _WEIGHED = 3, 400  # how many similar names a message shows, and how many names are compared


class Mismatch(NamedTuple):
    """Why a type of the kernel does not match a relocation. ``name`` was not found, and ``among`` are the names that exist."""

    reason: str
    name: str = ""
    among: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns the reason, with the names that the user may have meant."""
        close = meant(self.name, self.among) if self.name else []
        return self.reason + ("; it has " + ", ".join(f"'{each}'" for each in close) if close else "")


def candidates(local: Btf, type_id: int, target: Btf) -> list[int]:
    """Returns the target's own types (not those of its base) of the same kind and name. Flavors are ignored.

    Raises :class:`ObjectError` if the type is anonymous.
    """
    wanted = local[type_id]
    name = essential_name(wanted.name)
    if not name:
        raise ObjectError(f"CO-RE: type {type_id} ({wanted.kind.name.lower()}) is anonymous; give it a name to find it by")
    flavors = (each for table in _tables([target]) for each in table.names_with_prefix(name + "___"))
    names = {name, *(each for each in flavors if essential_name(each) == name)}
    found = [type_id for each in names for type_id in target.find_own(each)]
    return sorted(type_id for type_id in found if same_kind(target[type_id].kind, wanted.kind))


def match(access: Access, kind: CoreKind, comparison: Comparison, target_id: int) -> Access | Mismatch:
    """Returns the path in the target's type ``target_id`` that corresponds to ``access``, or why there is none."""
    target = comparison.target
    if kind.of_enumerator:
        return _match_enumerator(access.steps[0].name, target, target_id)
    if kind.of_field:
        return _match_field(access, comparison, target_id)
    compare = comparison.match if kind is CoreKind.TYPE_MATCHES else comparison.compatible
    if compare(access.root, target_id):
        return Access(target, target_id)
    return Mismatch(f"the kernel's {type_name(target, target_id)} is a different type")


def _match_enumerator(name: str, target: Btf, target_id: int) -> Access | Mismatch:
    enum = target.resolve(target_id)
    if target[enum].kind not in ENUMS:
        return Mismatch(f"the kernel's {type_name(target, target_id)} is not an enum")
    names = [each for each, _ in target.enumerators(enum)]
    for index, each in enumerate(names):
        if essential_name(each) == essential_name(name):
            return Access(target, target_id, (Step(enum, index, each),))
    return Mismatch(f"enum {type_name(target, target_id)} of the kernel has no '{name}'", name, tuple(names))


def _match_field(access: Access, comparison: Comparison, target_id: int) -> Access | Mismatch:
    target = comparison.target
    at = target.resolve(target_id)
    steps: tuple[Step, ...] = ()
    offset = 0
    for number, step in enumerate(access.steps):
        at = target.resolve(at)
        if step.name:
            found = comparison.fields(at).get(step.name)
            if found is None:
                return _no_member(comparison, at, step.name)
            ours = access.btf.member(step.type_id, step.place).type_id
            if not comparison.fields_compatible(ours, found.type_id):
                return _other_type(access, steps, step.name, ours, target, found.type_id)
            steps += (Step(found.owner, found.place, step.name),)
            offset += found.offset
            at = found.type_id
            continue
        if number:
            if target[at].kind is not Kind.ARRAY:
                return Mismatch(f"{type_name(target, target_id)}{way(steps)} of the kernel is not an array")
            element, length = target.array(at)
            if step.place >= length and not is_flexible(target, steps, length):
                return Mismatch(f"{type_name(target, target_id)}{way(steps)} of the kernel has {length} elements")
            at = target.resolve(element)
        steps += (Step(at, step.place),)
        offset += step.place * target.size_of(at) * 8
    return Access(target, target_id, steps, offset)


def _no_member(comparison: Comparison, struct: int, name: str) -> Mismatch:
    target = comparison.target
    if target[struct].kind not in COMPOSITE:
        return Mismatch(f"{type_name(target, struct)} of the kernel is not a struct or union, so it has no '{name}'")
    owner = type_name(target, struct)
    keyword = f"{target[struct].kind.name.lower()} " if target[struct].name else ""
    return Mismatch(f"{keyword}{owner} of the kernel has no member '{name}'", name, tuple(comparison.fields(struct)))


def _other_type(access: Access, steps: tuple[Step, ...], name: str, ours: int, target: Btf, theirs: int) -> Mismatch:
    kinds = [btf[btf.resolve(type_id)].kind.name.lower() for btf, type_id in ((access.btf, ours), (target, theirs))]
    names = [type_name(access.btf, ours), type_name(target, theirs)]
    where = f"{type_name(access.btf, access.root)}{way(steps)}"
    return Mismatch(
        f"'{name}' in {where} of the kernel is of type {names[1]} ({kinds[1]}), in the object {names[0]} ({kinds[0]})"
    )


def meant(name: str, names: tuple[str, ...]) -> list[str]:
    """Returns the names that are most similar to ``name``, else those that contain it or are contained in it."""
    names = names[: 4 * _WEIGHED]
    return get_close_matches(name, names, _SHOWN) or [each for each in names if name in each or each in name][:_SHOWN]


def _tables(targets: list[Btf]) -> list[Btf]:
    """Returns the targets and their bases, each once."""
    return list(dict.fromkeys(table for target in targets for table in (target, target.base) if table))


def similar_types(name: str, kind: Kind, targets: list[Btf]) -> list[str]:
    """Returns the names of the kernel's types of this kind that are most similar to ``name``.

    Only names that share a prefix with ``name`` are compared.
    """
    tables = _tables(targets)
    for length in range(min(len(name), _WEIGHED_PREFIX), 2, -1):
        names = (each for table in tables for each in table.names_with_prefix(name[:length]))
        found = sorted(set(islice(names, _WEIGHED + 1)))
        if len(found) > _WEIGHED:
            break
        close = get_close_matches(name, found, 4 * _SHOWN)
        types = [each for each in close if any(any(table.find_own(each, kind)) for table in tables)]
        if types:
            return types[:_SHOWN]
    return []
