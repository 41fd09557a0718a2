"""A whole object in the kernel: its BTF, its maps and its programs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

from ..obj import Image, ObjectSpec, RelocationKind, build_image, insn
from .btf import KernelBtf
from .map import Map
from .program import Program


class Object(AbstractContextManager["Object"]):
    """What :meth:`load` made of an :class:`ObjectSpec`. Closing it closes every map and program."""

    def __init__(self, name: str, maps: Mapping[str, Map], programs: Mapping[str, Program], held: ExitStack) -> None:
        self.name, self.maps, self.programs, self._held = name, maps, programs, held

    @classmethod
    def load(cls, spec: ObjectSpec) -> Object:
        """Creates the maps and loads every program of ``spec``; on failure nothing stays behind.

        Raises :class:`~ebpfnn.errors.VerifierError`, :class:`~ebpfnn.errors.KernelError`, or, before anything is created,
        :class:`~ebpfnn.errors.ObjectError` for a call that leads nowhere.
        """
        images = {name: build_image(spec, name) for name in spec.programs}
        with ExitStack() as held:
            btf = held.enter_context(KernelBtf.load(spec.btf, spec.name)).fileno() if spec.btf else 0
            maps = {name: held.enter_context(Map.create(entry, btf)) for name, entry in spec.maps.items()}
            programs = {
                name: held.enter_context(Program.load(spec.programs[name], image, _place_maps(image, maps), spec.license, btf))
                for name, image in images.items()
            }
            return cls(spec.name, maps, programs, held.pop_all())

    def close(self) -> None:
        """Closes everything. May be called twice."""
        self._held.close()

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _place_maps(image: Image, maps: Mapping[str, Map]) -> bytes:
    """The image's code with the descriptors of its maps in place; the kernel turns them into addresses."""
    code = bytearray(image.code)
    for relocation in image.pending:
        index, fd = relocation.index, maps[relocation.symbol].fileno()
        address = insn.decode(code, index)
        if relocation.kind is RelocationKind.MAP:
            insn.patch(code, index, address._replace(src=insn.PSEUDO_MAP_FD, imm=fd))
        else:
            insn.patch(code, index, address._replace(src=insn.PSEUDO_MAP_VALUE, imm=fd))
            insn.patch(code, index + 1, insn.Instruction(0, imm=relocation.addend))
    return bytes(code)
