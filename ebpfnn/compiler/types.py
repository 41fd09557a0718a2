"""The BTF of a compiled body. Without BTF, the kernel accepts neither line information nor calls of subprograms and kfuncs."""

from __future__ import annotations

from ..abi import INFER
from ..obj import Btf, KernelSymbol, Kind, Line, Linkage, SymbolKind
from ..obj.btf.writer import SIGNED, BtfWriter

FUNCTION = 8
"""The id of ``int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""
ITERATOR_NEW, ITERATOR_NEXT, ITERATOR_DESTROY = "bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy"
_INT, _CONST_VOID, _SAMPLE, _RESULT, _RESULT_POINTER, _LONG = 1, 2, 3, 4, 5, 6


class TypeTable:
    """The body's types, and the source lines shown in listings and in the verifier's log."""

    def __init__(self) -> None:
        self._types = BtfWriter()
        self._turn = self.callbacks = 0
        self._file = self._types.string("network")
        add = self._types.add
        add(Kind.INT, "int", 4, SIGNED | 32)
        add(Kind.CONST, "", 0)
        add(Kind.PTR, "", _CONST_VOID)
        add(Kind.STRUCT, "ebpfnn_result", 0)
        add(Kind.PTR, "", _RESULT)
        add(Kind.INT, "unsigned long long", 8, 64)
        prototype = self._types.prototype(_INT, (("sample", _SAMPLE), ("result", _RESULT_POINTER)))
        add(Kind.FUNC, INFER, prototype, vlen=Linkage.GLOBAL)

    def line(self, index: int, number: int, text: str) -> Line:
        """Says that instruction ``index`` comes from line ``number`` of an invented file, with the content ``text``."""
        return Line(index, self._file, self._types.string(text), number, 0)

    def iterator(self) -> dict[str, KernelSymbol]:
        """The kernel's functions over ``struct bpf_iter_num``, as its vmlinux.h declares them."""
        types = self._types
        array = types.add(Kind.ARRAY, "", 0, _LONG, _INT, 1)
        iterator = types.struct("bpf_iter_num", 8, (("__opaque", array, 0),))
        pointer, number = types.add(Kind.PTR, "", iterator), types.add(Kind.PTR, "", _INT)
        prototypes = {
            ITERATOR_NEW: types.prototype(_INT, (("it", pointer), ("start", _INT), ("end", _INT))),
            ITERATOR_NEXT: types.prototype(number, (("it", pointer),)),
            ITERATOR_DESTROY: types.prototype(0, (("it", pointer),)),
        }
        return {name: KernelSymbol(name, SymbolKind.FUNCTION, type_id) for name, type_id in prototypes.items()}

    def callback(self, name: str) -> int:
        """The id of ``static int name(unsigned long long turn, void *frame)``, which bpf_loop calls."""
        if not self._turn:
            pointer = self._types.add(Kind.PTR, "", 0)
            self._turn = self._types.prototype(_INT, (("turn", _LONG), ("frame", pointer)))
        self.callbacks += 1
        return self._types.add(Kind.FUNC, name, self._turn, vlen=Linkage.STATIC)

    def btf(self) -> Btf:
        return self._types.btf()
