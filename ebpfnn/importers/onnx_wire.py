"""How much is in an ONNX file, counted before protobuf makes objects of it: two bytes can become a node of a hundred.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np

from ..network.layers import expect
from .steps import LARGEST

MAX_FIELDS = 1 << 19
"""A node takes about 20, a tensor 5, and its values none. A node of a tree takes 1, the name of its mode."""
_DAMAGED = "not an ONNX file, or cut short; copy or export it again"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}
_VALUES = {_VARINT: rb"[\x80-\xff]{0,9}[\x00-\x7f]", _FIXED64: b".{8}", _FIXED32: b".{4}"}
_TOO_MANY = f"holds over {LARGEST} numbers one by one; give a smaller network"
_DOUBLE, _FLOAT, _STRING, _RAW = 1, 2, 9, 12  # of google.protobuf.descriptor.FieldDescriptor


def check(data: bytes, descriptor: Any) -> None:
    """Counts the fields and the numbers of the message in ``data``, which is of protobuf's ``descriptor``.

    Raises :class:`ModelError` where they are more than a network has, or ``data`` end within one.
    """
    fields = numbers = 0
    left = [(0, len(data), descriptor)]
    while left:
        at, end, message = left.pop()
        while at < end:
            start = at
            key, at = _varint(data, at, end)
            fields += 1
            expect(fields <= MAX_FIELDS, f"has over {MAX_FIELDS:,} nodes, attributes and names; give a smaller network")
            kind, known = key & 7, message.fields_by_number.get(key >> 3)
            run = _run(data, start, at, end, kind)
            if run:
                numbers, at = numbers + run[0] - 1, run[1]
                expect(numbers <= LARGEST, _TOO_MANY)
                continue
            if kind == _VARINT:
                _, at = _varint(data, at, end)
                continue
            size = _SIZES.get(kind)
            if size is None:
                expect(kind == _BYTES, _DAMAGED)
                size, at = _varint(data, at, end)
            expect(size <= end - at, _DAMAGED)
            if kind == _BYTES and known is not None and known.message_type is not None:
                left.append((at, at + size, known.message_type))
            elif kind == _BYTES and known is not None and known.type not in (_STRING, _RAW):
                numbers += _packed(data[at : at + size], known.type)
                expect(numbers <= LARGEST, _TOO_MANY)
            at += size


def _run(data: bytes, start: int, at: int, end: int, kind: int) -> tuple[int, int] | None:
    """How many numbers lie from ``start`` on, each behind the key that ends at ``at``, and where they end; some at a time.

    None where there is none.
    """
    found = _pattern(data[start:at], kind).match(data, start, end) if kind in _VALUES else None
    if found is None:
        return None
    if kind != _VARINT:
        return (found.end() - start) // (at - start + _SIZES[kind]), found.end()
    ends = np.count_nonzero(np.frombuffer(found.group(), np.uint8) < 0x80)  # a key has one such byte, and a number too
    return int(ends) // 2, found.end()


@lru_cache(256)
def _pattern(key: bytes, kind: int) -> re.Pattern[bytes]:
    return re.compile(b"(?:%s%s){1,4096}" % (re.escape(key), _VALUES[kind]), re.DOTALL)


def _packed(data: bytes, kind: int) -> int:
    """How many numbers lie in ``data``, one after another."""
    if kind in (_DOUBLE, _FLOAT):
        return len(data) // (8 if kind == _DOUBLE else 4)
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) < 0x80))


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number of up to ten bytes at ``at``, the lowest seven bits first, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        expect(at < end, _DAMAGED)
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            break
    return value, at
