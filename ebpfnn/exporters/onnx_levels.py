"""From pixels to the levels that a network's first layer sees (docs/quantization.md, equation 1)."""

from __future__ import annotations

import numpy as np

from ..network import encoding
from ..network.inputformat import InputFormat
from .graph import Graph


def levels(graph: Graph, form: InputFormat, pixels: str) -> str:
    """The name of the levels, uint8 [n, *shape]: the pixels themselves, or by a table the level of each."""
    if form.bits == 8:
        return pixels
    name = graph.node("Cast", pixels, to=graph.INT32)
    if form.value_thresholds:
        table = encoding.value_tables(form.value_thresholds).reshape(-1)
        name = graph.node("Add", name, graph.constant("rows", np.arange(0, len(table), 256, dtype=np.int32)))
    else:
        every = np.arange(256, dtype=np.uint8)
        table = encoding.levels(InputFormat((256,), form.bits, form.thresholds), every)
    return graph.node("Gather", graph.constant("levels", table), name)
