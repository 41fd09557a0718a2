"""The records of a BTF type section, as words.

One pass finds where each record begins. Everything else is decoded when it is used. The BTF of a kernel has about 130,000
records, so the pass does no more for each record than it needs to find the next one.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator, Sequence

from ...errors import ObjectError
from .btf_kinds import Kind, entry_words, kind_of, own_words, pattern

_WORD = struct.Struct("<I")
_FIXED = 3  # words that every record begins with: name, info, size or type


class _Lengths(dict[int, int]):
    """The length of a record in words, by its info word. Few different info words occur, so the lengths are cached."""

    def __missing__(self, info: int) -> int:
        kind = kind_of(info)
        if kind is None:
            raise ObjectError(f"a type is of unknown kind {info >> 24 & 31}")
        self[info] = length = _FIXED + own_words(kind) + entry_words(kind) * (info & 0xFFFF)
        return length


class Records:
    """A type section. Records are numbered from 0. :class:`~ebpfnn.obj.Btf` converts these numbers to type ids."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._words = array("I")
        self._starts = array("I")
        self._names = array("I")
        self._packed_names = b""
        self._take(data)

    def __len__(self) -> int:
        return len(self._starts)

    def to_bytes(self) -> bytes:
        words = self._words
        if sys.byteorder == "big":
            words = words[:]
            words.byteswap()
        return words.tobytes()

    def fixed(self, number: int) -> tuple[int, int, int]:
        """Name, info, and size or type."""
        name, info, reference = self._words[(at := self._starts[number]) : at + _FIXED]
        return name, info, reference

    def info(self, number: int) -> int:
        return self._words[self._starts[number] + 1]

    def own(self, number: int) -> array[int]:
        """The words between the first three and the entries."""
        at = self._starts[number] + _FIXED
        kind = kind_of(self._words[at - 2]) or Kind.VOID
        return self._words[at : at + own_words(kind)]

    def entries(self, number: int) -> Iterator[tuple[int, ...]]:
        at = self._starts[number]
        info = self._words[at + 1]
        kind = kind_of(info) or Kind.VOID
        step = entry_words(kind)
        if step:
            at += _FIXED + own_words(kind)
            words = iter(self._words[at : at + step * (info & 0xFFFF)])
            yield from zip(*[words] * step, strict=True)

    def entry(self, number: int, place: int) -> tuple[int, ...]:
        """Returns number ``place`` of :meth:`entries`, counted from 0. The entry must exist."""
        at = self._starts[number]
        kind = kind_of(self._words[at + 1]) or Kind.VOID
        at += _FIXED + own_words(kind) + place * entry_words(kind)
        return tuple(self._words[at : at + entry_words(kind)])

    def named(self, offsets: Sequence[int]) -> Iterator[int]:
        """Yields the records whose name is the string at one of ``offsets``, in ascending order."""
        if len(offsets) == 1:
            yield from self._named(offsets[0])
        elif offsets:
            several = frozenset(offsets)
            yield from (number for number, name in enumerate(self._names) if name in several)

    def _named(self, offset: int) -> Iterator[int]:
        self._packed_names = self._packed_names or self._names.tobytes()
        names, wanted = self._packed_names, array("I", [offset]).tobytes()
        at = names.find(wanted)
        while at >= 0:
            if at % 4 == 0:
                yield at // 4
            at = names.find(wanted, at + 1)

    def set_info(self, number: int, kind: Kind, vlen: int) -> None:
        """Changes the kind and the vlen of a record. The new kind must have a layout of the same length."""
        self._words[self._starts[number] + 1] = kind << 24 | vlen

    def set_section(self, number: int, size: int, entries: list[tuple[int, int, int]]) -> None:
        """Rewrites the size and the entries of a DATASEC. The number of entries must not change."""
        at = self._starts[number]
        self._words[at + 2] = size
        words = array("I", [word for entry in entries for word in entry])
        self._words[at + _FIXED : at + _FIXED + len(words)] = words

    def extend(self, other: Records, types: int, strings: int) -> None:
        """Appends the records of ``other``.

        Adds ``types`` to their type ids and ``strings`` to their string offsets. An id or offset of 0 stays 0.
        """
        first, self._packed_names = len(self), b""
        self._take(other.to_bytes())
        for number in range(first, len(self)):
            self._shift(number, types, strings)
            self._names[number] = self._words[self._starts[number]]

    def _shift(self, number: int, types: int, strings: int) -> None:
        at = self._starts[number]
        info = self._words[at + 1]
        moves = {"t": types, "s": strings, ".": 0}
        for place, what in enumerate(pattern(kind_of(info) or Kind.VOID, info & 0xFFFF), at):
            if self._words[place]:
                try:
                    self._words[place] += moves[what]
                except OverflowError:
                    raise ObjectError(f"BTF: record {number + 1} refers past 2^32; rebuild the object") from None

    def _take(self, data: bytes | bytearray) -> None:
        if len(data) % _WORD.size:
            raise ObjectError("BTF: its last type runs past the end of the type section; rebuild the object")
        start = len(self._words)
        added = array("I", bytes(data))
        if sys.byteorder == "big":
            added.byteswap()
        self._words += added
        try:
            end = self._index(start)
        except (ObjectError, IndexError) as fault:
            reason = fault if isinstance(fault, ObjectError) else "a type is cut short"
            raise ObjectError(f"BTF: {reason} (the {len(self)}. record); rebuild the object") from None
        if end != len(self._words):
            raise ObjectError(f"BTF: the {len(self)}. record runs past the end of the type section; rebuild the object")

    def _index(self, at: int) -> int:
        """Stores the start and the name of each record from word ``at`` on. Returns the word at which the last one ends."""
        words, lengths, end = self._words, _Lengths(), len(self._words)
        begins, named = self._starts.append, self._names.append
        while at < end:
            begins(at)
            named(words[at])
            at += lengths[words[at + 1]]
        return at
