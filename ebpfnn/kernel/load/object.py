"""A whole object in the kernel: its BTF, its maps and its programs."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ...errors import KernelError, ObjectError, VerifierError
from ...obj import Btf, Image, ObjectSpec, ProgramSpec, ProgramType, build_image
from ...obj.image import reached
from ...obj.sections import known_sections, section_kind
from ...obj.uapi import MapType
from ..map import Map
from ..pinning import BPFFS
from . import struct_ops
from .attach_target import AttachTarget, find_target
from .btf import KernelBtf, kernel_types
from .kconfig import fill_kconfig
from .kernel_symbols import KernelSymbols
from .map_loading import MapLoader
from .map_values import fill_values
from .placing import place
from .program import Program
from .struct_ops import StructOps

_METADATA = "bpf_metadata_"


class Object(AbstractContextManager["Object"]):
    """The result of :meth:`load`. Closing it closes every map and program, except maps that the caller gave."""

    def __init__(
        self,
        name: str,
        maps: Mapping[str, Map],
        programs: Mapping[str, Program],
        held: ExitStack,
        struct_ops: Mapping[str, StructOps],
    ) -> None:
        self.name, self.maps, self.programs, self.struct_ops, self._held = name, maps, programs, struct_ops, held

    @classmethod
    def load(
        cls,
        spec: ObjectSpec,
        btf: Btf | None = None,
        *,
        maps: Mapping[str, Map] | None = None,
        pin_root: Path = BPFFS,
        kconfig: str | None = None,
        targets: Mapping[str, Program] | None = None,
    ) -> Object:
        """Creates the maps and loads every program of ``spec``; after a failure, nothing stays behind.

        CO-RE relocations of ``spec`` are resolved against ``btf``, or else the types of the running kernel and its modules.
        ``maps`` are used instead of new ones of the same names. Maps that are pinned by name are found or pinned under
        ``pin_root``. ``kconfig`` is the text of a kernel configuration, instead of the running kernel's. ``targets`` maps the
        name of an fentry, fexit or freplace program to the program whose function it attaches to.

        Raises :class:`~ebpfnn.errors.VerifierError` and :class:`~ebpfnn.errors.KernelError`, and, for requested things that do
        not exist, :class:`~ebpfnn.errors.ObjectError` and :class:`~ebpfnn.errors.NotSupported`.
        """
        loads = reached(spec, (program.name for program in spec.programs.values() if program.autoload))
        spec = _fit(fill_kconfig(spec, kconfig), kernel_types() if btf is None else btf, loads)
        fitted = struct_ops.fit(spec)
        loading = _Loading(struct_ops.kernel_maps(spec, fitted), targets or {}, struct_ops.bindings(fitted))
        with ExitStack() as held:
            images = loading.images()
            types = held.enter_context(ExitStack())  # what nothing needs once the programs are loaded
            loader = MapLoader(loading.spec, loading.load_types(types), maps or {}, pin_root, held)
            made = loader.load()
            symbols = KernelSymbols.resolve(spec, images.values(), types)
            programs = {
                name: held.enter_context(loading.load(name, place(image, made, symbols, spec.name), symbols.fd_array, types))
                for name, image in images.items()
            }
            fill_values(loading.spec, made, programs, loader.reused)
            _bind_metadata(spec, made, programs)
            types.close()
            loader.keep()
            return cls(spec.name, made, programs, held.pop_all(), fitted)

    def close(self) -> None:
        """Closes everything. May be called twice."""
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class _Loading:
    """The state that the programs of one object share while they are loaded."""

    def __init__(
        self, spec: ObjectSpec, targets: Mapping[str, Program], bindings: Mapping[str, tuple[AttachTarget, int]]
    ) -> None:
        self.spec, self.targets, self.bindings = spec, targets, bindings
        self._btf_fd, self._describes_functions = 0, False
        unknown = sorted(set(targets) - set(spec.programs))
        if unknown:
            raise ObjectError(
                f"{spec.name}: no program '{unknown[0]}'; there are: {', '.join(sorted(spec.programs)) or 'none'}"
            )

    def images(self) -> dict[str, Image]:
        """The programs that are to be loaded."""
        wanted = [program for program in self.spec.programs.values() if program.autoload and not self._is_unused(program)]
        for program in wanted:
            _check_section(program, self.bindings, self.spec.name)
        return {program.name: build_image(self.spec, program.name) for program in wanted}

    def load_types(self, held: ExitStack) -> int:
        """The descriptor of the object's BTF, 0 without BTF.

        BTF that the kernel refuses is omitted, with a warning, as libbpf does: few objects need it.
        """
        try:
            loaded = KernelBtf.load_known(self.spec.btf, self.spec.name) if self.spec.btf else None
        except VerifierError as refusal:
            if any(found.type == MapType.STRUCT_OPS for found in self.spec.maps.values()):
                raise
            warnings.warn(f"{refusal}; loaded without BTF", RuntimeWarning, stacklevel=3)
            loaded = None
        if loaded:
            self._btf_fd, self._describes_functions = held.enter_context(loaded).fileno(), loaded.describes_functions
        return self._btf_fd

    def load(self, name: str, image: Image, fd_array: tuple[int, ...], held: ExitStack) -> Program:
        program = self.spec.programs[name]
        if name in self.bindings:
            target, index = self.bindings[name]
            program = replace(program, expected_attach_type=index)
        else:
            target = find_target(program, self.spec.name, self.targets, held)
        if not self._describes_functions:
            image = replace(image, functions=(), lines=())
        return Program.load(program, image, self.spec.license, self._btf_fd, target, fd_array)

    def _is_unused(self, program: ProgramSpec) -> bool:
        """Whether it is a member of nothing but structs that are not made."""
        structs = (found for found in self.spec.maps.values() if found.type == MapType.STRUCT_OPS)
        members = {name for found in structs for _, name in found.values}
        return program.name in members and program.name not in self.bindings


def _fit(spec: ObjectSpec, types: Btf | Iterable[Btf], loads: Collection[str]) -> ObjectSpec:
    """``spec`` fitted to ``types`` by CO-RE, which is imported where there is something to fit."""
    if not any(each.core for name, each in spec.functions.items() if name in loads):
        return spec
    from ...obj import apply_core

    return apply_core(spec, types, loads)


def _bind_metadata(spec: ObjectSpec, maps: Mapping[str, Map], programs: Mapping[str, Program]) -> None:
    """Binds ``.rodata`` maps with metadata (``bpf_metadata_*``), which no instruction uses, to each program.

    So bpftool finds the metadata. libbpf binds every .rodata map. A failure is ignored.
    """
    named = (each.map for each in spec.variables.values() if each.name.startswith(_METADATA))
    for name in {each for each in named if each.startswith(".rodata") and each in maps}:
        for program in programs.values():
            with suppress(KernelError):  # Linux before 5.10
                program.bind_map(maps[name])


def _check_section(program: ProgramSpec, bindings: Collection[str], name: str) -> None:
    what = f"{name}: program '{program.name}'"
    if program.type == ProgramType.UNSPEC:
        known = known_sections(program.section)
        near = " or ".join(f'SEC("{each}")' for each in known) or "one that libbpf documents"
        kind = section_kind(known[0]) if known else None
        typed = f"replace(spec.programs['{program.name}'], type=ProgramType.{kind.type.name if kind else '...'})"
        fact = f"section '{program.section}' has no known program type; is it meant to be {near}?"
        raise ObjectError(f"{what}: {fact} If not, give it a type: spec.programs['{program.name}'] = {typed}")
    if program.type == ProgramType.STRUCT_OPS and program.name not in bindings:
        raise ObjectError(f'{what} is a member of no struct; name it in a variable of SEC(".struct_ops")')
