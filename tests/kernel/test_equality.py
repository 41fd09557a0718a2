"""A network in the kernel computes what the reference computes, bit for bit, whatever runs it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import agree
from networks import dense, network, random_network, samples

from ebpfnn.compiler import build_twin
from ebpfnn.network import INT32_MAX, Dense, QuantizedNetwork
from ebpfnn.plugin import Trigger
from ebpfnn.session import Session

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
WIDTHS = [(7, 3), (1, 1), (8, 1, 2), (33, 17, 9, 5), (16, 12, 1, 7, 4), (255, 64), (5, 64, 64)]


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_random_networks(trigger: Trigger, naive: bool, widths: tuple[int, ...]) -> None:
    for seed in range(2):
        tested = random_network(widths, seed)
        with Session(tested, trigger, body=build_twin(tested, naive=naive)) as session:
            agree(session, samples(widths[0], seed))


def to_the_bound(sign: int, **fields: Any) -> Dense:
    """Eight inputs whose accumulators reach the bound of int32 when all of them are 255, and fall short of it by 1."""
    weights = np.full((2, 8), sign * 127)
    reach = 8 * 127 * 255
    return dense(weights, [sign * (INT32_MAX - reach), sign * (INT32_MAX - reach - 1)], **fields)


LARGEST = np.full(2, INT32_MAX, np.int32)
ZERO = np.zeros(2, np.int32)
EXTREMES = {
    "the largest accumulators": [to_the_bound(1)],
    "the smallest accumulators": [to_the_bound(-1)],
    "the largest products": [to_the_bound(1, positive=LARGEST, negative=LARGEST, shift=62)],
    "the smallest products": [to_the_bound(-1, positive=LARGEST, negative=LARGEST, shift=62)],
    "the shortest shift": [to_the_bound(1, positive=LARGEST, negative=LARGEST, shift=1)],
    "the shortest shift below zero": [to_the_bound(-1, positive=LARGEST, negative=LARGEST, shift=1)],
    "multipliers of zero": [to_the_bound(-1, positive=LARGEST, negative=ZERO)],
    "nothing but zero": [dense(np.zeros((2, 8)), np.zeros(2), positive=ZERO, negative=ZERO)],
    "the widest of narrow clips": [to_the_bound(1, low=-128, high=127), dense(np.full((2, 2), -127), [5, 6])],
    "s8 at its lowest": [to_the_bound(-1, low=-128, high=127), dense(np.full((2, 2), 127), [-5, -6])],
    "u8 at its highest": [to_the_bound(1, low=0, high=255), dense(np.full((2, 2), 127), [-5, -6])],
    "clips that meet neither end": [to_the_bound(1, low=250, high=251), dense([[127, -127]], [0])],
    "one side of leaky": [dense(np.eye(2, 8) * -127, [1000, -1000], positive=LARGEST, negative=LARGEST // 8, shift=31)],
}


@pytest.mark.parametrize("layers", EXTREMES.values(), ids=EXTREMES)
def test_extreme_networks(trigger: Trigger, naive: bool, layers: list[Dense]) -> None:
    tested = network(layers)
    with Session(tested, trigger, body=build_twin(tested, naive=naive)) as session:
        agree(session, samples(8, seed=3))


def test_the_first_of_equal_scores_is_the_label(trigger: Trigger, naive: bool) -> None:
    tested = network([dense([[0], [1], [1], [1]], [0, 0, 0, -1])])
    with Session(tested, trigger, body=build_twin(tested, naive=naive)) as session:
        assert [session.infer(np.array([value], np.uint8)).label for value in (0, 1, 255)] == [0, 1, 1]


def test_images_keep_their_shape(trigger: Trigger) -> None:
    flat = random_network((12, 4), seed=5)
    tested = QuantizedNetwork("image", (3, 4), flat.labels, flat.layers)
    with Session(tested, trigger) as session:
        agree(session, samples(12, seed=5).reshape(-1, 3, 4))
