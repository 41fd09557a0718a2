"""Nodes of an ONNX graph in an order in which each comes after those whose outputs it takes.

The specification asks for that order, some exporters do not keep it, and onnxruntime takes any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    import onnx

    Where = Callable[[int, onnx.NodeProto, int], str]


def sort(graph: onnx.GraphProto, where: Where) -> None:
    """Sorts the nodes of ``graph``. Nodes that are in order already stay as they are, and others move as little as possible.

    Raises :class:`ModelError`, naming a node, if nodes take each other's outputs in a cycle.
    """
    order = sequence(graph.node, where)
    if order != list(range(len(order))):
        nodes = [graph.node[number] for number in order]
        copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)


def sequence(nodes: Sequence[onnx.NodeProto], where: Where) -> list[int]:
    """The numbers of ``nodes`` in order: of those that are ready, the first. Raises as :func:`sort`."""
    makers = {output: number for number, node in enumerate(nodes) for output in node.output if output}
    takers: defaultdict[int, list[int]] = defaultdict(list)
    waits = [0] * len(nodes)
    for number, node in enumerate(nodes):
        for maker in {makers[name] for name in node.input if name in makers}:
            takers[maker].append(number)
            waits[number] += 1
    ready = [number for number, count in enumerate(waits) if count == 0]
    heapify(ready)
    order: list[int] = []
    while ready:
        order.append(number := heappop(ready))
        for taker in takers[number]:
            waits[taker] -= 1
            if waits[taker] == 0:
                heappush(ready, taker)
    if len(order) < len(nodes):
        stuck = next(number for number, count in enumerate(waits) if count)
        here = where(stuck + 1, nodes[stuck], len(nodes))
        raise ModelError(f"{here} takes what depends on its own output; export a graph without cycles")
    return order
