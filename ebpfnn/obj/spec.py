"""The data of a BPF object before it is loaded: programs, functions, maps and BTF.

All of it can be read, changed and linked without privileges; :mod:`ebpfnn.kernel` turns it into file descriptors.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from .btf import Btf
from .core.core_relocation import CoreRelocation, Unresolved

PIN_BY_NAME = 1
"""LIBBPF_PIN_BY_NAME."""


class RelocationKind(Enum):
    """The kind of a relocation."""

    MAP = auto()  # the file descriptor of a map
    DATA = auto()  # an address inside a data map (.rodata, .data, .bss, .kconfig)
    KSYM = auto()  # the address of a variable or function of the kernel
    KFUNC = auto()  # a function of the kernel, called
    CALL = auto()  # a function, called
    FUNCTION = auto()  # a function's address, for a callback


@dataclass(frozen=True)
class Relocation:
    """A relocation: the instruction at ``index`` of its function refers to ``symbol``, plus ``addend`` bytes."""

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
    """A function's instructions, with their relocations.

    ``type_id`` is its BTF FUNC, 0 if the object has no BTF. The linker does not see a function that is not ``exported``.
    ``core`` are relocations for :func:`~ebpfnn.obj.apply_core`, which notes in ``unresolved`` what the kernel lacks.
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
    """A program: the entry point, which is the function of the same name, and how it is loaded.

    ``attach_to`` is the rest of the section name: the event or kernel function to attach to. A program whose section begins
    with ``?`` has no ``autoload``: it is loaded only if :meth:`ObjectSpec.keep_programs` names it. ``type`` 0 means an unknown
    section.
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

    ``type`` and ``flags`` are the kernel's numbers; sizes are in bytes. ``contents`` is the initial value of a data map, and
    ``frozen`` makes it read-only for user space. ``pinning`` is libbpf's number: a map of ``PIN_BY_NAME`` is pinned by its name
    and outlives the process; a map with an unknown number is not created.

    ``inner`` is the template of the maps in a map of maps. ``values`` are pairs of a key and a name: the map or program at that
    key of a map of maps or programs, or the function at that byte of a struct_ops map. A map without ``autocreate`` is not
    created. ``kernel_type_id`` is the type of the value in the kernel's BTF, for a struct_ops map.
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
        """The same map with other sizes. The BTF value type is dropped if it no longer describes the value."""
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
    """The origin of a :class:`KernelSymbol`."""

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
    """The content of a file, or of several that were linked. ``externs`` are the functions that another object must define.

    ``addresses`` are the data sections that contain addresses, which the kernel cannot resolve.
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
