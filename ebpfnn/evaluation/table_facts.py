"""What can be told of a layer of tables, and how often its sums left their byte."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network import QuantizedNetwork, encoding, orders, reference
from ..network.layers import ByteLanes, Shape, Table, accumulator_bound
from ..network.model import Model

_CHUNK = 256
_LANE = (-128, 127)


@dataclass(frozen=True)
class TableFacts:
    """A layer of tables: ``groups`` of up to ``members`` inputs of ``bits``.

    ``rows`` is how many there are in all tables, ``stored`` those that are not all 0, which the model file has. ``order`` is a
    name of :mod:`ebpfnn.network.orders`. ``shift`` and ``exact`` are those of byte lanes, None for a requantization, as is
    ``fits``: whether no sum can leave -128..127. ``samples`` are those of the calibration that tell which groups are blank, and
    ``blank`` is the share of them, 0..1, None if ``samples`` is 0.
    """

    groups: int
    members: int
    bits: int
    rows: int
    stored: int
    order: str
    shift: int | None
    exact: bool | None
    fits: bool | None
    samples: int
    blank: float | None


def facts(layer: Table, given: Shape) -> TableFacts:
    """The facts of ``layer``, which is given values of the shape ``given``."""
    groups, members = layer.order.shape
    by, bound = layer.requantization, accumulator_bound(layer, layer.low, 255)
    lanes = isinstance(by, ByteLanes)
    return TableFacts(
        groups=groups,
        members=members,
        bits=layer.bits,
        rows=groups << members * layer.bits,
        stored=int(layer.tables.any(axis=2).sum()),
        order=orders.name(layer.order, given, members),
        shift=by.shift if isinstance(by, ByteLanes) else None,
        exact=by.exact if isinstance(by, ByteLanes) else None,
        fits=bound <= _LANE[1] if lanes else None,
        samples=len(layer.occupied),
        blank=_blank(layer),
    )


def _blank(layer: Table) -> float | None:
    if not len(layer.occupied):
        return None
    return float(1 - np.unpackbits(layer.occupied, axis=1)[:, : layer.groups].mean())


@dataclass(frozen=True)
class Wraps:
    """How many of ``sums`` of byte lanes left -128..127: they wrapped, and carried into the next output of their word."""

    layer: int
    wrapped: int
    sums: int


def wraps(network: Model, samples: NDArray[np.uint8]) -> list[Wraps]:
    """Of each layer with byte lanes, for pixels uint8 [n, *shape]. Nothing for a model without such layers."""
    if not isinstance(network, QuantizedNetwork):
        return []
    lanes = [number for number, layer in enumerate(network.layers) if _has_lanes(layer)]
    counts = dict.fromkeys(lanes, 0)
    for start in range(0, len(samples) if lanes else 0, _CHUNK):
        values = encoding.levels(network.input, samples[start : start + _CHUNK]).astype(np.int64)
        for number, layer in enumerate(network.layers[: lanes[-1] + 1]):
            if number in counts and isinstance(layer, Table):
                sums = reference.accumulate(layer, values)
                counts[number] += np.count_nonzero((sums < _LANE[0]) | (sums > _LANE[1]))
            values = reference.forward(layer, values)
    widths = {number: network.shapes[number + 1][0] for number in lanes}
    return [Wraps(number, int(count), widths[number] * len(samples)) for number, count in counts.items()]


def _has_lanes(layer: object) -> bool:
    return isinstance(layer, Table) and isinstance(layer.requantization, ByteLanes)
