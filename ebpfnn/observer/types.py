"""The BTF of an observer: its function, the one that it calls, and the state if it has a lock."""

from __future__ import annotations

from ..abi import INFER
from ..events.fields import OBSERVER
from ..obj import Btf, Kind, Line, Linkage
from ..obj.btf.writer import SIGNED, BtfWriter
from .layout import LOCK


class Types:
    """The types, and the lines that listings and the verifier's log show for instructions."""

    def __init__(self) -> None:
        self._types = BtfWriter()
        add = self._types.add
        self._file = self._types.string("observer")
        self._int = add(Kind.INT, "int", 4, SIGNED | 32)
        void = add(Kind.PTR, "", 0)
        fields = add(Kind.PTR, "", add(Kind.STRUCT, "ebpfnn_fields", 0))
        prototype = self._types.prototype(self._int, (("fields", fields), ("context", void)))
        self.function = add(Kind.FUNC, OBSERVER, prototype, vlen=Linkage.GLOBAL)

    def declare_network(self) -> None:
        """Adds ``extern int ebpfnn_infer(const void *, struct ebpfnn_result *)``."""
        add = self._types.add
        sample = add(Kind.PTR, "", add(Kind.CONST, "", 0))
        result = add(Kind.PTR, "", add(Kind.STRUCT, "ebpfnn_result", 0))
        prototype = self._types.prototype(self._int, (("", sample), ("", result)))
        add(Kind.FUNC, INFER, prototype, vlen=Linkage.EXTERN)

    def locked_state(self, key_bytes: int, size: int) -> tuple[int, int]:
        """The types of a key, and of a state of ``size`` bytes with a lock."""
        add = self._types.add
        number = add(Kind.INT, "unsigned int", 4, 32)
        key = add(Kind.ARRAY, "", 0, number, number, key_bytes // 4)
        lock = self._types.struct("bpf_spin_lock", 4, (("val", number, 0),))
        return key, self._types.struct("ebpfnn_state", size, (("lock", lock, LOCK),))

    def line(self, index: int, number: int, text: str) -> Line:
        """Says that instruction ``index`` comes from line ``number`` of an invented file, with the content ``text``."""
        return Line(index, self._file, self._types.string(text), number, 0)

    def btf(self) -> Btf:
        return self._types.btf()
