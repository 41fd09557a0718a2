"""Resolves ``__ksym`` externs in the running kernel: variables, functions, and bare addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

from ...errors import NotSupported, ObjectError
from ...obj import Btf, Image, Kind, ObjectSpec, RelocationKind
from ...obj.btf.likeness import declared_alike
from ...obj.core.core_types import essential_name
from ...obj.spec import KernelSymbol, SymbolKind
from .btf import module_btf, module_names, vmlinux
from .kallsyms import address_of
from .module_types import module_descriptor

_KINDS = {SymbolKind.VARIABLE: Kind.VAR, SymbolKind.FUNCTION: Kind.FUNC}


@dataclass(frozen=True)
class Found:
    """A symbol by its ``type_id`` in the types of ``module`` ("" is the kernel itself), or by its bare ``address``.

    One with neither is weak and missing.
    """

    type_id: int = 0
    module: str = ""
    address: int = 0

    @property
    def missing(self) -> bool:
        return not self.type_id and not self.address


@dataclass
class KernelSymbols:
    """The symbols that an object's loaded programs use, and the descriptors of the modules that they are in."""

    found: dict[str, Found] = field(default_factory=dict)
    modules: dict[str, int] = field(default_factory=dict)

    @classmethod
    def resolve(cls, spec: ObjectSpec, images: Iterable[Image], held: ExitStack) -> KernelSymbols:
        """Finds the symbols that ``images`` use; ``held`` closes the descriptors of modules.

        Raises :class:`ObjectError` for a symbol that the kernel lacks and that is not weak.
        """
        kinds = (RelocationKind.KSYM, RelocationKind.KFUNC)
        used = {relocation.symbol for image in images for relocation in image.pending if relocation.kind in kinds}
        symbols = cls({name: _find(spec.kernel_symbols[name], spec) for name in sorted(used)})
        for module in {found.module for found in symbols.found.values() if found.module}:
            symbols.modules[module] = held.enter_context(module_descriptor(module)).fileno()
        return symbols

    @property
    def fd_array(self) -> tuple[int, ...]:
        """What a call's index means: 0 is the kernel itself, then the modules in order."""
        return (0, *self.modules.values()) if self.modules else ()

    def index_of(self, module: str) -> int:
        """The index of ``module`` in :attr:`fd_array`."""
        return list(self.modules).index(module) + 1 if module else 0


def find_type(name: str, kind: Kind) -> tuple[int, str] | None:
    """A type's id and the module it is in ("" is the kernel itself), None where neither has it."""
    for module, types in _all_types():
        found = types.find(name, kind)
        if found is not None:
            return found, module
    return None


def _all_types() -> Iterator[tuple[str, Btf]]:
    yield "", vmlinux()
    for module in module_names():
        yield module, module_btf(module)


def _find(symbol: KernelSymbol, spec: ObjectSpec) -> Found:
    if symbol.kind is SymbolKind.VARIABLE and not symbol.type_id:
        return _find_address(symbol, spec.name)
    # A name may have a ___flavor behind it, to declare one symbol in several ways.
    try:
        typed = find_type(essential_name(symbol.name), _KINDS[symbol.kind])
    except NotSupported:
        if not symbol.weak:
            raise
        typed = None
    if typed and spec.btf:
        types = module_btf(typed[1]) if typed[1] else vmlinux()
        if declared_alike(spec.btf, symbol.type_id, types, types[typed[0]].reference):
            return Found(*typed)
    if symbol.weak:
        return Found()
    if typed:
        fact = f"extern '{symbol.name}' is declared with a different type than the kernel's"
        raise ObjectError(f"{spec.name}: {fact}; declare it as vmlinux.h of this kernel does")
    remedy = "make it __weak, and check it with bpf_ksym_exists(), if it may be missing"
    raise ObjectError(f"{spec.name}: {_absence(symbol)}; {remedy}")


def _find_address(symbol: KernelSymbol, name: str) -> Found:
    address = address_of(symbol.name)
    if address is None and not symbol.weak:
        raise ObjectError(f"{name}: extern '{symbol.name}' is not in /proc/kallsyms; make it __weak if it may be missing")
    return Found(address=address or 0)


def _absence(symbol: KernelSymbol) -> str:
    what = "kernel function" if symbol.kind is SymbolKind.FUNCTION else "kernel variable"
    return f"{what} '{symbol.name}' is not in this kernel's BTF or its modules'"
