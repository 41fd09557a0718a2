"""Reads the access string of a CO-RE relocation as a path of named members and array elements in the object's own types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ...errors import ObjectError
from .. import insn
from ..btf import Btf, Kind
from ..btf.btf_ext import CoreInfo
from ..btf.btf_kinds import COMPOSITE, ENUMS
from .core_relocation import CoreKind, CoreRelocation

MAX_STEPS = 64  # BPF_CORE_SPEC_MAX_LEN
_LONGEST_ACCESS = 4 * MAX_STEPS


class Step(NamedTuple):
    """A step of a path: member ``name``, which is number ``place`` of the struct ``type_id``.

    Without a name, it is array element number ``place``, and ``type_id`` is the type of the element.
    """

    type_id: int
    place: int
    name: str = ""


class Access(NamedTuple):
    """A path into the type ``root`` of ``btf``. Anonymous members have no step of their own."""

    btf: Btf
    root: int
    steps: tuple[Step, ...] = ()
    bit_offset: int = 0

    def __str__(self) -> str:
        """Returns the path as in C: ``task_struct::comm[3]``, ``bpf_attach_type::BPF_XDP``."""
        return type_name(self.btf, self.root) + way(self.steps)


def way(steps: tuple[Step, ...]) -> str:
    """Returns the steps after the name of a type. A leading element 0 only dereferences a pointer, and is left out."""
    text = ""
    for number, step in enumerate(steps):
        if step.name:
            text += ("." if "::" in text else "::") + step.name
        elif number or step.place:
            text += f"[{step.place}]"
    return text


def type_name(btf: Btf, type_id: int) -> str:
    """Returns the name of the type, or a description if it has no name."""
    found = btf[type_id]
    if found.name or found.kind is Kind.VOID:
        return found.name or "void"
    if found.kind is Kind.PTR:
        return f"{type_name(btf, btf.resolve(found.reference))} *"
    return f"anonymous {found.kind.name.lower()}"


def is_flexible(btf: Btf, steps: tuple[Step, ...], length: int) -> bool:
    """Whether the last step leads to a flexible array: one of length 0 that is the last member of its struct."""
    return not length and bool(steps[-1].name) and steps[-1].place == btf[steps[-1].type_id].vlen - 1


def parse_access(btf: Btf, relocation: CoreRelocation) -> Access:
    """Reads the access string of ``relocation``. Raises :class:`ObjectError` if it does not fit the type."""
    try:
        indices = [int(part) for part in relocation.access.split(":")]
    except ValueError:
        indices = []
    if not 0 < len(indices) <= MAX_STEPS or min(indices) < 0:
        raise _misfit(btf, relocation)
    if relocation.kind.of_enumerator:
        return _parse_enumerator(btf, relocation, indices)
    if not relocation.kind.of_field:
        if indices != [0]:
            raise _misfit(btf, relocation)
        return Access(btf, relocation.type_id)
    return _parse_field(btf, relocation, indices)


def _parse_enumerator(btf: Btf, relocation: CoreRelocation, indices: list[int]) -> Access:
    enum = btf.resolve(relocation.type_id)
    if btf[enum].kind not in ENUMS or len(indices) > 1 or indices[0] >= btf[enum].vlen:
        raise _misfit(btf, relocation)
    return Access(btf, relocation.type_id, (Step(enum, indices[0], btf.enumerators(enum)[indices[0]][0]),))


def _parse_field(btf: Btf, relocation: CoreRelocation, indices: list[int]) -> Access:
    at = btf.resolve(relocation.type_id)
    steps: tuple[Step, ...] = (Step(at, indices[0]),)
    offset = indices[0] * btf.size_of(at) * 8
    for index in indices[1:]:
        at = btf.resolve(at)
        if btf[at].kind in COMPOSITE and index < btf[at].vlen:
            member = btf.member(at, index)
            if member.name:
                steps += (Step(at, index, member.name),)
            offset += member.offset
            at = member.type_id
        elif btf[at].kind is Kind.ARRAY:
            at = _element(btf, at, steps, index, relocation)
            steps += (Step(at, index),)
            offset += index * btf.size_of(at) * 8
        else:
            raise _misfit(btf, relocation)
    return Access(btf, relocation.type_id, steps, offset)


def _element(btf: Btf, at: int, steps: tuple[Step, ...], index: int, relocation: CoreRelocation) -> int:
    element, length = btf.array(at)
    if index >= length and not is_flexible(btf, steps, length):
        raise _misfit(btf, relocation)
    return btf.resolve(element)


def _misfit(btf: Btf, relocation: CoreRelocation) -> ObjectError:
    return ObjectError(
        f"CO-RE relocation {relocation.kind.label}: '{relocation.access}' does not exist in "
        f"{type_name(btf, relocation.type_id)}; rebuild the object"
    )


def core_relocations(records: Iterable[CoreInfo], start: int, btf: Btf | None, name: str) -> tuple[CoreRelocation, ...]:
    """Returns the relocations of a function that begins at byte ``start`` of its section.

    ``records`` are its records in .BTF.ext. ``name`` is the name of the object, for messages. Raises :class:`ObjectError` for a
    record that is malformed or of an unknown kind.
    """
    return tuple(_relocation(record, start, btf, name) for record in records) if btf else ()


def _relocation(record: CoreInfo, start: int, btf: Btf, name: str) -> CoreRelocation:
    index, misaligned = divmod(record.offset - start, insn.SIZE)
    if misaligned or record.kind >= len(CoreKind):
        raise ObjectError(
            f"{name}: CO-RE relocation of kind {record.kind} at byte {record.offset} is not known; rebuild the object"
        )
    return CoreRelocation(index, CoreKind(record.kind), record.type_id, btf.string(record.access, _LONGEST_ACCESS))


def describe(btf: Btf, relocation: CoreRelocation) -> str:
    """Returns a text such as ``task_struct::pid byte_off``. Raises :class:`ObjectError` as :func:`parse_access` does."""
    return f"{parse_access(btf, relocation)} {relocation.kind.label}"
