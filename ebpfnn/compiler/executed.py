"""Estimates from a plan how many instructions one inference executes, by the cost model (:mod:`ebpfnn.compiler.cost`).

It tells a tenth of a millisecond from ten. It does not know what a layer skips for one sample, and what waits for memory.
"""

from __future__ import annotations

from math import prod

from ..network import QuantizedNetwork
from ..network.layers import Conv2d, Layer, MaxPool, Shape, SquaredError, Table, image_shape
from .cost import PER_NANOSECOND
from .error import EACH as ERROR_SIZE
from .join import join_size
from .order import in_order
from .plan import AnyLayerPlan, JoinPlan, NetworkPlan
from .pool import pool_size

_OUTPUT = 12
"""From a sum to an output: bias, activation, scale, clip and store."""


def expected_ns(network: QuantizedNetwork, plan: NetworkPlan) -> float:
    """Nanoseconds of an inference of ``network`` by ``plan``, approximately; of a cascade, of its first network."""
    ordered = in_order(network)
    layers = enumerate(zip(ordered.layers, plan.layers, strict=True))
    return sum(_executed(layer, each, *ordered.given_shapes(number)) for number, (layer, each) in layers) / PER_NANOSECOND


def _executed(layer: Layer, plan: AnyLayerPlan, *given: Shape) -> float:
    outputs = layer.output_shape(*given)
    if isinstance(plan, JoinPlan):
        return prod(outputs) * max(map(join_size, (part.requantize for part in plan.parts)))
    if isinstance(layer, SquaredError):
        return ERROR_SIZE * prod(given[0])
    if isinstance(layer, MaxPool):
        return pool_size(layer) * prod(outputs)
    cost = plan.candidates[0].cost if plan.candidates else 0.0
    if isinstance(layer, Table):
        return cost
    turns = layer.groups * prod(image_shape(outputs)[1:]) if isinstance(layer, Conv2d) else 1
    return cost * turns + _OUTPUT * prod(outputs)
