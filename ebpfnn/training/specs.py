"""The spec that a trained network carries: that of the data file, or one that is given beside a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, ModelError, nearest
from ..events import ColumnSpec, Spec, specfile
from ..events.bind_columns import described_column
from ..network.events import SPEC, carried, check
from ..plugin import Plugins
from ..preparation.columns import THERMOMETER
from ..preparation.encoders import MOST
from ..preparation.tables import read_about


class Carried:
    """The spec of some data. ``events`` is what the network carries, empty if there is no spec."""

    def __init__(self, events: Mapping[str, Any], plugins: Plugins) -> None:
        self.events = events
        self._spec: Spec | None = specfile.build(events[SPEC]) if events else None
        self._results = dict(_results(self._spec, plugins)) if self._spec else {}

    def check(self, names: Sequence[str], place: Path) -> None:
        """Raises :class:`InputError` if a column to learn from is no result of the spec."""
        for name in names:
            if self._spec and name not in self._results:
                known = nearest(name, self._results) or f"; its results are {', '.join([*self._results][:8])}"
                fact = f"{place}: column '{name}' is no result of spec '{self._spec.name}'"
                raise InputError(f"{fact}{known}. Leave the column out with --ignore {name}")

    def encoders(self) -> dict[str, dict[str, Any]]:
        """The columns whose encoders the spec has, as a network stores them."""
        return {name: _with_step(described_column(name, each)) for name, each in self._results.items() if each.encode}


def find(spec: str, places: Sequence[Path], plugins: Plugins) -> Carried:
    """The spec of the data files ``places``, or that of the name or file ``spec``, "" for none.

    Raises :class:`InputError` if two files, or a file and ``spec``, differ.
    """
    told = {place: about for place in dict.fromkeys(places) if (about := read_about(place))}
    first = next(iter(told), None)
    for place, about in told.items():
        try:
            check(about)
            specfile.build(about[SPEC])
        except ModelError as error:
            raise InputError(f"{place}: its spec is damaged ({str(error).partition(';')[0]}); collect again") from error
        if first is not None and about != told[first]:
            raise InputError(f"{place}: its rows were collected with another spec, trigger or mode than {first}; collect again")
    events = dict(told[first]) if first is not None else {}
    if spec:
        given = specfile.describe(specfile.find(spec))
        if events and specfile.describe(specfile.build(events[SPEC])) != given:
            raise InputError(f"{first}: its rows were collected with another spec than '{spec}'; leave out --spec")
        events = events or carried(given, str(given["event"][0]["trigger"]))
    return Carried(events, plugins)


def _results(spec: Spec, plugins: Plugins) -> Sequence[tuple[str, ColumnSpec]]:
    """The name of each result with its column, in order."""
    found = list[tuple[str, ColumnSpec]]()
    for column in spec.columns:
        if column.reduce not in plugins.reducers:
            raise ModelError(f"column '{column.name}': reducer '{column.reduce}' not found; install its plugin")
        reducer = plugins.reducers[column.reduce]
        options = reducer.read_options(column.options)
        numbers = range(1, reducer.results(options) + 1)
        names = [f"{column.name}.{number}" for number in numbers] if reducer.numbered(options) else [column.name]
        found += [(name, column) for name in names]
    return found


def _with_step(described: dict[str, Any]) -> dict[str, Any]:
    """With the largest step, as training chooses it, if the spec has none."""
    bounds = described.get("bounds", ())
    if "step" in described or described["encode"] == THERMOMETER or not bounds:
        return described
    return {**described, "step": max(MOST // len(bounds), 1)}
