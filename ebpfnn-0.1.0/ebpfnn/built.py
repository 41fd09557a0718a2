"""The BPF objects that were built into the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from .errors import NotSupported
from .obj import ObjectSpec

OBJECTS = Path(__file__).parent / "data" / "bpf"


def object_path(name: str) -> Path:
    """Where the object built from ``bpf/NAME.bpf.c`` lies. Raises :class:`NotSupported` in a checkout that has not built it."""
    path = OBJECTS / f"{name}.bpf.o"
    if not path.exists():
        raise NotSupported(f"{path.name} is not built in this checkout; run `make bpf` (it needs clang)")
    return path


@cache
def read_built(name: str) -> ObjectSpec:
    """The built object, read once; callers must not change it. Raises as :func:`object_path` does."""
    return ObjectSpec.from_file(object_path(name))
