"""Samples and scores in UDP datagrams: the twin of bpf/include/ebpfnn/packet.h; docs/triggers.md has it byte for byte.

All numbers are in network byte order. A request is a header, a sample as :func:`ebpfnn.encoding.encode` makes it, and zeros up
to the length of the reply, so that no answer is larger than its question: nobody gains by asking in another's name.
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

PORT = 4242
"""The UDP port where none is chosen."""
LARGEST_SAMPLE = 1400
"""Bytes of a sample that a datagram has room for on every link of 1,500 bytes, under IPv6 and two VLAN tags."""

_MAGIC, _VERSION, _REQUEST, _REPLY = 0x65424E4E, 1, 0, 1  # the magic reads "eBNN"
_HEADER = struct.Struct("!IBBHII")  # magic, version, kind, status, sequence, network
_LABEL = struct.Struct("!I")


class Reply(NamedTuple):
    """What came of a sample: ``status`` is 0, or the errno of a network that failed, and ``network`` the id of who answered."""

    sequence: int
    network: int
    status: int
    label: int
    scores: tuple[int, ...]


def network_id(name: str) -> int:
    """The id of a network: CRC-32 of its name, which is never 0, since that means any."""
    return zlib.crc32(name.encode()) or 1


def reply_bytes(classes: int) -> int:
    """The length of a reply of so many scores."""
    return _HEADER.size + _LABEL.size + 4 * classes


def request_bytes(sample_bytes: int, classes: int) -> int:
    """The length of a request: no other is answered."""
    return max(_HEADER.size + sample_bytes, reply_bytes(classes))


def request(sample: bytes, classes: int, sequence: int, network: int = 0) -> bytes:
    """Asks the network of id ``network``, or any for 0; ``sequence``, 32 bits, comes back with the answer."""
    header = _HEADER.pack(_MAGIC, _VERSION, _REQUEST, 0, sequence, network)
    return (header + sample).ljust(request_bytes(len(sample), classes), b"\0")


def parse_reply(datagram: bytes, classes: int) -> Reply | None:
    """What the datagram says, None where it is no reply of ``classes`` scores."""
    if len(datagram) != reply_bytes(classes):
        return None
    magic, version, kind, status, sequence, network = _HEADER.unpack_from(datagram)
    if (magic, version, kind) != (_MAGIC, _VERSION, _REPLY):
        return None
    label, *scores = struct.unpack_from(f"!I{classes}i", datagram, _HEADER.size)
    return Reply(sequence, network, status, label, tuple(scores)) if label < classes else None
