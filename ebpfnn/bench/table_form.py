"""Networks of tables as C and numpy add them: words of eight sums, and rows of scores."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network import QuantizedNetwork
from ..network.layers import INT32_MAX, INT32_MIN, ByteLanes, Requantization, Table, accumulator_bound

_LANES = 8  # sums in a word


@dataclass(frozen=True, eq=False)
class Stage:
    """A network of two table layers, byte lanes between them, and then the margin below which another one decides.

    ``rows`` is uint64 [groups, rows, words], ``start`` uint64 [words]: 128 and the bias of each sum. ``last`` is int64
    [neurons, levels, classes], ``bias`` int64 [classes]; no score exceeds ``largest``. ``margin`` is 0 for the last stage.
    """

    layer: Table
    rows: NDArray[np.uint64]
    start: NDArray[np.uint64]
    shift: int
    last: NDArray[np.int64]
    bias: NDArray[np.int64]
    largest: int
    margin: int

    @property
    def neurons(self) -> int:
        """Sums of the first layer."""
        return self.layer.outputs


def stages(network: QuantizedNetwork) -> tuple[Stage, ...]:
    """The networks of a cascade in this form. Raises :class:`NotSupported` for one of other layers."""
    return tuple(_stage(each) for each in network.stages)


def packed_form(network: QuantizedNetwork) -> QuantizedNetwork:
    """The same network for packed samples, each byte the row of a group where its first layer has tables of such groups.

    That of 8-bit samples is itself. Raises :class:`NotSupported` for a cascade whose networks see different levels.
    """
    form = network.input
    if form.packed or form.bits == 8:
        return network
    if any(each.input != form for each in network.stages):
        raise NotSupported(f"the networks of '{network.name}' see different levels, so that no packed sample serves all")
    return _packed(network, _order(network))


def selects_rows(network: QuantizedNetwork) -> bool:
    """Whether each byte of a packed sample is the row of a group, in every network of a cascade."""
    form, first = network.input, network.layers[0]
    if not form.packed or not isinstance(first, Table) or form.bit_order != "big":
        return False
    order = np.array(form.order or range(form.size), np.int32)
    whole = np.full(first.order.size, -1, np.int32)
    whole[: len(order)] = order
    full = first.order.shape[1] * first.bits == 8 and first.bits == form.bits and first.order.size >= len(order)
    return full and np.array_equal(whole, first.order.ravel()) and (network.then is None or selects_rows(network.then.network))


def identity(by: Requantization | ByteLanes) -> bool:
    """Whether accumulators are passed on as they are, but for a clip to int32."""
    if isinstance(by, ByteLanes):
        return False
    one = 1 << by.shift
    whole = (by.low, by.high, by.zero_point) == (INT32_MIN, INT32_MAX, 0)
    return whole and bool((by.positive == one).all() and (by.negative == one).all())


def _order(network: QuantizedNetwork) -> tuple[int, ...]:
    """That of the first layer's groups, if each fills a byte; else the natural order."""
    first, form = network.layers[0], network.input
    if not isinstance(first, Table) or first.bits != form.bits or first.order.shape[1] * first.bits != 8:
        return ()
    order = first.order.ravel()
    inside = order[order >= 0]
    natural = np.array_equal(inside, np.arange(form.size))
    return () if natural else tuple(inside.tolist())


def _packed(network: QuantizedNetwork, order: tuple[int, ...]) -> QuantizedNetwork:
    then = network.then and replace(network.then, network=_packed(network.then.network, order))
    return replace(network, input=replace(network.input, packed=True, order=order), then=then)


def _stage(network: QuantizedNetwork) -> Stage:
    first, by, last = _layers(network)
    start = _words(first.bias.astype(np.int64) + 128)
    levels = last.tables.astype(np.int64)
    wide = np.zeros((first.outputs, by.high + 1, last.outputs), np.int64)
    wide[last.order[:, 0], : levels.shape[1]] = levels
    bound = accumulator_bound(last, by.low, by.high)
    margin = network.then.margin if network.then else 0
    rows = _words(first.tables.astype(np.int64))
    return Stage(first, rows, start, by.shift, wide, last.bias.astype(np.int64), bound, margin)


def _layers(network: QuantizedNetwork) -> tuple[Table, ByteLanes, Table]:
    """The table of groups, what makes bytes of its sums, and the table of scores."""
    match network.layers:
        case (Table(requantization=ByteLanes() as by) as first, Table() as last):
            if not identity(last.requantization):
                fact = "scales the scores of its last table"
            elif last.order.shape[1] != 1:
                fact = "has a table of scores for several outputs of its first layer"
            else:
                return first, by, last
        case _:
            fact = "has other layers than a table with byte lanes and a table of scores"
    raise NotSupported(f"'{network.name}' {fact}")


def _words(sums: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Eight sums a word, modulo 2^64: uint64 [..., words] for int64 [..., sums] (equation 20)."""
    count = -(-sums.shape[-1] // _LANES) * _LANES
    whole = np.zeros((*sums.shape[:-1], count), np.int64)
    whole[..., : sums.shape[-1]] = sums
    shifted = whole.reshape(*sums.shape[:-1], -1, _LANES) << np.arange(0, 64, _LANES)
    words: NDArray[np.uint64] = shifted.sum(axis=-1).view(np.uint64)
    return words
