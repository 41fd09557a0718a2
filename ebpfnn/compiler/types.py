"""The BTF of a compiled body. Without BTF, the kernel accepts neither line information nor calls of subprograms and kfuncs.

A table of types is written as Documentation/bpf/btf.rst (Linux 6.18) describes; ids count from 1 in the order of the records.
"""

from __future__ import annotations

import struct

from ..abi import INFER
from ..obj import Btf, KernelSymbol, Kind, Line, Linkage, SymbolKind

FUNCTION = 8
"""The id of ``int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""
ITERATOR_NEW, ITERATOR_NEXT, ITERATOR_DESTROY = "bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"
_SIGNED = 1 << 24
_INT, _CONST_VOID, _SAMPLE, _RESULT, _RESULT_POINTER, _LONG = 1, 2, 3, 4, 5, 6


class TypeTable:
    """The body's types, and the source lines shown in listings and in the verifier's log."""

    def __init__(self) -> None:
        self._types, self._strings = bytearray(), bytearray(b"\0")
        self._ids = self._turn = self.callbacks = 0
        self._file = self.string("network")
        self._add(Kind.INT, "int", 4, _SIGNED | 32)
        self._add(Kind.CONST, "", 0)
        self._add(Kind.PTR, "", _CONST_VOID)
        self._add(Kind.STRUCT, "ebpfnn_result", 0)
        self._add(Kind.PTR, "", _RESULT)
        self._add(Kind.INT, "unsigned long long", 8, 64)
        prototype = self._prototype(_INT, (("sample", _SAMPLE), ("result", _RESULT_POINTER)))
        self._add(Kind.FUNC, INFER, prototype, vlen=Linkage.GLOBAL)

    def line(self, index: int, number: int, text: str) -> Line:
        """Says that instruction ``index`` comes from line ``number`` of an invented file, with the content ``text``."""
        return Line(index, self._file, self.string(text), number, 0)

    def iterator(self) -> dict[str, KernelSymbol]:
        """The kernel's functions over ``struct bpf_iter_num``, as its vmlinux.h declares them."""
        array = self._add(Kind.ARRAY, "", 0, _LONG, _INT, 1)
        iterator = self._add(Kind.STRUCT, "bpf_iter_num", 8, self.string("__opaque"), array, 0, vlen=1)
        pointer, number = self._add(Kind.PTR, "", iterator), self._add(Kind.PTR, "", _INT)
        prototypes = {
            ITERATOR_NEW: self._prototype(_INT, (("it", pointer), ("start", _INT), ("end", _INT))),
            ITERATOR_NEXT: self._prototype(number, (("it", pointer),)),
            ITERATOR_DESTROY: self._prototype(0, (("it", pointer),)),
        }
        return {name: KernelSymbol(name, SymbolKind.FUNCTION, type_id) for name, type_id in prototypes.items()}

    def callback(self, name: str) -> int:
        """The id of ``static int name(unsigned long long turn, void *frame)``, which bpf_loop calls."""
        if not self._turn:
            pointer = self._add(Kind.PTR, "", 0)
            self._turn = self._prototype(_INT, (("turn", _LONG), ("frame", pointer)))
        self.callbacks += 1
        return self._add(Kind.FUNC, name, self._turn, vlen=Linkage.STATIC)

    def string(self, text: str) -> int:
        """The offset of ``text`` in the string table."""
        self._strings += text.encode() + b"\0"
        return len(self._strings) - len(text.encode()) - 1

    def btf(self) -> Btf:
        return Btf(bytes(self._types), bytes(self._strings))

    def _prototype(self, returns: int, parameters: tuple[tuple[str, int], ...]) -> int:
        words = [word for name, type_id in parameters for word in (self.string(name), type_id)]
        return self._add(Kind.FUNC_PROTO, "", returns, *words, vlen=len(parameters))

    def _add(self, kind: Kind, name: str, reference: int, *tail: int, vlen: int = 0) -> int:
        words = (self.string(name) if name else 0, kind << 24 | vlen, reference, *tail)
        self._types += struct.pack(f"<{len(words)}I", *words)
        self._ids += 1
        return self._ids
