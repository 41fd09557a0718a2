"""struct_ops: structs of functions, such as a TCP congestion control, that programs implement (Linux 5.6).

An object declares the struct as its source does. The struct of the kernel may have other members, in another order.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import NotSupported, ObjectError
from ...obj import Btf, Kind, MapSpec, ObjectSpec
from ...obj.btf import Member
from ...obj.core.core_types import essential_name
from ...obj.uapi import MapType
from .attach_target import AttachTarget
from .btf import vmlinux
from .program import Program

_WRAPPER = "bpf_struct_ops_"
_POINTER = struct.Struct("<Q")


@dataclass(frozen=True)
class StructOps:
    """One struct in the kernel's layout.

    ``slots`` maps a byte offset in ``value`` to the name of a program. ``members`` maps this name to the index of the member.
    """

    spec: MapSpec
    type_id: int
    value: bytes
    slots: dict[int, str]
    members: dict[str, int]

    def filled(self, programs: Mapping[str, Program]) -> bytes:
        """Returns the value with the descriptors of the programs. The kernel replaces them by addresses."""
        value = bytearray(self.value)
        for offset, name in self.slots.items():
            _POINTER.pack_into(value, offset, programs[name].fileno())
        return bytes(value)


def fit(spec: ObjectSpec) -> dict[str, StructOps]:
    """Returns every struct_ops map of ``spec`` that is to be created, in the kernel's layout.

    Raises :class:`NotSupported` if the kernel does not let programs implement the struct. Raises :class:`ObjectError` if the
    kernel's struct lacks a member that is set, or has it with another size.
    """
    maps = (found for found in spec.maps.values() if found.type == MapType.STRUCT_OPS and found.autocreate)
    return {found.name: _Fitting(spec.name, spec.btf, found).fit() for found in maps if spec.btf}


def kernel_maps(spec: ObjectSpec, fitted: Mapping[str, StructOps]) -> ObjectSpec:
    """Returns ``spec`` with its struct_ops maps as the kernel expects them."""
    return replace(spec, maps={**spec.maps, **{name: found.spec for name, found in fitted.items()}}) if fitted else spec


def bindings(fitted: Mapping[str, StructOps]) -> dict[str, tuple[AttachTarget, int]]:
    """Returns, for each program of a struct, its attach target and its expected attach type: the index of the member."""
    return {name: (AttachTarget(found.type_id), index) for found in fitted.values() for name, index in found.members.items()}


class _Fitting:
    """Copies one struct from the object's layout to the kernel's, member by member."""

    def __init__(self, name: str, local: Btf, spec: MapSpec) -> None:
        self.local, self.kernel, self.spec = local, vmlinux(), spec
        self.what = f"{name}: struct_ops '{spec.name}'"
        self.type_name = essential_name(local[spec.value_type_id].name)

    def fit(self) -> StructOps:
        type_id, wrapper = (self.kernel.find(f"{prefix}{self.type_name}", Kind.STRUCT) for prefix in ("", _WRAPPER))
        if type_id is None or wrapper is None:
            raise NotSupported(
                f"{self.what}: this kernel does not let programs implement struct {self.type_name}; a newer one may"
            )
        data = next(member.offset // 8 for member in self.kernel.members(wrapper) if member.name == "data")
        theirs = {member.name: (index, member) for index, member in enumerate(self.kernel.members(type_id))}
        value = bytearray(self.kernel.size_of(wrapper))
        functions = dict(self.spec.values)
        slots, members = {}, {}
        for ours in self.local.members(self.spec.value_type_id):
            if ours.name not in theirs:
                self._check_unused(ours, functions)
                continue
            index, member = theirs[ours.name]
            at = data + member.offset // 8
            if ours.offset // 8 in functions:
                slots[at] = functions[ours.offset // 8]
                members[slots[at]] = index
            else:
                self._copy(ours, member, value, at)
        spec = replace(self.spec, value_size=len(value), contents=None, value_type_id=0, key_type_id=0, kernel_type_id=wrapper)
        return StructOps(spec, type_id, bytes(value), slots, members)

    def _bytes(self, ours: Member) -> bytes:
        at = ours.offset // 8
        return (self.spec.contents or b"")[at : at + self.local.size_of(ours.type_id)]

    def _check_unused(self, ours: Member, functions: Mapping[int, str]) -> None:
        if ours.offset // 8 in functions or any(self._bytes(ours)):
            raise ObjectError(f"{self.what}: the kernel's struct {self.type_name} has no member '{ours.name}'; leave it empty")

    def _copy(self, ours: Member, theirs: Member, value: bytearray, at: int) -> None:
        data = self._bytes(ours)
        if not any(data):
            return
        if ours.bits or theirs.bits or len(data) != self.kernel.size_of(theirs.type_id):
            fact = f"'{ours.name}' of {len(data)} bytes differs from that of the kernel's struct {self.type_name}"
            raise ObjectError(f"{self.what}: member {fact}; declare it as the kernel does")
        value[at : at + len(data)] = data
