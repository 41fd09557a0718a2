"""What the ring buffer holds: rows, or records of the fields of events. docs/events.md, *Collect*, has the layout of both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import abi
from ..events.bound import Bound, BoundEvent
from ..events.replay import Result
from .keys import writer
from .rows import Rows

_HEAD = abi.RECORD.itemsize


def row_type(bound: Bound) -> np.dtype[Any]:
    """The dtype of a row in the ring: the head, the bytes of the key, the results."""
    return np.dtype([("head", abi.RECORD), ("key", f"V{bound.key_bytes}"), ("results", np.uint64, (len(bound.names),))])


def fields_type(event: BoundEvent) -> np.dtype[Any]:
    """The dtype of the fields of a record, in their order: s64 for a signed field, else u64."""
    return np.dtype([(name, np.int64 if field.signed else np.uint64) for name, field in event.fields.items()])


class RowReader:
    """Makes :class:`Rows` of rows from the ring, or from the twin. ``label`` and ``group`` are those of every row."""

    def __init__(self, bound: Bound, label: str, group: str) -> None:
        self._type, self._key = row_type(bound), writer(bound)
        self._names = len(bound.names)
        self._label, self._group = label, group

    def from_ring(self, records: Sequence[bytes]) -> Rows:
        found = np.frombuffer(b"".join(records), self._type)
        keys = [self._key(key.tobytes()) for key in found["key"]]
        heads = found["head"]
        return self._rows(found["results"], keys, heads["number"].astype(np.uint64), heads["time_ns"].astype(np.uint64))

    def from_twin(self, results: Sequence[Result]) -> Rows:
        values = np.array([each.results for each in results], np.uint64).reshape(len(results), self._names)
        numbers, times = (np.array([getattr(each, name) for each in results], np.uint64) for name in ("number", "time"))
        return self._rows(values, [self._key(each.key) for each in results], numbers, times)

    def _rows(
        self, results: NDArray[np.uint64], keys: list[str], numbers: NDArray[np.uint64], times: NDArray[np.uint64]
    ) -> Rows:
        return Rows(results, keys, numbers, times, [self._label] * len(keys), [self._group] * len(keys))


class Recorded:
    """The fields of events, in order: for each kind of event the structured arrays of its fields, and of their places."""

    def __init__(self, bound: Bound) -> None:
        self.types = [fields_type(event) for event in bound.events]
        self.count = 0

    def split(self, records: Iterable[bytes]) -> list[tuple[int, NDArray[Any]]]:
        """The event index of each record, and its fields, a structured array [1]."""
        found = []
        for record in records:
            index = int(np.frombuffer(record, abi.RECORD, 1)["event"][0])
            found.append((index, np.frombuffer(record, self.types[index], 1, _HEAD)))
            self.count += 1
        return found
