"""A spec as it is measured: in variants of when the network runs, behind one event shell, on one packet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..events import Bound, Field, Reducer, Spec, bind
from ..events.fields import Place
from ..events.spec import At
from ..network import QuantizedNetwork
from ..network.inputformat import InputFormat
from ..network.layers import INT32_MAX, INT32_MIN, Dense, Requantization
from ..network.model import Model
from ..network.preparation import Preparation
from ..plugin import Trigger
from ..preparation.columns import BINS, Column
from ..preparation.encoders import INTEGER

PACKETS = ("xdp", "tc", "cgroup_skb", "socket_filter")
"""The triggers whose programs BPF_PROG_RUN runs on a packet."""
AT_FIRST, AT_EACH, AT_NONE = At(count=(1,)), At(), At(count=((1 << 32) - 2,))
"""When the network runs: at the first event of a state, after which its verdict is kept; at each; or at none that comes."""
BOUNDS = tuple(4**power for power in range(15))
"""The bounds of each column of a drawn network."""
STEP = 17
"""Of the byte that a bound adds: 15 of them are 255."""
_HIDDEN, _CLASSES = 16, 2
_VARIED = {"flow": "source", "flow.directed": "source", "source": "source", "destination": "destination"}


@dataclass(frozen=True)
class Case:
    """``spec`` at one of its events, whose program is in the event shell of ``trigger``, with ``network``.

    ``columns`` make a sample of a row. ``drawn`` says that the network has random weights. ``varied`` is a field of the key, by
    which events get other keys; None if there is none.
    """

    spec: Spec
    index: int
    trigger: Trigger
    fields: Mapping[str, Sequence[Field]]
    reducers: Mapping[str, Reducer]
    network: Model
    columns: tuple[Column, ...]
    drawn: bool

    def bound(self, at: At) -> Bound:
        """The spec with another ``at``. What it says of encoders is left out, since the columns have their bounds."""
        columns = tuple(replace(column, encode={}) for column in self.spec.columns)
        return bind(replace(self.spec, at=at, columns=columns), self.fields, self.reducers)

    @property
    def varied(self) -> Field | None:
        fields = {field.name: field for field in self.fields[self.spec.events[self.index].name]}
        key = self.spec.key
        names = [_VARIED[key]] if isinstance(key, str) else list(key)
        found = [fields[name] for name in names if name in fields and fields[name].place is Place.FIELDS]
        return max(found, key=lambda field: field.size, default=None)


def event_of(spec: Spec) -> int:
    """The number of the first event that can be measured. Raises :class:`NotSupported` if there is none."""
    for number, event in enumerate(spec.events):
        if event.trigger in PACKETS:
            return number
    fact = f"spec '{spec.name}': BPF_PROG_RUN does not run programs of trigger '{spec.events[0].trigger}'"
    raise NotSupported(f"{fact}; give a spec with an event of {', '.join(PACKETS)}")


def draw(bound: Bound, seed: int = 0) -> tuple[QuantizedNetwork, tuple[Column, ...]]:
    """A network of dense layers with random weights for the rows of ``bound``, such as 24-16-2, and its columns."""
    columns = tuple(Column(name, INTEGER, BINS, BOUNDS, STEP) for name in bound.names)
    described = [dict(_described(column)) for column in columns]
    form = InputFormat((len(columns),), prepared=Preparation("columns", {"columns": described}))
    random = np.random.default_rng(seed)
    hidden = _dense(random, len(columns), _HIDDEN, Requantization(_full(1 << 20), _full(0), 29, 0, 127, slope=0.0))
    plain = Requantization(_full(2, _CLASSES), _full(2, _CLASSES), 1, INT32_MIN, INT32_MAX)
    labels = tuple(map(str, range(_CLASSES)))
    return QuantizedNetwork("drawn", form, labels, (hidden, _dense(random, _HIDDEN, _CLASSES, plain))), columns


def _dense(random: np.random.Generator, inputs: int, outputs: int, by: Requantization) -> Dense:
    weights = random.integers(-127, 128, (outputs, inputs), dtype=np.int8)
    return Dense(weights, random.integers(-9999, 9999, outputs, dtype=np.int32), by)


def _full(value: int, count: int = _HIDDEN) -> NDArray[np.int32]:
    return np.full(count, value, np.int32)


def _described(column: Column) -> Iterator[tuple[str, Any]]:
    yield from (("name", column.name), ("type", column.type), ("encode", column.encode))
    yield from (("bounds", list(column.bounds)), ("step", column.step))
