"""What a request for an inference and its reply are as UDP payloads: the twin of bpf/include/ebpfnn/packet_wire.h.

docs/triggers.md has it byte for byte.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from zlib import crc32

from ..errors import InputError

PORT = 4242
"""Where requests go to if nothing else is said."""

LARGEST_SAMPLE = 1400
"""Bytes of a sample: with all headers in front it fits an Ethernet frame."""

_MAGIC, _VERSION = b"eBNN", 1
_REQUEST, _REPLY = 0, 1
_HEADER = struct.Struct("!4sBBHII")
_RESULT = struct.Struct("!II")
_ANY = 0


@dataclass(frozen=True)
class Reply:
    """``network`` is the id of the one that answered, ``sequence`` the request's; ``elapsed_ns`` the time in the network."""

    network: int
    sequence: int
    label: int
    elapsed_ns: int
    scores: tuple[int, ...]


def network_id(name: str) -> int:
    """The CRC-32 of ``name`` in UTF-8, or 1 where that is 0, which stands for any network."""
    return crc32(name.encode()) or 1


def payload_bytes(sample_bytes: int, classes: int) -> int:
    """The size of a request and of its reply: whole 32-bit words, with room for either."""
    return _HEADER.size + max((sample_bytes + 3) // 4 * 4, _RESULT.size + 4 * classes)


def request(sample: bytes, size: int, sequence: int, network: int = _ANY) -> bytes:
    """A request of ``size`` bytes (:func:`payload_bytes`); ``network`` is the id of the one that is to answer."""
    return (_HEADER.pack(_MAGIC, _VERSION, _REQUEST, 0, network, sequence) + sample).ljust(size, b"\0")


def reply(payload: bytes) -> Reply:
    """Raises :class:`~ebpfnn.errors.InputError` for what is no reply."""
    if len(payload) < _HEADER.size + _RESULT.size:
        raise InputError(f"a payload of {len(payload)} bytes is not a reply; query a network loaded by ebpfnn")
    magic, version, kind, count, network, sequence = _HEADER.unpack_from(payload)
    first = _HEADER.size + _RESULT.size
    if (magic, version, kind) != (_MAGIC, _VERSION, _REPLY) or len(payload) < first + 4 * count:
        raise InputError("a payload that is not a reply of version 1; query a network loaded by this version of ebpfnn")
    label, elapsed_ns = _RESULT.unpack_from(payload, _HEADER.size)
    if label >= count:
        raise InputError(f"a reply with label {label} of {count}; query a network loaded by ebpfnn")
    return Reply(network, sequence, label, elapsed_ns, struct.unpack_from(f"!{count}i", payload, first))
