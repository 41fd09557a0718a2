"""How much is in an ONNX file, counted before protobuf makes objects of it: two bytes can become a node of a hundred.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..network.layers import expect
from .steps import LARGEST

MAX_FIELDS = 1 << 19
"""A node takes about 20, a tensor 5, and its values none."""
_DAMAGED = "not an ONNX file, or cut short; copy or export it again"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
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
            key, at = _varint(data, at, end)
            fields += 1
            expect(fields <= MAX_FIELDS, f"has over {MAX_FIELDS:,} nodes, attributes and names; give a smaller network")
            kind, known = key & 7, message.fields_by_number.get(key >> 3)
            if kind == _VARINT:
                _, at = _varint(data, at, end)
                continue
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if size is None:
                expect(kind == _BYTES, _DAMAGED)
                size, at = _varint(data, at, end)
            expect(size <= end - at, _DAMAGED)
            if kind == _BYTES and known is not None and known.message_type is not None:
                left.append((at, at + size, known.message_type))
            elif kind == _BYTES and known is not None and known.type not in (_STRING, _RAW):
                numbers += _packed(data[at : at + size], known.type)
                expect(numbers <= LARGEST, f"holds over {LARGEST} numbers one by one; give a smaller network")
            at += size


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
