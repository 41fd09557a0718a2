"""What an encoder is, and the encoders that come with ebpfnn. docs/preparation.md defines these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import pairwise
from math import isfinite
from types import MappingProxyType
from typing import Any

from ..errors import ModelError
from ..network import fields
from ..network.layers import expect
from . import cells, encoders
from .encoders import FLOAT, MOST, WIDEST, Bounds, Number

Described = Mapping[str, Any]


class Encoder(ABC):
    """A rule that gives a column its bounds.

    ``name`` is what columns call it, ``summary`` one line for ``ebpfnn plugins``. ``parameters`` describes its parameters, each
    with one line of help. A column of a ``thermometer`` gives one input of 0 or 1 for each bound, and other columns one byte,
    which counts the bounds that the value reaches. ``most`` is the most bounds that it gives: over 255 if its columns may be
    wide, which give one byte for each 255 bounds.
    """

    name: str
    summary: str = ""
    parameters: Mapping[str, str] = MappingProxyType({})
    thermometer: bool = False
    most: int = MOST

    @abstractmethod
    def bounds(self, described: Mapping[str, Any], kind: str) -> Bounds:
        """At most :attr:`most` bounds, none below the one before: integers of 64 bits for ``kind`` "integer", else floats.

        ``described`` is the column as a network stores it. :func:`number` reads a number of it. Raises
        :class:`~ebpfnn.errors.ModelError` if a parameter is missing or malformed.
        """


class Linear(Encoder):
    name, summary, most = "linear", "255 even steps a byte", WIDEST
    parameters = MappingProxyType(
        {"low": "start of the range", "high": "end of the range", "bytes": f"bytes of a wide column, 1 to {WIDEST // MOST}"}
    )

    def bounds(self, described: Described, kind: str) -> Bounds:
        count = fields.integer(described, "bytes") if "bytes" in described else 1
        expect(1 <= count <= WIDEST // MOST, f"'bytes' must lie in 1..{WIDEST // MOST}")
        return encoders.linear(number(described, "low", kind), number(described, "high", kind), kind, count * MOST)


class Log2(Encoder):
    name, summary = "log2", "steps that double, in parts"
    parameters = MappingProxyType(
        {"low": "start of the range", "high": "end of the range", "fraction": "bits of the parts of an octave, 0 to 7"}
    )

    def bounds(self, described: Described, kind: str) -> Bounds:
        low, high = (number(described, key, kind) for key in ("low", "high"))
        return encoders.log2(low, high, fields.integer(described, "fraction"), kind)


class Bins(Encoder):
    name, summary, most = "bins", "bounds of your own", WIDEST
    parameters = MappingProxyType({"bounds": f"list of at most {WIDEST:,} numbers that rise"})

    def bounds(self, described: Described, kind: str) -> Bounds:
        given = fields.get(described, "bounds", list)
        expect(len(given) <= self.most, f"{len(given)} bounds, over {self.most}; give fewer")
        return encoders.explicit(tuple(number({"bounds": each}, "bounds", kind) for each in given))


class Thermometer(Bins):
    name, summary, thermometer, most = "thermometer", "bounds of your own, one bit each", True, MOST
    parameters = MappingProxyType({"bounds": f"list of at most {MOST} numbers that rise"})


BUILT_IN: Mapping[str, Encoder] = MappingProxyType(
    {encoder.name: encoder for encoder in (Linear(), Log2(), Bins(), Thermometer())}
)


def number(described: Described, key: str, kind: str) -> Number:
    """A number of a column of ``kind`` integer or float. Raises :class:`ModelError` if it is not one."""
    if kind == FLOAT:
        return fields.number(described, key)
    value: int = fields.get(described, key, int)
    expect(cells.LOWEST <= value <= cells.HIGHEST, f"{key!r} must be an integer of 64 bits")
    return value


def bounds(encoder: Encoder, described: Described, kind: str) -> Bounds:
    """The bounds that an encoder gives. Raises :class:`ModelError`, also for bounds that do not fit the column."""
    found = tuple(encoder.bounds(described, kind))
    fit = all(isinstance(each, float) and isfinite(each) if kind == FLOAT else _integer(each) for each in found)
    if len(found) > encoder.most or not fit or not all(one <= other for one, other in pairwise(found)):
        fact = f"the encoder '{encoder.name}' gives bounds that are not at most {encoder.most} rising numbers of type {kind}"
        raise ModelError(f"{fact}; repair its plugin, or use another")
    return found


def _integer(value: object) -> bool:
    return type(value) is int and cells.LOWEST <= value <= cells.HIGHEST
