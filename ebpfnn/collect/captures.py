"""Reads captures, pcap and pcapng, gzipped or not, one packet at a time. Sizes are checked before anything is read.

Sources: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. It is stricter than common readers, which end without a word where
a file is damaged or cut short.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from ..errors import InputError
from ..files.streams import take

ETHERNET = 1
"""LINKTYPE_ETHERNET."""
MAX_FRAME = 1 << 18
"""The most bytes of a packet: MAXIMUM_SNAPLEN of libpcap."""
_LARGEST_BLOCK = 1 << 24  # Wireshark's
_MAGICS = {b"\xa1\xb2\xc3\xd4": (">", 1000), b"\xd4\xc3\xb2\xa1": ("<", 1000)}  # and nanoseconds in a unit of time
_MAGICS |= {b"\xa1\xb2\x3c\x4d": (">", 1), b"\x4d\x3c\xb2\xa1": ("<", 1)}
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_SECTION_BYTES = struct.pack(">I", _SECTION)
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_RESOLUTION, _OFFSET = 9, 14  # if_tsresol, if_tsoffset
_SECOND = 10**9
_MOST_INTERFACES = 1 << 12
_REMEDY = "give a whole pcap or pcapng file"


class Frame(NamedTuple):
    """A packet: its time (ns), its bytes as far as they were captured, its length on the wire, and its link type."""

    time: int
    data: bytes
    length: int
    link: int


class _Interface(NamedTuple):
    link: int
    per_second: int
    offset: int


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Frame]]:
    """The packets of a capture, in order. Raises :class:`InputError`, naming file and packet, if it is none, or damaged."""
    try:
        with open(path, "rb") as file:
            head = file.peek(4)[:2]
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=file)) if head == b"\x1f\x8b" else cast("BinaryIO", file)
            yield _told(path, stream)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from error


def _told(path: Path, stream: BinaryIO) -> Iterator[Frame]:
    number = 0
    try:
        for frame in _frames(stream):
            number += 1
            yield frame
    except InputError as error:
        raise InputError(f"{path}: packet {number + 1}: {error}; {_REMEDY}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: packet {number + 1}: its gzip data are damaged ({error}); {_REMEDY}") from None


def _frames(stream: BinaryIO) -> Iterator[Frame]:
    magic = bytes(take(stream, 4))
    if magic in _MAGICS:
        return _pcap(stream, *_MAGICS[magic])
    if magic == _SECTION_BYTES:
        return _pcapng(stream)
    raise InputError("not a capture")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = bytes(take(stream, size))
    if len(data) != size:
        raise InputError("cut short")
    return data


def _pcap(stream: BinaryIO, order: str, unit: int) -> Iterator[Frame]:
    link = int(struct.unpack(f"{order}16xI", _exactly(stream, 20))[0]) & 0xFFFF
    record = struct.Struct(f"{order}4I")
    while head := bytes(take(stream, record.size)):
        if len(head) < record.size:
            raise InputError("cut short")
        seconds, fraction, size, length = record.unpack(head)
        if size > MAX_FRAME:
            raise InputError(f"{size} bytes, over {MAX_FRAME >> 10} KiB")
        yield Frame(seconds * _SECOND + fraction * unit, _exactly(stream, size), length, link)


def _pcapng(stream: BinaryIO) -> Iterator[Frame]:
    """The type of the first block has been read."""
    head, order = _SECTION_BYTES, "<"
    interfaces: list[_Interface] = []
    while head:
        if len(head) < 4:
            raise InputError("cut short")
        raw = _exactly(stream, 4)
        if head == _SECTION_BYTES:
            mark = _exactly(stream, 4)
            if mark not in _ORDERS:
                raise InputError("its section has no byte order")
            order, interfaces = _ORDERS[mark], []
            body = mark + _exactly(stream, _body(order, raw) - 4)
        else:
            body = _exactly(stream, _body(order, raw))
        if _exactly(stream, 4) != raw:
            raise InputError("a block whose two lengths differ")
        kind = int(struct.unpack(f"{order}I", head)[0])
        if kind == _INTERFACE:
            interfaces.append(_interface(body, order))
            if len(interfaces) > _MOST_INTERFACES:
                raise InputError(f"over {_MOST_INTERFACES} interfaces")
        elif kind in (_PACKET, _OLD_PACKET):
            yield _packet(body, order, interfaces, old=kind == _OLD_PACKET)
        elif kind == _SIMPLE:
            raise InputError("a packet without a time")
        head = bytes(take(stream, 4))


def _body(order: str, raw: bytes) -> int:
    """The bytes of a block between its two lengths."""
    size = int(struct.unpack(f"{order}I", raw)[0])
    if size % 4 or not 16 <= size + 4 <= _LARGEST_BLOCK:
        raise InputError(f"a block of {size} bytes")
    return size - 12


def _interface(body: bytes, order: str) -> _Interface:
    if len(body) < 8:
        raise InputError("an interface that is too short")
    per_second, offset, at = 10**6, 0, 8
    while at + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}2H", body, at)
        value = body[at + 4 : at + 4 + size]
        if code == _RESOLUTION and len(value) == 1:
            per_second = (2 if value[0] & 128 else 10) ** (value[0] & 127)
        elif code == _OFFSET and len(value) == 8:
            offset = int(struct.unpack(f"{order}q", value)[0]) * _SECOND
        elif code == 0:
            break
        at += 4 + size + -size % 4
    return _Interface(int(struct.unpack_from(f"{order}H", body)[0]), per_second, offset)


def _packet(body: bytes, order: str, interfaces: list[_Interface], *, old: bool) -> Frame:
    if len(body) < 20:
        raise InputError("a block that is too short")
    number, high, low, size, length = struct.unpack_from(f"{order}{'H2x' if old else 'I'}4I", body)
    if number >= len(interfaces):
        raise InputError(f"interface {number} is not described")
    if size > len(body) - 20 or size > MAX_FRAME:
        raise InputError(f"{size} bytes in a block of {len(body)}")
    of = interfaces[number]
    time = (high << 32 | low) * _SECOND // of.per_second + of.offset
    if not 0 <= time < 1 << 64:
        raise InputError("its time is not one of 64 bits")
    return Frame(time, body[20 : 20 + size], length, of.link)
