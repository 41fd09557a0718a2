"""CO-RE relocations: what an instruction needs to know about the kernel's types (``enum bpf_core_relo_kind``, Linux 6.18)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum


class CoreKind(IntEnum):
    """BPF_CORE_*."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12

    @property
    def label(self) -> str:
        """The name that libbpf and bpftool use in their logs (``core_relo_kind_str``)."""
        return _LABELS[self]

    @property
    def of_field(self) -> bool:
        """Whether the relocation is about a field of a struct or union."""
        return self <= CoreKind.FIELD_RSHIFT_U64

    @property
    def of_enumerator(self) -> bool:
        """Whether the relocation is about one value of an enum."""
        return self in (CoreKind.ENUMVAL_EXISTS, CoreKind.ENUMVAL_VALUE)


_LABELS = (
    "byte_off",
    "byte_sz",
    "field_exists",
    "signed",
    "lshift_u64",
    "rshift_u64",
    "local_type_id",
    "target_type_id",
    "type_exists",
    "type_size",
    "enumval_exists",
    "enumval_value",
    "type_matches",
)


@dataclass(frozen=True)
class CoreRelocation:
    """The instruction at ``index`` of its function depends on the kernel's type that corresponds to the object's ``type_id``.

    ``access`` is the path into the type, such as ``0:3:1``: indices of array elements and members, or of an enumerator.
    """

    index: int
    kind: CoreKind
    type_id: int
    access: str


@dataclass(frozen=True)
class Unresolved:
    """The instruction at ``index`` of its function was replaced by a call that no kernel accepts; ``told`` tells why.

    A program that never reaches the instruction can still be loaded. ``bpf_core_field_exists()`` uses this to guard accesses to
    fields that may be missing. Such a program does not need the reason, so ``told`` may be a function that finds it.
    """

    index: int
    told: str | Callable[[], str]

    @property
    def reason(self) -> str:
        """The reason, as text."""
        return self.told if isinstance(self.told, str) else self.told()
