"""Networks that observe events: made by hand, with the spec that they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.events import carried
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Dense, Requantization
from ebpfnn.network.preparation import Preparation
from ebpfnn.preparation import Row
from ebpfnn.preparation.columns import Column, inputs, preparer, read

FLOW: dict[str, Any] = {
    "name": "flow",
    "key": "flow",
    "where": ["version == 4"],
    "event": [{"trigger": "xdp"}],
    "at": {"count": [1, 2, 4, 8, 16]},
    "column": [
        {"name": "length", "reduce": "first", "of": "length", "n": 3},
        {"name": "gap", "reduce": "max", "of": "gap"},
        {"name": "replies", "reduce": "sum", "of": "reply"},
        {"name": "protocol", "reduce": "last", "of": "protocol"},
    ],
}
LENGTHS = {"encode": "bins", "bounds": [60, 80, 200, 600, 1200], "step": 51}
ENCODED: dict[str, dict[str, Any]] = {
    **{f"length.{number}": LENGTHS for number in (1, 2, 3)},
    "gap": {"encode": "bins", "bounds": [1000, 100_000, 10_000_000, 1_000_000_000], "step": 60},
    "replies": {"encode": "bins", "bounds": [1, 2, 3, 6], "step": 60},
    "protocol": {"encode": "bins", "bounds": [7, 18], "step": 120},
}
"""The result ``protocol`` is below 7 for TCP and below 18 for UDP."""


def guard(
    spec: Mapping[str, Any] = FLOW,
    encoded: Mapping[str, Mapping[str, Any]] = ENCODED,
    *,
    trigger: str = "xdp",
    mode: str = "",
    labels: Sequence[str] = ("tcp", "udp", "other"),
    seed: int = 1,
    name: str = "guard",
    weights: NDArray[np.int8] | None = None,
) -> QuantizedNetwork:
    """A network of one layer over the columns ``encoded``, with random weights if none are given."""
    columns = [{"name": column, "type": "integer", **told} for column, told in encoded.items()]
    preparation = Preparation("columns", {"columns": columns})
    found = read(preparation.options)
    size, bits = inputs(found), 1 if found[0].encode == "thermometer" else 8
    form = InputFormat((size,), bits, (1,) if bits == 1 else (), packed=bits == 1, prepared=preparation)
    random = np.random.default_rng(seed)
    if weights is None:
        weights = random.integers(-128, 128, (len(labels), size), np.int8)
        weights[weights == -128] = -127
    bias = random.integers(-500, 500, len(labels)).astype(np.int32)
    one = np.full(len(labels), 1 << 20, np.int32)
    last = Requantization(one, one, 20, -(1 << 31), (1 << 31) - 1, 0, 1.0)
    return QuantizedNetwork(name, form, tuple(labels), (Dense(weights, bias, last),), events=carried(spec, trigger, mode))


def expected(network: QuantizedNetwork, results: Mapping[str, int]) -> tuple[int, int]:
    """Label and margin by the reference, for the results of a row by name."""
    columns: tuple[Column, ...] = read(network.input.preparation.options)
    sample = preparer(columns)(Row(dict(results)))
    scores = reference.scores(network, sample.reshape(network.input_shape))
    ordered = sorted(map(int, scores), reverse=True)
    return int(np.argmax(scores)), ordered[0] - ordered[1]
