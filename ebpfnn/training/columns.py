"""How the columns of a table become samples: by the options, and by bounds learned from the training rows."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError, nearest
from ..preparation import encoders
from ..preparation.columns import BINS, ENCODERS, LINEAR, LOG2, THERMOMETER, Encoders, column
from ..preparation.encoder import BUILT_IN
from ..preparation.encoders import FLOAT, INTEGER, MOST
from . import cuts

BOUNDS = 16
"""The default number of bounds of a column. docs/preparation.md compares it with other work."""
_FEWER = {2: 3, 4: 15}
"""Bounds of a column by the bits of an input value: each bound a level."""
_FINEST = 7
_NUMBERS = {LOG2: (0, _FINEST), BINS: (1, MOST), THERMOMETER: (1, MOST)}
"""What the number behind an encoder can be, the lowest and the highest. Others take none."""
_LARGEST = sys.float_info.max


@dataclass(frozen=True)
class Asked:
    """The encoder of a column, and its number: of bounds, or for log2 of fraction bits. None for the default."""

    encode: str
    number: int | None = None


def asked(text: str, known: Encoders = BUILT_IN) -> dict[str, Asked]:
    """What ``--columns "dst_port=bins:16,len=log2"`` requests for each column. Raises :class:`ModelError` if malformed."""
    return dict(_pair(each, known) for each in text.split(",")) if text else {}


def encoder(text: str, known: Encoders = BUILT_IN) -> Asked:
    """The meaning of ``bins:16``, with the ``known`` encoders by name.

    Raises :class:`ModelError` for an unknown encoder, or a number that it cannot have.
    """
    name, colon, number = text.partition(":")
    if name not in known:
        raise ModelError(f"encoder {name!r} is not known; give one of {', '.join(known)}{nearest(name, known)}")
    if not colon:
        return Asked(name)
    lowest, highest = _NUMBERS.get(name, (1, 0))
    if not number.isascii() or not number.isdigit() or len(number) > 3 or not lowest <= int(number) <= highest:
        takes = f"takes a number in {lowest}..{highest}" if lowest <= highest else "takes no number"
        raise ModelError(f"encoder {text!r}: {name} {takes}; give that")
    return Asked(name, int(number))


def learn(
    columns: Mapping[str, NDArray[Any]],
    labels: NDArray[np.intp],
    by_column: Mapping[str, Asked],
    usual: Asked,
    bits: int,
    given: Mapping[str, dict[str, Any]] = MappingProxyType({}),
    known: Encoders = BUILT_IN,
    *,
    finest: bool = False,
) -> list[dict[str, Any]]:
    """The columns as a network stores them, with bounds from ``columns``, [n] each, and ``labels`` of the training rows.

    ``given`` has those whose bounds a spec says; ``by_column`` overrides it. ``known`` are the encoders by name.
    ``finest`` gives bins as many bounds as a byte counts, where no number is requested, as trees want.

    A column with only one value is left out, since it carries no information. Raises :class:`InputError` for a missing column,
    for an encoder that does not fit the bits of an input value or the values, and if no column is left.
    """
    for name in by_column:
        if name not in columns:
            raise InputError(f"no column '{name}' to learn from{nearest(name, columns) or '; see --columns and --ignore'}")
    described = []
    for name, values in columns.items():
        own = None if name in by_column else given.get(name)
        by = Asked(own["encode"]) if own else by_column.get(name, usual)
        if by.encode in known and known[by.encode].thermometer != (bits == 1):
            fact = f"column '{name}': {by.encode} and {bits} bits an input value"
            remedy = "trees take a byte a column; give bins" if finest else "give thermometer to --bits 1, and to it alone"
            raise InputError(f"{fact}; {remedy}")
        if values.min() < values.max():
            described.append(own or _described(name, values, labels, by, bits, known, finest=finest))
    if not described:
        raise InputError("no column has more than one value; give others")
    return described


def left_out(columns: Iterable[str], described: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns that :func:`learn` left out."""
    kept = {each["name"] for each in described}
    return [name for name in columns if name not in kept]


def _described(
    name: str, values: NDArray[Any], labels: NDArray[np.intp], by: Asked, bits: int, known: Encoders, *, finest: bool
) -> dict[str, Any]:
    kind = FLOAT if values.dtype.kind == "f" else INTEGER
    if kind == FLOAT:
        values = np.clip(values, -_LARGEST, _LARGEST)  # JSON has no infinities
    told: dict[str, Any] = {"name": name, "type": kind, "encode": by.encode}
    if by.encode == LINEAR:
        return {**told, "low": values.min().item(), "high": values.max().item()}
    if by.encode == LOG2:
        told |= _log2(name, values, kind, by.number)
        reached = encoders.log2(told["low"], told["high"], told["fraction"], kind)
        return {**told, "step": MOST // len(reached)}
    if by.encode not in ENCODERS:
        return _by_plugin(told, values, known)
    if finest and by.number is None:
        bounds = cuts.finest(values, labels, MOST)
    else:
        count = by.number or _FEWER.get(bits, BOUNDS)
        bounds = cuts.by_labels(values, labels, count) or cuts.by_quantiles(values, count)
    step = {} if by.encode == THERMOMETER else {"step": MOST // len(bounds)}
    return {**told, "bounds": bounds, **step}


def _by_plugin(told: dict[str, Any], values: NDArray[Any], known: Encoders) -> dict[str, Any]:
    """A column of an encoder that training does not know: of its parameters, it has the ends of the range to give."""
    own = known[told["encode"]]
    ends = {"low": values.min().item(), "high": values.max().item()}
    lacking = [each for each in own.parameters if each not in ends]
    if lacking:
        fact = f"column '{told['name']}': training has no {' or '.join(lacking)} for the encoder '{own.name}'"
        raise InputError(f"{fact}; give the column to it in the spec of the rows, or use {', '.join(ENCODERS)}")
    told |= {each: ends[each] for each in own.parameters}
    found = column(told, known)
    return told if found.thermometer or not found.bounds else {**told, "step": max(MOST // len(found.bounds), 1)}


def _log2(name: str, values: NDArray[Any], kind: str, fraction: int | None) -> dict[str, Any]:
    """From the octave of the smallest value above 0 to the largest value, with the finest steps that a byte can count."""
    above = values[values > 0]
    if not len(above):
        raise InputError(f"column '{name}': nothing above 0, which has no logarithm; give it bins or linear")
    least, high = above.min().item(), above.max().item()
    low = 1 << least.bit_length() - 1 if kind == INTEGER else math.ldexp(0.5, math.frexp(least)[1])
    for fine in range(_FINEST, -1, -1) if fraction is None else [fraction]:
        try:
            encoders.log2(low, high, fine, kind)
        except ModelError:
            continue
        return {"low": low, "high": high, "fraction": fine}
    raise InputError(f"column '{name}': {low} to {high} has more steps than a byte counts; give it bins, or a smaller fraction")


def _pair(text: str, known: Encoders) -> tuple[str, Asked]:
    name, equal, rest = text.rpartition("=")
    if not equal or not name:
        raise ModelError(f"{text!r} is no column and its encoder; give NAME=ENCODER, such as dst_port=bins:16")
    return name, encoder(rest, known)
