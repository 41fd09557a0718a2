"""Random activation tables (equation 26), with an eye on bytes at the ends, on one value alone, and on what falls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ebpfnn.network.layers import Requantization

from .formats import pick

_SHARE = 0.3


def tabled(by: Requantization, last: bool) -> Requantization:
    """``by`` with a table, once in a while. It draws by itself, so that all else of a seed stays what it is."""
    random = np.random.default_rng([int(by.positive.sum()), by.shift, by.low & 255, by.high & 255])
    bytes_ = (by.low >= 0 and by.high <= 255) or (by.low >= -128 and by.high <= 127)
    if last or not bytes_ or random.random() > _SHARE:
        return by
    least, most = pick(random, [(0, 255), (-128, 127), (0, 1), (-1, 1)])
    rising = np.linspace(least, most, 256).round()
    table = pick(
        random,
        [
            random.integers(least, most + 1, 256),
            random.choice([least, most], 256),
            np.full(256, random.integers(least, most + 1)),
            rising,
            rising[::-1],
        ],
    )
    return replace(by, activation=table.astype(np.int16), function="drawn")


def ends(by: Requantization) -> tuple[int, int]:
    """The least and the largest byte of the kind that ``by`` gives: of a table all of its kind."""
    if by.activation is None:
        return by.low, by.high
    return (-128, 127) if (by.activation < 0).any() else (0, 255)
