"""Writes a table of types for code that no compiler of C made (Documentation/bpf/btf.rst, Linux 6.18)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from .btf import Btf
from .btf_kinds import Kind

SIGNED = 1 << 24
"""Added to the number of bits of an INT that is signed."""


class BtfWriter:
    """Collects types. Ids count from 1, in the order of the records."""

    def __init__(self) -> None:
        self._types, self._strings = bytearray(), bytearray(b"\0")
        self._ids = 0

    def add(self, kind: Kind, name: str, reference: int, *tail: int, vlen: int = 0) -> int:
        """Appends a record: its name ("" for none), its size or type, and the words behind the first three. Returns its id."""
        words = (self.string(name), kind << 24 | vlen, reference, *tail)
        self._types += struct.pack(f"<{len(words)}I", *words)
        self._ids += 1
        return self._ids

    def prototype(self, returns: int, parameters: Sequence[tuple[str, int]]) -> int:
        """A FUNC_PROTO of ``parameters``, each a name and a type id. Returns its id."""
        words = [word for name, type_id in parameters for word in (self.string(name), type_id)]
        return self.add(Kind.FUNC_PROTO, "", returns, *words, vlen=len(parameters))

    def struct(self, name: str, size: int, members: Sequence[tuple[str, int, int]]) -> int:
        """A STRUCT of ``size`` bytes; ``members`` are name, type id and offset in bytes. Returns its id."""
        words = [word for member, type_id, offset in members for word in (self.string(member), type_id, 8 * offset)]
        return self.add(Kind.STRUCT, name, size, *words, vlen=len(members))

    def string(self, text: str) -> int:
        """The offset of ``text``, which is appended to the string table; 0, no name, for "" (``btf_func_proto_check``)."""
        if not text:
            return 0
        self._strings += text.encode() + b"\0"
        return len(self._strings) - len(text.encode()) - 1

    def btf(self) -> Btf:
        return Btf(bytes(self._types), bytes(self._strings))
