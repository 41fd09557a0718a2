"""BTF written type by type, so that tests can also write what no compiler would."""

from __future__ import annotations

import struct

from ebpfnn.obj import Btf, Kind


class BtfWriter:
    """Types get ids from 1 in the order they are added."""

    def __init__(self) -> None:
        self.types, self.strings, self.count = b"", b"\0", 0

    def string(self, text: str) -> int:
        """The offset of ``text`` in the string table."""
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return len(self.strings) - len(text.encode()) - 1

    def add(self, kind: Kind, name: str = "", reference: int = 0, *tail: int, vlen: int = 0, flag: bool = False) -> int:
        """``tail`` are the words behind the record's three."""
        words = (self.string(name), flag << 31 | kind << 24 | vlen, reference, *tail)
        self.types += struct.pack(f"<{len(words)}I", *words)
        self.count += 1
        return self.count

    def integer(self, name: str = "int", size: int = 4) -> int:
        return self.add(Kind.INT, name, size, size * 8)

    def pointer(self, to: int) -> int:
        return self.add(Kind.PTR, "", to)

    def array(self, element: int, length: int) -> int:
        return self.add(Kind.ARRAY, "", 0, element, element, length)

    def struct(self, name: str, size: int, *members: tuple[str, int, int], flag: bool = False) -> int:
        """``members`` are (name, type, offset in bits)."""
        words = [word for member, type_id, offset in members for word in (self.string(member), type_id, offset)]
        return self.add(Kind.STRUCT, name, size, *words, vlen=len(members), flag=flag)

    def prototype(self, returns: int, *parameters: int) -> int:
        words = [word for parameter in parameters for word in (0, parameter)]
        return self.add(Kind.FUNC_PROTO, "", returns, *words, vlen=len(parameters))

    def section(self, name: str, *variables: tuple[int, int, int], size: int = 0) -> int:
        """``variables`` are (VAR, offset, size)."""
        return self.add(Kind.DATASEC, name, size, *(word for entry in variables for word in entry), vlen=len(variables))

    def btf(self) -> Btf:
        return Btf(self.types, self.strings)
