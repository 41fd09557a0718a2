"""What a BPF object is, before any kernel has seen it: programs, functions, maps and BTF, as data.

Everything here can be read, changed and joined without privilege; :mod:`ebpfnn.kernel` turns it into file descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from .btf import Btf
from .core.core_relocation import CoreRelocation, Unresolved

PIN_BY_NAME = 1
"""LIBBPF_PIN_BY_NAME."""


class RelocationKind(Enum):
    """What an instruction is waiting for."""

    MAP = auto()  # the file descriptor of a map
    DATA = auto()  # an address inside a data map (.rodata, .data, .bss, .kconfig)
    KSYM = auto()  # the address of a variable or function of the kernel
    KFUNC = auto()  # a function of the kernel, called
    CALL = auto()  # a function, called
    FUNCTION = auto()  # a function's address, for a callback


@dataclass(frozen=True)
class Relocation:
    """The instruction at ``index`` of its function refers to ``symbol``, ``addend`` bytes in."""

    index: int
    kind: RelocationKind
    symbol: str
    addend: int = 0


@dataclass(frozen=True)
class Line:
    """One entry of line_info: instruction ``index`` comes from ``line``:``column``; the names are BTF string offsets."""

    index: int
    file: int
    text: int
    line: int
    column: int


@dataclass(frozen=True)
class Function:
    """A function's instructions, with what they refer to.

    ``type_id`` is its BTF FUNC, 0 where the object has none. A function that is not ``exported`` is invisible to the linker.
    ``core`` waits for :func:`~ebpfnn.obj.apply_core`, which leaves in ``unresolved`` what the kernel lacks.
    """

    name: str
    code: bytes
    relocations: tuple[Relocation, ...] = ()
    type_id: int = 0
    lines: tuple[Line, ...] = ()
    exported: bool = False
    core: tuple[CoreRelocation, ...] = ()
    unresolved: tuple[Unresolved, ...] = ()


@dataclass(frozen=True)
class ProgramSpec:
    """An entry point: the function of the same name, and how the kernel is told to load it.

    ``attach_to`` is the rest of the section's name: the event or kernel function meant. A program whose section begins with
    ``?`` has no ``autoload``: it is loaded where :meth:`ObjectSpec.keep_programs` names it. ``type`` 0 is a section unknown.
    """

    name: str
    section: str
    type: int
    expected_attach_type: int = 0
    flags: int = 0
    attach_to: str = ""
    autoload: bool = True


@dataclass(frozen=True)
class MapSpec:
    """A map to be created.

    ``type`` and ``flags`` are the kernel's numbers; sizes are bytes. ``contents`` fills the single element of a data map, and
    ``frozen`` then closes it to every writer in user space. ``pinning`` is libbpf's number: a map of
    ``PIN_BY_NAME`` outlives the process under its own name, and one of a number that is not known is not created.

    ``inner`` is the pattern of the maps in a map of maps. ``values`` tells by name what lies at which key of a map of maps or
    programs, and which function at which byte of a struct_ops map; one without ``autocreate`` is passed over.
    ``kernel_type_id`` is the value's type in the kernel's own BTF, where a struct_ops map has it.
    """

    name: str
    type: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    key_type_id: int = 0
    value_type_id: int = 0
    contents: bytes | None = None
    frozen: bool = False
    numa_node: int = 0
    extra: int = 0
    pinning: int = 0
    inner: MapSpec | None = None
    values: tuple[tuple[int, str], ...] = ()
    autocreate: bool = True
    kernel_type_id: int = 0

    @property
    def pinned(self) -> bool:
        """Whether it is pinned by its name."""
        return self.pinning == PIN_BY_NAME

    def resized(self, *, value_size: int | None = None, max_entries: int | None = None) -> MapSpec:
        """The same map with other sizes; it gives up its BTF value type where the type no longer describes the value."""
        new_size = self.value_size if value_size is None else value_size
        same = new_size == self.value_size
        return replace(
            self,
            value_size=new_size,
            max_entries=self.max_entries if max_entries is None else max_entries,
            key_type_id=self.key_type_id if same else 0,
            value_type_id=self.value_type_id if same else 0,
        )


@dataclass(frozen=True)
class Variable:
    """A global variable: ``size`` bytes at ``offset`` of the data map ``map``."""

    name: str
    map: str
    offset: int
    size: int


class SymbolKind(Enum):
    """Where the value of a :class:`KernelSymbol` comes from."""

    KCONFIG = auto()  # the kernel's configuration
    VARIABLE = auto()  # the kernel's variables and other addresses
    FUNCTION = auto()  # the kernel's functions that programs may call


@dataclass(frozen=True)
class KernelSymbol:
    """An extern that the running kernel defines: ``__kconfig`` or ``__ksym``.

    ``type_id`` is the declared type, 0 (void) for a bare address; of a function, its prototype. A ``weak`` one may be missing,
    and is then 0. One of the configuration lies ``offset`` bytes into the data map ``map``.
    """

    name: str
    kind: SymbolKind
    type_id: int
    weak: bool = False
    map: str = ""
    offset: int = 0


@dataclass
class Contents:
    """What a file holds, or several that were linked. ``externs`` names the functions that another object must define.

    ``addresses`` names the data sections that hold addresses, which no kernel fills in.
    """

    name: str
    license: str = ""
    btf: Btf | None = None
    functions: dict[str, Function] = field(default_factory=dict)
    programs: dict[str, ProgramSpec] = field(default_factory=dict)
    maps: dict[str, MapSpec] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    externs: frozenset[str] = frozenset()
    kernel_symbols: dict[str, KernelSymbol] = field(default_factory=dict)
    addresses: frozenset[str] = frozenset()
