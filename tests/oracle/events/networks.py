"""A small random network over the columns of a spec, and what it says of samples: by the oracle for networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebpfnn import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat

from .. import arithmetic, generate
from ..formats import Random, pick
from . import encoders

_MOST_MARGIN = 2**31 - 1


@dataclass(frozen=True)
class Verdict:
    """``label`` is the index of the highest score, ``margin`` by how much it leads."""

    label: int
    margin: int


def network(columns: Sequence[dict[str, Any]], rows: Sequence[Sequence[int]], random: Random) -> QuantizedNetwork:
    """Of one to four layers, which mostly tells ``rows`` apart. Its input has a value for each column, or for each bound."""
    form = input_format(columns, random)
    some = [rows[int(place)] for place in random.permutation(len(rows))[:16]] or [[0] * len(columns)]
    samples = np.concatenate([_sample(columns, row) for row in some])
    for attempt in range(20):
        made = generate.Made(form, random)
        made.values = made.given = arithmetic.levels(form, samples).reshape(len(samples), *form.shape)
        made.grow()
        labels = tuple(map(str, range(int(np.prod(made.shape)))))
        found = QuantizedNetwork("oracle", form, labels, tuple(made.layers))
        if found.macs <= 40_000 and (made.tells_samples_apart() or attempt > 10):
            break
    return found


def input_format(columns: Sequence[dict[str, Any]], random: Random) -> InputFormat:
    size = sum(map(_inputs, columns))
    if columns[0]["encode"] == "thermometer":
        return InputFormat((size,), 1, (1,), packed=bool(random.random() < 0.7), bit_order=pick(random, ["big", "little"]))
    bits = pick(random, [8, 8, 8, 4, 2])
    if bits == 8:
        return InputFormat((size,))
    found = InputFormat((size,), bits, tuple(range(1, 2**bits)), packed=bool(random.random() < 0.6))
    if random.random() < 0.5:
        spread = sorted(random.choice(np.arange(1, 256), 2**bits - 1, replace=False).tolist())
        found = replace(found, thresholds=tuple(spread))
    return replace(found, bit_order=pick(random, ["big", "little"]))


def _inputs(column: dict[str, Any]) -> int:
    """The values of a sample that a column gives: more than 255 bins take a byte for each 255."""
    count = len(column["bounds"]) if "bounds" in column else 1
    return count if column["encode"] == "thermometer" else max(1, -(-count // 255))


def given(form: InputFormat, columns: Sequence[dict[str, Any]], row: Sequence[int]) -> bytes:
    """The bytes of the sample of a row, as the kernel has them."""
    return arithmetic.given_bytes(form, _sample(columns, row))[0].tobytes()


def verdict(told: QuantizedNetwork, columns: Sequence[dict[str, Any]], row: Sequence[int]) -> Verdict:
    """What ``told`` must say of a row. A single score leads by the most that can be told."""
    scores = arithmetic.scores(told, _sample(columns, row))[0].tolist()
    label = arithmetic.label(scores)
    lead = min((scores[label] - other for place, other in enumerate(scores) if place != label), default=_MOST_MARGIN)
    return Verdict(label, min(lead, _MOST_MARGIN))


def _sample(columns: Sequence[dict[str, Any]], row: Sequence[int]) -> NDArray[np.uint8]:
    return np.frombuffer(encoders.sample(columns, row), np.uint8).reshape(1, -1)
