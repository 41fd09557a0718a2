"""Reads BPF objects: bytes in, data out. It makes no system calls, so a file gives the same spec on any machine."""

from typing import TYPE_CHECKING, Any

from .btf import Btf, Kind, Linkage
from .core.core_relocation import CoreKind, CoreRelocation, Unresolved
from .image import Image, build_image
from .linker import link
from .object_spec import ObjectSpec
from .spec import (
    Function,
    KernelSymbol,
    Line,
    MapSpec,
    ProgramSpec,
    Relocation,
    RelocationKind,
    SymbolKind,
    Variable,
)
from .uapi import AttachType, MapType, ProgramType

if TYPE_CHECKING:
    from .core.core import apply_core


def __getattr__(name: str) -> Any:
    if name != "apply_core":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .core.core import apply_core  # late: most objects have nothing to be fitted to a kernel

    return apply_core


__all__ = [
    "AttachType",
    "Btf",
    "CoreKind",
    "CoreRelocation",
    "Function",
    "Image",
    "KernelSymbol",
    "Kind",
    "Line",
    "Linkage",
    "MapSpec",
    "MapType",
    "ObjectSpec",
    "ProgramSpec",
    "ProgramType",
    "Relocation",
    "RelocationKind",
    "SymbolKind",
    "Unresolved",
    "Variable",
    "apply_core",
    "build_image",
    "link",
]
