"""A field: one integer that an event offers. The fields that a shell extracts are the members of a struct in its BTF."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ..errors import ObjectError
from ..obj import Btf, Kind, ObjectSpec

OBSERVER = "ebpfnn_observe"
"""The function that a shell calls with the fields of an event. Its first argument points to the struct of the fields."""
_TAG = "ebpfnn:"  # EBPFNN_FIELD of fields.h
_NAME = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_SIZES = (1, 2, 4, 8)
_MOST_FIELDS, _MOST_BYTES, _LONGEST_HELP = 256, 4096, 256


class Place(Enum):
    """The memory that a field is in."""

    FIELDS = "fields"  # the struct that the shell fills
    CONTEXT = "context"  # what the kernel passes to the program


@dataclass(frozen=True)
class Field:
    """One integer of ``size`` bytes (1, 2, 4 or 8), ``offset`` bytes into its ``place``, in the host's byte order.

    ``refused`` is "" for a usable field. Otherwise it says why not: it is not an integer, or out of reach. ``unit`` and
    ``help`` are shown to users, and may be "".
    """

    name: str
    offset: int
    size: int
    signed: bool
    unit: str = ""
    help: str = ""
    place: Place = Place.FIELDS
    refused: str = ""

    @property
    def type(self) -> str:
        """``u8`` to ``s64``, "" if it is refused."""
        return "" if self.refused else f"{'s' if self.signed else 'u'}{8 * self.size}"


def fields_of(shell: ObjectSpec) -> tuple[Field, ...]:
    """The fields that a shell extracts, in the order of its struct. Empty if the shell calls no observer.

    Raises :class:`~ebpfnn.errors.ObjectError` if its BTF does not describe them, or describes members that are not integers.
    """
    if OBSERVER not in shell.externs or shell.btf is None:
        return ()
    struct = _struct(shell.name, shell.btf)
    tags = {place: text for place, text in shell.btf.tags(struct) if text.startswith(_TAG)}
    size, count = shell.btf[struct].reference, shell.btf[struct].vlen
    if size > _MOST_BYTES or count > _MOST_FIELDS:
        fact = f"{shell.name}: {count} fields in {size} bytes"
        raise ObjectError(f"{fact}; at most {_MOST_FIELDS} in {_MOST_BYTES} bytes are taken, so drop some")
    found = tuple(_fields(shell.name, shell.btf, struct, tags))
    if len({field.name for field in found}) != len(found):
        raise ObjectError(f"{shell.name}: two fields have one name; rename one")
    return found


def bytes_of(fields: Sequence[Field]) -> int:
    """The bytes of a struct with ``fields``, in whole 64-bit words."""
    return max((-(-(field.offset + field.size) // 8) * 8 for field in fields), default=0)


def beside(own: Sequence[Field], others: Sequence[Field]) -> tuple[Field, ...]:
    """The fields of an event, then ``others``. A field of the event whose name is also in ``others`` becomes ``event_NAME``."""
    taken = {field.name for field in others}
    found = list[Field]()
    for field in own:
        name = field.name
        while name in taken:
            name = f"event_{name}"
        taken.add(name)
        found.append(replace(field, name=name))
    return (*found, *others)


def integer_type(btf: Btf, type_id: int) -> tuple[int, bool] | None:
    """Size in bytes and sign of an integer, an enum, or a pointer, which is a u64. None for other types.

    Raises :class:`~ebpfnn.errors.ObjectError` if the types are contradictory.
    """
    type_id = btf.resolve(type_id)
    found = btf[type_id]
    if found.kind is Kind.PTR:
        return 8, False
    if found.kind not in (Kind.INT, Kind.ENUM, Kind.ENUM64) or found.reference not in _SIZES:
        return None
    if found.kind is not Kind.INT:
        return found.reference, found.flag
    bits, shift, signed = btf.integer(type_id)
    return None if shift or bits > 8 * found.reference else (found.reference, signed)


def _struct(name: str, btf: Btf) -> int:
    """The id of the struct that the observer's first argument points to."""
    function = btf.find(OBSERVER, Kind.FUNC)
    parameters = btf.parameters(btf[function].reference) if function is not None else []
    pointer = btf[btf.resolve(parameters[0][1])] if parameters else None
    struct = btf.resolve(pointer.reference) if pointer and pointer.kind is Kind.PTR else 0
    if btf[struct].kind is not Kind.STRUCT:
        fact = f"{name}: the first argument of {OBSERVER}() points to no struct"
        raise ObjectError(f"{fact}; include <ebpfnn/fields_observe.h>, and build with -g")
    return struct


def _fields(name: str, btf: Btf, struct: int, tags: dict[int, str]) -> Iterator[Field]:
    end = btf[struct].reference
    for place, member in enumerate(btf.members(struct)):
        what = f"{name}: field '{member.name}'"
        found = integer_type(btf, member.type_id)
        if found is None or member.bits or btf[btf.resolve(member.type_id)].kind is Kind.PTR:
            raise ObjectError(f"{what} is no integer of 8, 16, 32 or 64 bits; make it one")
        size, signed = found
        offset, odd = divmod(member.offset, 8)
        if not _NAME.fullmatch(member.name) or odd or offset % size or offset + size > end:
            raise ObjectError(f"{what} at bit {member.offset} of {end} bytes is not where one can be; rebuild the object")
        unit, _, told = tags.get(place, "")[len(_TAG) :].partition(":")
        yield Field(member.name, offset, size, signed, unit[:_LONGEST_HELP], told[:_LONGEST_HELP])
