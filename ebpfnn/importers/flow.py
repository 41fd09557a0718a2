"""Where graphs branch and join, in files of every kind: the values that nodes have yet to take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import prod

from ..errors import ModelError
from ..network.joins import MOST_JOINED, added_shape, joined_shape
from ..network.layers import Shape, describe, expect
from .steps import Chain, Join
from .values import Values

MOST = 256
"""The most values that one node may join."""
_ON_INTEGERS = "joins quantized integers; put a DequantizeLinear before it"


class Flow:
    """``open`` has the values that nodes are yet to take, by their names; ``shapes`` those of all values so far.

    Several nodes may take a value. Each of them then begins a chain of its own.
    """

    def __init__(self, name: str, values: Values, taken: Iterable[Sequence[str]]) -> None:
        """``name`` is the graph's input, and ``taken`` what each node takes."""
        self.open = {name: values}
        self.shapes: dict[str, Shape] = {name: values.shape}
        self._uses = Counter(each for names in taken for each in names)
        self._shared = frozenset(each for each, count in self._uses.items() if count > 1)

    def given(self, names: Iterable[str]) -> list[str]:
        """Those of ``names`` that are values, and no constants."""
        return [name for name in names if name in self.open]

    def take(self, names: Sequence[str], where: str) -> list[Values]:
        """The values of ``names`` for one node, which may go on with them. Raises :class:`ModelError` as :meth:`_take`."""
        return [self._take(name, where, alone=len(names) == 1) for name in names]

    def give(self, name: str, values: Values) -> None:
        """``values`` are what a node gives."""
        self.open[name] = values
        self.shapes[name] = values.shape

    def scores(self, name: str) -> Chain:
        """The chain that ends with the values of ``name``. Raises :class:`ModelError` where they are not the last."""
        last = self.open.get(name)
        if last is None:
            raise ModelError(f"output {name!r} is not what the last node gives; export one output, the logits")
        fact = "moves its scores behind the last layer, which cannot be imported; export them as the layer gives them"
        expect(not last.layout.moved, fact)
        last.chain.ending = "" if not last.ended else "sigmoid" if last.bounded else "softmax"
        last.chain.logit = last.bounded and prod(last.chain.shape) == 1
        return last.chain

    def _take(self, name: str, where: str, *, alone: bool) -> Values:
        self._uses[name] -= 1
        values = self.open[name]
        if self._uses[name] <= 0:
            del self.open[name]
        if name not in self._shared:
            return values
        values.settle(where, images=len(values.shape) == 2)
        return values.forked() if alone else values


def check_joins(given: Sequence[Values], where: str) -> None:
    """Raises :class:`ModelError` where ``given`` cannot be joined, whatever joins them."""
    expect(len(given) <= MOST, f"{where} joins {len(given)} values, over {MOST}; join some of them first")
    for values in given:
        expect(not values.ended, values.followed)
        expect(values.quantized is None, f"{where} {_ON_INTEGERS}")
        values.settle(where, images=len(values.shape) == 2)
    first = given[0].layout
    alike = all(each.layout.axes == first.axes and each.layout.order is None for each in given)
    expect(alike, f"{where} joins values whose axes were moved in different ways; export channels first")


def added(given: Sequence[Values], factors: Sequence[float], where: str) -> Values:
    """The sum of ``given``, each times its factor, in chains of two values behind theirs."""
    shapes = {each.shape: None for each in given}
    told = " and ".join(map(describe, shapes))
    expect(len(shapes) == 1, f"{where} adds values of {told}, which broadcasts; only values of one shape can be added")
    check_joins(given, where)
    total, scale = given[0], factors[0]
    for values, factor in zip(given[1:], factors[1:], strict=True):
        shape = added_shape(total.chain.shape, values.chain.shape)
        total = _behind([total, values], Join(where, (scale, factor)), shape, total.shape)
        scale = 1.0
    return total


def side_by_side(given: Sequence[Values], axis: int, where: str) -> Values:
    """The channels of ``given``, one after the other, along ``axis`` of the graph, which counts the batch as 0."""
    check_joins(given, where)
    layout = given[0].layout
    rank = len(layout.shape) + 1
    expect(-rank <= axis < rank, f"{where} joins along axis {axis} of {rank}; export it again")
    at = axis % rank - 1
    rest = {(*each.shape[:at], *each.shape[at + 1 :]) for each in given}
    fits = at >= 0 and layout.axes[at] == 0 and len(rest) == 1
    expect(fits, f"{where} joins along another axis than channels, which cannot be imported")
    while len(given) > 1:
        some, given = given[:MOST_JOINED], given[MOST_JOINED:]
        shape = joined_shape(*(each.chain.shape for each in some))
        size = sum(each.shape[at] for each in some)
        graph = (*layout.shape[:at], size, *layout.shape[at + 1 :])
        given = [_behind(some, Join(where), shape, graph), *given]
    return given[0]


def _behind(given: Sequence[Values], join: Join, shape: Shape, graph: Shape) -> Values:
    """``join``, which gives ``shape`` in its chain and ``graph`` in the graph, in a chain behind those of ``given``."""
    chain = Chain(shape, before=tuple(each.chain for each in given))
    chain.append(join)
    return Values(chain, None, replace(given[0].layout, shape=graph))
