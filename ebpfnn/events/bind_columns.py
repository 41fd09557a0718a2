"""The columns of a spec, checked against the fields of its events and the reducers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ModelError, nearest
from ..preparation import Encoder
from ..preparation import columns as encoded
from . import lookup
from .bound import BoundColumn, Use
from .lookup import Offered
from .reducer import Options, Reducer
from .refusal import SpecError, place
from .spec import MOST_RESULTS, MOST_STATE_WORDS, ColumnSpec, Spec

_MEMBERS = ("of", "shift", "clip", "when", "event", "encode")
_WORD_BITS = 64
_UNKNOWN_FIELD = "name the events that count, event = [...]"


def bind(
    spec: Spec, offered: Sequence[Offered], reducers: Mapping[str, Reducer], encoders: Mapping[str, Encoder]
) -> tuple[BoundColumn, ...]:
    """Raises :class:`ModelError` that names the column, and if all of them take too much, says what takes most."""
    found = list[BoundColumn]()
    word = result = 0
    for number, column in enumerate(spec.columns):
        with place(f"column '{column.name}'", "column", number):
            found.append(_column(spec, column, offered, reducers, word, result))
        word += found[-1].words
        result += len(found[-1].names)
    _fit("words of state", word, MOST_STATE_WORDS, [(column.words, column.name) for column in found])
    _fit("results", result, MOST_RESULTS, [(len(column.names), column.name) for column in found])
    _unique(found)
    _encoders(spec.columns, found, encoders)
    return tuple(found)


def _column(
    spec: Spec, column: ColumnSpec, offered: Sequence[Offered], reducers: Mapping[str, Reducer], word: int, result: int
) -> BoundColumn:
    reducer = _reducer(column, reducers)
    options = _options(column, reducer)
    uses = _uses(spec, column, offered)
    _range(column, reducer, options, uses)
    count = reducer.results(options)
    names = tuple(f"{column.name}.{k}" for k in range(1, count + 1)) if reducer.numbered(options) else (column.name,)
    words = reducer.words(options)
    return BoundColumn(column.name, reducer, options, uses, column.shift, column.clip, word, words, result, names)


def _reducer(column: ColumnSpec, reducers: Mapping[str, Reducer]) -> Reducer:
    if column.reduce not in reducers:
        known = nearest(column.reduce, reducers, alike=0.6) or f"; installed: {', '.join(sorted(reducers)) or 'none'}"
        raise SpecError(f"reducer '{column.reduce}' not found{known}", ("reduce",))
    reducer = reducers[column.reduce]
    told = {"of": bool(column.of), "shift": bool(column.shift), "clip": column.clip is not None}
    given = [name for name, there in told.items() if there]
    if given and not reducer.takes_value:
        raise SpecError(f"{column.reduce} takes no value; leave out {' and '.join(given)}, or use sum", (given[0],))
    return reducer


def _options(column: ColumnSpec, reducer: Reducer) -> Options:
    for name in column.options:
        if name not in reducer.options:
            known = ", ".join(reducer.options) or "none"
            remedy = nearest(name, (*reducer.options, *_MEMBERS), alike=0.6) or f"; options of {column.reduce}: {known}"
            raise SpecError(f"has no member '{name}', and {column.reduce} no such option{remedy}", (name,))
    return reducer.read_options(column.options)


def _uses(spec: Spec, column: ColumnSpec, offered: Sequence[Offered]) -> dict[int, Use]:
    names = column.events or tuple(event.name for event in offered)
    among = [event for event in offered if event.name in names]
    found = dict[int, Use]()
    for index, event in enumerate(offered):
        if event.name in names:
            with place("", "of"):
                source = lookup.source(column.of, event, offered, spec, _UNKNOWN_FIELD) if column.of else None
            with place("when", "when"):
                found[index] = Use(source, lookup.after(column.when, event, among, spec, _UNKNOWN_FIELD))
    return found


def _range(column: ColumnSpec, reducer: Reducer, options: Options, uses: Mapping[int, Use]) -> None:
    """Refuses values that are lost by a left shift, or that the reducer could not add up."""
    wide = max(1 if use.source is None else lookup.bits(use.source) for use in uses.values())
    shifted = max(wide - column.shift, 0)
    if shifted > _WORD_BITS:
        fact = f"shift = {column.shift} makes {shifted} bits of {wide}"
        raise SpecError(f"{fact}, over {_WORD_BITS}; give {wide - _WORD_BITS} or more", ("shift",))
    bits = shifted if column.clip is None else min(shifted, column.clip.bit_length())
    most = reducer.most_bits(options)
    if bits > most:
        remedy = f"give clip = {(1 << most) - 1}, or shift = {column.shift + shifted - most}"
        raise SpecError(f"{column.reduce} takes values of {most} bits, and these have {bits}; {remedy}", ("of",))


def _fit(what: str, total: int, most: int, shares: Sequence[tuple[int, str]]) -> None:
    if total > most:
        share, name = max(shares, key=lambda each: each[0])
        raise ModelError(f"the columns have {total} {what}, over {most}; most of them, {share}, has '{name}': make it smaller")


def _unique(found: Sequence[BoundColumn]) -> None:
    owners = dict[str, str]()
    for number, column in enumerate(found):
        for name in column.names:
            if owners.setdefault(name, column.name) != column.name:
                fact = f"column '{column.name}': its result '{name}' has the name of one of column '{owners[name]}'"
                raise SpecError(f"{fact}; rename one", ("column", number))


def _encoders(columns: Sequence[ColumnSpec], found: Sequence[BoundColumn], encoders: Mapping[str, Encoder]) -> None:
    """Checks what the columns say of encoders. Those that say nothing get theirs in training."""
    described = list[dict[str, Any]]()
    for number, (column, bound) in enumerate(zip(columns, found, strict=True)):
        if column.encode:
            with place(f"column '{column.name}': encode", "column", number, "encode"):
                each = [described_column(name, column) for name in bound.names]
                encoded.column(each[0], encoders)
            described += each
    if described:
        with place("encode"):
            encoded.read({"columns": described}, encoders)


def described_column(name: str, column: ColumnSpec) -> dict[str, Any]:
    """The result ``name`` of ``column`` as :func:`ebpfnn.preparation.columns.read` takes it. Its encoder must be given."""
    rest = {key: value for key, value in column.encode.items() if key != "kind"}
    for key in ("name", "type", "encode"):
        if key in rest:
            raise ModelError(f"has no member '{key}'; leave it out")
    return {**rest, "name": name, "type": "integer", "encode": column.encode["kind"]}
