"""A program's image: its function and every function that it calls, laid out one after the other as the kernel needs them.

Calls are resolved here. Values that only the kernel can give, such as addresses of maps, stay in :attr:`Image.pending`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..errors import ObjectError
from . import insn
from .core.core_relocation import Unresolved
from .object_spec import ObjectSpec
from .spec import Function, Line, Relocation, RelocationKind

_TO_FUNCTION = (RelocationKind.CALL, RelocationKind.FUNCTION)


@dataclass(frozen=True)
class Image:
    """``functions`` and ``lines`` are func_info (instruction, FUNC id) and line_info, counted from the image's start.

    ``names`` tells the function that begins at an instruction, in order; ``unresolved`` what CO-RE found missing.
    """

    code: bytes
    pending: tuple[Relocation, ...]
    functions: tuple[tuple[int, int], ...]
    lines: tuple[Line, ...]
    names: tuple[tuple[int, str], ...]
    unresolved: tuple[Unresolved, ...] = ()


def build_image(spec: ObjectSpec, program: str) -> Image:
    """Lays out ``program``. Raises :class:`ObjectError` if a function that it calls is not defined."""
    functions = _reachable(spec, program)
    starts: dict[str, int] = {}
    size = 0
    for function in functions:
        starts[function.name] = size
        size += len(function.code) // insn.SIZE
    code = bytearray(b"".join(function.code for function in functions))
    pending: list[Relocation] = []
    for function in functions:
        for relocation in function.relocations:
            _refuse_addresses(spec, function, relocation)
            placed = replace(relocation, index=relocation.index + starts[function.name])
            if placed.kind in _TO_FUNCTION:
                _point_at(code, placed, starts[placed.symbol])
            else:
                pending.append(placed)
    names = tuple((start, name) for name, start in starts.items())
    unresolved = tuple(replace(u, index=u.index + starts[f.name]) for f in functions for u in f.unresolved)
    return Image(bytes(code), tuple(pending), *_debug_info(functions, starts), names, unresolved)


def reached(spec: ObjectSpec, programs: Iterable[str]) -> set[str]:
    """The functions of ``spec`` that the programs consist of: their own, and all that these call."""
    names = list(programs)
    seen = set(names)
    for name in names:
        for relocation in spec.functions[name].relocations if name in spec.functions else ():
            if relocation.kind in _TO_FUNCTION and relocation.symbol not in seen:
                seen.add(relocation.symbol)
                names.append(relocation.symbol)
    return seen


def _reachable(spec: ObjectSpec, program: str) -> list[Function]:
    """The program first, then the functions that it calls, in call order: the kernel wants the entry point first."""
    order = [_function(spec, program, program)]
    seen = {program}
    for function in order:
        for relocation in function.relocations:
            if relocation.kind in _TO_FUNCTION and relocation.symbol not in seen:
                seen.add(relocation.symbol)
                order.append(_function(spec, relocation.symbol, function.name))
    return order


def _function(spec: ObjectSpec, name: str, caller: str) -> Function:
    if name not in spec.functions:
        raise ObjectError(f"{spec.name}: '{caller}' calls '{name}', which no object defines; link one that does")
    return spec.functions[name]


def _refuse_addresses(spec: ObjectSpec, function: Function, relocation: Relocation) -> None:
    if relocation.kind is RelocationKind.DATA and relocation.symbol in spec.addresses:
        raise ObjectError(
            f"{spec.name}: '{function.name}' uses section '{relocation.symbol}', which contains addresses; they are known in "
            "code alone, fill them in at run time"
        )


def _point_at(code: bytearray, relocation: Relocation, target: int) -> None:
    """Calls and callbacks count from the next instruction."""
    found = insn.decode(code, relocation.index)
    pseudo = insn.PSEUDO_CALL if relocation.kind is RelocationKind.CALL else insn.PSEUDO_FUNC
    insn.patch(code, relocation.index, found._replace(src=pseudo, imm=target - relocation.index - 1))


def _debug_info(functions: list[Function], starts: dict[str, int]) -> tuple[tuple[tuple[int, int], ...], tuple[Line, ...]]:
    """func_info and line_info: the kernel requires them for every function of a program, or for none."""
    types = tuple((starts[function.name], function.type_id) for function in functions)
    lines = tuple(replace(line, index=line.index + starts[function.name]) for function in functions for line in function.lines)
    if not all(type_id for _, type_id in types):
        return (), ()
    begins = {line.index for line in lines}
    return types, lines if begins.issuperset(starts.values()) else ()
