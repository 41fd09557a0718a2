"""Checks whether an object declares a symbol of the kernel as the kernel does, as far as a loader can tell.

The check is looser than ``__bpf_core_types_are_compat`` of CO-RE, which libbpf 1.5 uses: a struct may be declared without its
members.
"""

from __future__ import annotations

from .btf import Btf, Kind
from .btf_kinds import COMPOSITE, ENUMS

_MAX_DEPTH = 32  # of nested pointers, arrays and prototypes


def declared_alike(local: Btf, local_id: int, kernel: Btf, kernel_id: int, depth: int = _MAX_DEPTH) -> bool:
    """Whether the kinds of the types agree, also behind pointers, arrays and prototypes. Names and sizes are not compared."""
    local_id, kernel_id = local.resolve(local_id), kernel.resolve(kernel_id)
    ours, theirs = _kind(local, local_id), _kind(kernel, kernel_id)
    if ours is not theirs:
        return False
    if not depth:
        return True
    if ours is Kind.PTR:
        return declared_alike(local, local[local_id].reference, kernel, kernel[kernel_id].reference, depth - 1)
    if ours is Kind.ARRAY:
        return declared_alike(local, local.array(local_id)[0], kernel, kernel.array(kernel_id)[0], depth - 1)
    if ours is not Kind.FUNC_PROTO:
        return True
    pairs = [(local[local_id].reference, kernel[kernel_id].reference)]
    parameters = [[type_id for _, type_id in types.parameters(at)] for types, at in ((local, local_id), (kernel, kernel_id))]
    pairs += zip(*parameters, strict=False)
    same_number = len(parameters[0]) == len(parameters[1])
    return same_number and all(declared_alike(local, one, kernel, other, depth - 1) for one, other in pairs)


def _kind(btf: Btf, type_id: int) -> Kind:
    """Structs, unions and those declared without members are one kind here, and so are enums of every size."""
    kind = btf[type_id].kind
    if kind in COMPOSITE or kind is Kind.FWD:
        return Kind.STRUCT
    return Kind.ENUM if kind in ENUMS else kind
