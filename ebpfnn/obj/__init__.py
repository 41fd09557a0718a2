"""What a BPF object is: bytes in, data out, without a system call. The same file gives the same spec on any machine."""

from .btf import Btf, Kind, Linkage
from .image import Image, build_image
from .linker import link
from .sections import ProgramType
from .spec import Function, Line, MapSpec, ObjectSpec, ProgramSpec, Relocation, RelocationKind, Variable

__all__ = [
    "Btf",
    "Function",
    "Image",
    "Kind",
    "Line",
    "Linkage",
    "MapSpec",
    "ObjectSpec",
    "ProgramSpec",
    "ProgramType",
    "Relocation",
    "RelocationKind",
    "Variable",
    "build_image",
    "link",
]
