"""CO-RE (compile once, run everywhere): adapts an object's accesses to kernel structures to the BTF of one kernel.

The rules are those of libbpf and of the kernel (tools/lib/bpf/relo_core.c, Linux 6.18).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from ...errors import ObjectError
from .. import insn
from ..btf import Btf
from ..object_spec import ObjectSpec
from ..spec import Function
from .core_access import Access, parse_access, type_name
from .core_match import Mismatch, candidates, match, similar_types
from .core_patch import accesses_memory, patch_value, poison
from .core_relocation import CoreKind, CoreRelocation, Unresolved
from .core_types import Comparison, essential_name
from .core_value import Value, may_resize, value_of

_Reason = Callable[[], str]
"""Returns why a relocation has no value.

It searches all names of the kernel's types, so it is called only if a program fails to load.
"""


def apply_core(spec: ObjectSpec, target: Btf | Iterable[Btf], functions: Collection[str] | None = None) -> ObjectSpec:
    """Returns a new object, adapted to the types of ``target``. ``spec`` is not changed.

    ``functions`` names the functions that are needed; the default is all. The other functions keep their relocations.

    ``target`` can be several BTFs, such as those of a kernel and its modules. The later ones are taken from the iterable and
    searched only for types that the first does not have. If the target lacks what an instruction needs, the instruction is
    replaced by one that the verifier refuses if it is reached. :attr:`Function.unresolved` lists these instructions.

    Raises :class:`ObjectError` for a relocation that contradicts the object, or whose candidates in the target disagree.
    """
    wanted = {name: each for name, each in spec.functions.items() if each.core and (functions is None or name in functions)}
    if not wanted:
        return spec
    if spec.btf is None:
        raise ObjectError(f"{spec.name}: CO-RE relocations without BTF; build it with clang -g")
    resolver = _Resolver(spec.btf, iter((target,) if isinstance(target, Btf) else target))
    fitted = {name: _fit(spec, function, resolver) for name, function in wanted.items()}
    return replace(spec, functions={**spec.functions, **fitted})


def _fit(spec: ObjectSpec, function: Function, resolver: _Resolver) -> Function:
    code = bytearray(function.code)
    unresolved = []
    for relocation in function.core:
        try:
            reason = resolver.relocate(code, relocation)
        except ObjectError as fault:
            raise ObjectError(f"{_place(spec, function, relocation.index)}: {fault}") from None
        if reason:
            poison(code, relocation.index)
            unresolved.append(Unresolved(relocation.index, partial(_why, spec, function, relocation.index, reason)))
    return replace(function, code=bytes(code), core=(), unresolved=tuple(unresolved))


def _why(spec: ObjectSpec, function: Function, index: int, reason: _Reason) -> str:
    return f"{_place(spec, function, index)}: {reason()}"


def _place(spec: ObjectSpec, function: Function, index: int) -> str:
    """Returns a text such as ``a.o: function 'on_exit', a.bpf.c:12 (`pid = task->pid;`)``."""
    what = f"{spec.name}: function '{function.name}'"
    lines = bisect_right(function.lines, index, key=lambda line: line.index)
    if not lines or spec.btf is None:
        return f"{what}, instruction {index}"
    line = function.lines[lines - 1]
    file, text = spec.btf.string(line.file).rpartition("/")[2], spec.btf.string(line.text).strip()
    return f"{what}, {file}:{line.line}" + (f" (`{text}`)" if text else "")


class _Answer(NamedTuple):
    """The value of a relocation in the object (``ours``) and in the kernel (``theirs``, found in ``target``).

    ``absence`` returns why the kernel has no value.
    """

    access: Access
    ours: Value | None
    theirs: Value | None
    target: Btf | None
    absence: _Reason


class _Resolver:
    """Finds the values of the relocations of one object in the targets.

    Candidates are cached for each type. Answers are cached too, because many instructions have the same relocation: an answer
    depends only on the kind, the type and the access string.
    """

    def __init__(self, local: Btf, targets: Iterator[Btf]) -> None:
        self.local, self._coming = local, targets
        self._targets: list[Btf] = []
        self._candidates: dict[int, list[tuple[Comparison, int]]] = {}
        self._comparisons: dict[int, Comparison] = {}
        self._answers: dict[tuple[CoreKind, int, str], _Answer] = {}

    def relocate(self, code: bytearray, relocation: CoreRelocation) -> _Reason | None:
        """Patches one instruction and returns None, or returns why it cannot be patched."""
        if relocation.index * insn.SIZE >= len(code):
            raise ObjectError("a CO-RE relocation past the function's end; rebuild the object")
        access, ours, theirs, target, absence = self._answer(relocation)
        if ours is None or theirs is None:
            guard = "enum_value" if relocation.kind.of_enumerator else "field"
            return lambda: f"{absence()}; guard it with bpf_core_{guard}_exists()"
        resized = ours.size != theirs.size and accesses_memory(code, relocation.index)
        if resized and target and not may_resize(self.local, ours, target, theirs):
            return lambda: (
                f"{access} takes {ours.size} bytes in the object and {theirs.size} in the kernel, and neither pointers nor "
                "unsigned integers are read; declare it as the kernel does"
            )
        patch_value(code, relocation.index, ours, theirs)
        return None

    def _answer(self, relocation: CoreRelocation) -> _Answer:
        key = relocation.kind, relocation.type_id, relocation.access
        if key not in self._answers:
            self._answers[key] = self._resolve(relocation)
        return self._answers[key]

    def _resolve(self, relocation: CoreRelocation) -> _Answer:
        kind = relocation.kind
        access = parse_access(self.local, relocation)
        ours = value_of(kind, access)
        if kind is CoreKind.TYPE_ID_LOCAL and ours:
            return _Answer(access, ours, ours, None, str)
        matched, absence = self._match(access, kind, relocation.type_id)
        theirs = self._agreed(access, kind, matched)
        return _Answer(access, ours, theirs, matched[0].btf if matched else None, absence)

    def _match(self, access: Access, kind: CoreKind, type_id: int) -> tuple[list[Access], _Reason]:
        """Returns the paths into the candidates that match, and the reason in case none does."""
        known = self._candidates_for(type_id)
        answers = [(candidate, match(access, kind, *candidate)) for candidate in known]
        matched = [(candidate, answer) for candidate, answer in answers if isinstance(answer, Access)]
        if matched:
            self._candidates[type_id] = [candidate for candidate, _ in matched]
        mismatch = next((answer for _, answer in answers if isinstance(answer, Mismatch)), None)
        why = partial(str, mismatch) if mismatch else partial(self._missing, type_id)
        return [answer for _, answer in matched], why

    def _agreed(self, access: Access, kind: CoreKind, matched: list[Access]) -> Value | None:
        values = [value_of(kind, found) for found in matched] or [value_of(kind, None)]
        answers = {(found.bit_offset, value and value.value) for found, value in zip(matched, values, strict=False)}
        if len(answers) > 1:
            told = " and ".join(sorted(f"{value} at bit {offset}" for offset, value in answers))
            raise ObjectError(
                f"CO-RE relocation {access} {kind.label} is ambiguous: the kernel's types of that name say {told}; "
                "declare more of the type, or read it another way"
            )
        return values[0]

    def _candidates_for(self, type_id: int) -> list[tuple[Comparison, int]]:
        if type_id not in self._candidates:
            first = self._in(self._target(0), type_id)
            self._candidates[type_id] = first or [found for target in self._others() for found in self._in(target, type_id)]
        return self._candidates[type_id]

    def _in(self, target: Btf | None, type_id: int) -> list[tuple[Comparison, int]]:
        if target is None:
            return []
        comparison = self._comparisons.setdefault(id(target), Comparison(self.local, target))
        return [(comparison, found) for found in candidates(self.local, type_id, target)]

    def _target(self, number: int) -> Btf | None:
        while len(self._targets) <= number:
            coming = next(self._coming, None)
            if coming is None:
                return None
            self._targets.append(coming)
        return self._targets[number]

    def _others(self) -> Iterator[Btf]:
        number = 1
        while (target := self._target(number)) is not None:
            yield target
            number += 1

    def _missing(self, type_id: int) -> str:
        found = self.local[type_id]
        name = essential_name(found.name)
        close = similar_types(name, found.kind, self._targets)
        instead = f"; it has {', '.join(close)}" if close else ""
        return f"the kernel has no {found.kind.name.lower()} {name or type_name(self.local, type_id)}{instead}"
