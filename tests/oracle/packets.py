"""Requests as anyone may send them, by docs/triggers.md, and what must come back."""

from __future__ import annotations

import struct

import numpy as np

_HEADER, _TIME = 16, slice(20, 24)


def request(sample: bytes, classes: int, sequence: int, random: np.random.Generator) -> bytes:
    """What fills it up to its size is any bytes: nothing may come of them."""
    header = b"eBNN" + struct.pack("!BBHII", 1, 0, 0, 0, sequence)
    size = max(-(-len(sample) // 4) * 4, 8 + 4 * classes)
    return header + sample + random.bytes(size - len(sample))


def reply_to(asked: bytes, label: int, scores: list[int], told: bytes) -> bytes:
    """The reply to ``asked`` behind its header: its time is the one ``told``, what follows the scores the request's."""
    result = struct.pack("!I", label) + told[_TIME] + struct.pack(f"!{len(scores)}i", *scores)
    return result + asked[_HEADER + len(result) :]
