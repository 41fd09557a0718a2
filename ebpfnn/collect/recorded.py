"""Recorded events in an .npz file: for each event of the spec, ``events_I``, a structured array of its fields, and ``order_I``.

``order_I``, uint64 [n], has the place of each in the whole recording, from 0. Fields are u64, or s64 if they are signed.
``spec`` is what the rows of the same collection carry, as JSON in bytes.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import Growing, npy, zips
from ..preparation.tables.collected import SPEC, encode_about
from .rooms import NoRoom, filling, reserve, telling

MOST_BYTES = 1 << 30
"""The most bytes of fields that a recording holds; they are in memory."""
_ENTRY = 4096  # bytes of an entry, with the header of an array of many fields, for each field of 256 at most
EVENTS, ORDER = "events_", "order_"


class Recorder:
    """Keeps events until the end, when they are written. What was added before :class:`NoRoom` is whole."""

    def __init__(self, path: Path, held: Growing, types: Sequence[np.dtype[Any]], about: Mapping[str, Any]) -> None:
        self._path, self._held, self._types, self._told = path, held, types, encode_about(about)
        self._data = [bytearray() for _ in types]
        self._order: list[list[int]] = [[] for _ in types]
        self.events = 0
        reserve(held, self._size())

    def add(self, index: int, fields: bytes) -> None:
        """One event. Raises :class:`NoRoom`, and :class:`InputError` if the file cannot be written for other reasons."""
        if not self.events % 1024:
            with telling(self._path):
                self._make_room()
        self._data[index] += fields
        self._order[index].append(self.events)
        self.events += 1

    def finish(self) -> None:
        """Raises :class:`InputError` if the file cannot be written."""
        with telling(self._path), zipfile.ZipFile(self._held.file, "w", zipfile.ZIP_STORED) as archive:
            for index, kind in enumerate(self._types):
                self._write(archive, f"{EVENTS}{index}", np.frombuffer(bytes(self._data[index]), kind))
                self._write(archive, f"{ORDER}{index}", np.array(self._order[index], np.uint64))
            self._write(archive, SPEC, np.frombuffer(self._told, np.uint8))
        self._held.keep()

    def _make_room(self) -> None:
        """For the next 1,024 events."""
        size = self._size() + 1024 * (8 + max(kind.itemsize for kind in self._types))
        if size > MOST_BYTES:
            raise NoRoom(f"a recording has at most {MOST_BYTES >> 30} GiB; record for a shorter time")
        reserve(self._held, size)

    def _size(self) -> int:
        fields = sum(len(kind.names or ()) for kind in self._types)
        fixed = _ENTRY * (2 * len(self._types) + 1) + 128 * fields + len(self._told)
        return sum(map(len, self._data)) + 8 * self.events + fixed

    @staticmethod
    def _write(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, array, allow_pickle=False)


@contextmanager
def recording(path: Path, types: Sequence[np.dtype[Any]], about: Mapping[str, Any]) -> Iterator[Recorder]:
    """A recorder to ``path``, which is replaced if it has finished. Raises :class:`InputError` if it cannot be written."""
    if path.suffix.lower() != ".npz":
        raise InputError(f"{path}: recorded events are an .npz file; let the name end in .npz")
    with filling(path) as held:
        with telling(path):
            recorder = Recorder(path, held, types, about)
        yield recorder


def read_events(path: Path) -> tuple[dict[str, Any], list[tuple[int, dict[str, int]]]]:
    """What a recording carries, and its events in order: the index of each in the spec, and its fields.

    Raises :class:`InputError` if it is not a recording, or is damaged.
    """
    try:
        with open(path, "rb") as file, zips.opened(file) as archive:
            if zips.unpacked(archive) > MOST_BYTES:
                raise ValueError("too large")
            about = json.loads(_array(archive, SPEC).tobytes())
            count = sum(name.startswith(EVENTS) for name in archive.namelist())
            if not count:
                raise ValueError("no events")
            arrays = [(_array(archive, f"{EVENTS}{index}"), _array(archive, f"{ORDER}{index}")) for index in range(count)]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file that you may read") from error
    except (*zips.DAMAGE, *npy.DAMAGE) as error:
        raise InputError(f"{path}: not a recording of ebpfnn collect, or damaged; record again") from error
    placed: list[tuple[int, int, dict[str, int]]] = []
    for index, (events, order) in enumerate(arrays):
        names = events.dtype.names
        if names is None or events.shape != order.shape or order.dtype != np.uint64:
            raise InputError(f"{path}: '{EVENTS}{index}' are not the fields of events; record again")
        rows = (dict(zip(names, row, strict=True)) for row in events.tolist())
        placed += [(place, index, row) for place, row in zip(order.tolist(), rows, strict=True)]
    placed.sort(key=lambda each: each[0])
    return about, [(index, row) for _, index, row in placed]


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with zips.member(archive, f"{name}.npy") as member:
        return npy.read(member)
