"""What a BPF object is: bytes in, data out. Nothing here asks the kernel, so a file gives the same spec on any machine."""

from .btf import Btf, Kind, Linkage
from .core import apply_core
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
