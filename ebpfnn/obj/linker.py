"""Links two objects: each defines extern functions that the other calls.

The kernel refuses an extern function in a program's BTF. It verifies a global function on its own, and there a ``const void *``
has no size (``btf_prepare_func_args``, Linux 5.6 and later). So the extern becomes a typedef of its prototype, and the
definition becomes static: it is verified at each call, with the arguments of the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from ..errors import LinkerError
from .btf import Btf, Kind, Linkage
from .maps import holds_values
from .object_spec import ObjectSpec
from .spec import Function, KernelSymbol, MapSpec, Relocation, RelocationKind, SymbolKind, Variable

_T = TypeVar("_T")
_MAX_POINTERS = 32  # to pointers: a type that points to itself has no end


def link(first: ObjectSpec, second: ObjectSpec) -> ObjectSpec:
    """Links both objects into a new one; neither is changed.

    Functions that are not exported, data sections and their variables never clash: those of ``second`` get its name as a prefix
    if necessary. License and name are those of ``first``.

    An extern of the kernel that both declare is merged; it is weak if it is weak in both.

    Raises :class:`LinkerError` if both define one function, program or map, if one calls a function that the other does not
    export, if prototypes or types of externs differ, or if the licenses differ.
    """
    if first.license != second.license:
        raise LinkerError(
            f"{first.name} and {second.name}: licenses '{first.license}' and '{second.license}' differ; "
            "a program has one license; give both objects the same"
        )
    for caller, definer in ((first, second), (second, first)):
        for extern in sorted(caller.externs & set(definer.functions)):
            _check_extern(caller, definer, extern)
    for name in sorted(first.kernel_symbols.keys() & second.kernel_symbols.keys()):
        _check_kernel_symbol(first, second, name)
    joined = _Renamed(first, second).spec
    functions = {**first.functions, **joined.functions}
    btf = _join_btf(first, joined, functions)
    return ObjectSpec(
        name=first.name,
        license=first.license,
        btf=btf,
        functions=functions,
        programs=_disjoint(first, second, "program", first.programs, joined.programs),
        maps=_disjoint(first, second, "map", first.maps, joined.maps),
        variables={**joined.variables, **first.variables},
        externs=(first.externs | second.externs) - set(functions),
        kernel_symbols=_join_symbols(first, joined),
        addresses=first.addresses | joined.addresses,
    )


class _Renamed:
    """``second``, with names that do not clash with ``first``, and with BTF ids that follow those of ``first``."""

    def __init__(self, first: ObjectSpec, second: ObjectSpec) -> None:
        self.types = len(first.btf) - 1 if first.btf and second.btf else 0
        self.strings = first.btf.string_bytes if first.btf and second.btf else 0
        self.functions = {name: self._function_name(first, second, name) for name in second.functions}
        self.maps = {name: _free(second, name, first.maps) if holds_values(name) else name for name in second.maps}
        self.shared = [
            (symbol, first.kernel_symbols[name], second.btf.size_of(symbol.type_id))
            for name, symbol in second.kernel_symbols.items()
            if second.btf and name in first.kernel_symbols and symbol.kind is SymbolKind.KCONFIG
        ]
        self.spec = ObjectSpec(
            second.name,
            second.license,
            second.btf,
            {self.functions[name]: self._function(function) for name, function in second.functions.items()},
            second.programs,
            {self.maps[name]: self._map(spec) for name, spec in second.maps.items()},
            {name: self._variable(variable) for name, variable in second.variables.items()},
            second.externs,
            {name: self._symbol(symbol) for name, symbol in second.kernel_symbols.items()},
            frozenset(self.maps[name] for name in second.addresses if name in self.maps),
        )

    @staticmethod
    def _function_name(first: ObjectSpec, second: ObjectSpec, name: str) -> str:
        if name not in first.functions:
            return name
        if first.functions[name].exported and second.functions[name].exported:
            raise LinkerError(f"function '{name}' is defined in {first.name} and in {second.name}; link only one of them")
        return _free(second, name, first.functions)

    def _function(self, function: Function) -> Function:
        return replace(
            function,
            name=self.functions[function.name],
            relocations=tuple(self._relocation(relocation) for relocation in function.relocations),
            type_id=function.type_id and function.type_id + self.types,
            lines=tuple(replace(line, file=line.file + self.strings, text=line.text + self.strings) for line in function.lines),
            core=tuple(replace(each, type_id=each.type_id and each.type_id + self.types) for each in function.core),
        )

    def _relocation(self, relocation: Relocation) -> Relocation:
        if relocation.kind is RelocationKind.DATA:
            for theirs, ours, size in self.shared:
                if relocation.symbol == theirs.map and theirs.offset <= relocation.addend < theirs.offset + size:
                    # The loader fills in the value at one place.
                    return replace(relocation, symbol=ours.map, addend=relocation.addend - theirs.offset + ours.offset)
        symbol = self.functions.get(relocation.symbol) or self.maps.get(relocation.symbol) or relocation.symbol
        return replace(relocation, symbol=symbol)

    def _map(self, spec: MapSpec) -> MapSpec:
        return replace(
            spec,
            name=self.maps[spec.name],
            key_type_id=spec.key_type_id and spec.key_type_id + self.types,
            value_type_id=spec.value_type_id and spec.value_type_id + self.types,
            inner=spec.inner and self._inner(spec.inner),
            values=tuple((key, self.maps.get(value) or self.functions.get(value, value)) for key, value in spec.values),
        )

    def _inner(self, spec: MapSpec) -> MapSpec:
        return replace(
            spec,
            key_type_id=spec.key_type_id and spec.key_type_id + self.types,
            value_type_id=spec.value_type_id and spec.value_type_id + self.types,
        )

    def _symbol(self, symbol: KernelSymbol) -> KernelSymbol:
        type_id = symbol.type_id and symbol.type_id + self.types
        return replace(symbol, type_id=type_id, map=self.maps.get(symbol.map, symbol.map))

    def _variable(self, variable: Variable) -> Variable:
        return replace(variable, map=self.maps[variable.map])


def _free(second: ObjectSpec, name: str, taken: Mapping[str, object]) -> str:
    """``name`` with that of its object as a prefix, repeated if several objects have that name."""
    while name in taken:
        name = f"{second.name}:{name}"
    return name


def _disjoint(first: ObjectSpec, second: ObjectSpec, what: str, ours: dict[str, _T], theirs: dict[str, _T]) -> dict[str, _T]:
    clash = set(ours) & set(theirs)
    if clash:
        raise LinkerError(f"{what} '{min(clash)}' is defined in {first.name} and in {second.name}; rename one")
    return {**ours, **theirs}


def _join_btf(first: ObjectSpec, second: ObjectSpec, functions: dict[str, Function]) -> Btf | None:
    """Both type tables in one. If one object has no types, the result has none: func_info is for every function or for none."""
    if first.btf is None or second.btf is None:
        return None
    btf = Btf.from_bytes(first.btf.to_bytes())
    btf.append(second.btf)
    resolved = (first.externs | second.externs) & set(functions)
    for type_id in range(1, len(btf)):
        found = btf[type_id]
        if found.kind is Kind.FUNC and found.name in resolved:
            if found.vlen == Linkage.EXTERN:
                btf.retire_extern(type_id)
            else:
                btf.set_linkage(type_id, Linkage.STATIC)
    return btf


def _check_extern(caller: ObjectSpec, definer: ObjectSpec, name: str) -> None:
    if not definer.functions[name].exported:
        raise LinkerError(f"function '{name}', which {caller.name} calls, is static in {definer.name}; make it global")
    prototypes = [_prototype(spec.btf, name) for spec in (caller, definer) if spec.btf]
    if len(prototypes) == 2 and None not in prototypes and prototypes[0] != prototypes[1]:
        raise LinkerError(
            f"function '{name}' is ({prototypes[0]}) in {caller.name} but ({prototypes[1]}) in {definer.name}; "
            "build both against the same header"
        )


def _check_kernel_symbol(first: ObjectSpec, second: ObjectSpec, name: str) -> None:
    ours, theirs = (_declaration(spec, spec.kernel_symbols[name]) for spec in (first, second))
    if ours != theirs:
        raise LinkerError(
            f"extern '{name}' is {ours} in {first.name} but {theirs} in {second.name}; declare it the same in both"
        )


def _declaration(spec: ObjectSpec, symbol: KernelSymbol) -> str:
    """The kind of an extern, and its type, as text."""
    what = "__kconfig" if symbol.kind is SymbolKind.KCONFIG else "__ksym"
    if spec.btf is None:
        return what
    if symbol.kind is SymbolKind.FUNCTION:
        return f"{what} ({_parameters(spec.btf, symbol.type_id)})"
    size = f" of {spec.btf.size_of(symbol.type_id)} bytes" if symbol.kind is SymbolKind.KCONFIG else ""
    return f"{what} {_type_name(spec.btf, symbol.type_id)}{size}"


def _join_symbols(first: ObjectSpec, joined: ObjectSpec) -> dict[str, KernelSymbol]:
    ours = {
        name: replace(symbol, weak=symbol.weak and (name not in joined.kernel_symbols or joined.kernel_symbols[name].weak))
        for name, symbol in first.kernel_symbols.items()
    }
    return {**joined.kernel_symbols, **ours}


def _prototype(btf: Btf, name: str) -> str | None:
    """The prototype as text, without parameter names: an extern's BTF has none."""
    type_id = btf.find(name, Kind.FUNC)
    if type_id is None:
        return None
    return _parameters(btf, btf[type_id].reference)


def _parameters(btf: Btf, prototype: int) -> str:
    parameters = ", ".join(_type_name(btf, parameter) for _, parameter in btf.parameters(prototype))
    return f"{parameters} -> {_type_name(btf, btf[prototype].reference)}"


def _type_name(btf: Btf, type_id: int) -> str:
    found, stars = btf[btf.resolve(type_id)], ""
    while found.kind is Kind.PTR and len(stars) < _MAX_POINTERS:
        found, stars = btf[btf.resolve(found.reference)], stars + " *"
    return (found.name or found.kind.name.lower()) + stars
