"""Layers of tables that compare unpacked values on the way compute what the reference computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from agreement import agree
from ebpfnn_plugins.run import RunTrigger
from networks import samples
from numpy.typing import NDArray
from tablelayers import grouped, two_layers

from ebpfnn.compiler import KernelFeatures, compile_network
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.compiler.sample import SampleForm
from ebpfnn.network import QuantizedNetwork, orders
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Table
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here

pytestmark = pytest.mark.root


def net(order: NDArray[np.int32], outputs: int, threshold: int = 100, share: float = 0.1) -> QuantizedNetwork:
    """Of values that reach ``threshold`` or not; a ``share`` of groups is occupied, so that branches skip the others."""
    size = int(order.max()) + 1
    tested = two_layers(InputFormat((size,), 1, (threshold,)), order, outputs, size + outputs, shift=2, blank=0)
    first, random = tested.layers[0], np.random.default_rng(size)
    assert isinstance(first, Table)
    seen = random.random((32, first.groups)) < share * random.random(first.groups)
    return replace(tested, layers=(replace(first, occupied=np.packbits(seen, axis=1)), *tested.layers[1:]))


def equal(tested: QuantizedNetwork, features: KernelFeatures = NEWEST, *, compared: bool = True) -> None:
    body = compile_here(tested) if features is NEWEST else compile_network(tested, features)
    assert (body.plan.sample is SampleForm.COMPARED_GROUPS) == compared
    random = np.random.default_rng(tested.input.size)
    (threshold,) = tested.input.thresholds
    near = threshold + random.integers(-2, 2, (16, *tested.input_shape))
    with Session(tested, RunTrigger(), body=body) as session:
        agree(session, samples(tested.input_shape, tested.input.size))
        agree(session, near.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("outputs", [3, 16, 20, 32])
def test_every_grouping(outputs: int) -> None:
    random = np.random.default_rng(outputs)
    tiles = np.array(orders.tiles((12, 16), (2, 4)), np.int32).reshape(-1, 8)
    shuffled = [grouped(101, members, random, gaps=0.3) for members in (1, 5, 8)]
    for order in (grouped(200, 8), grouped(203, 8), tiles, *shuffled):
        equal(net(order, outputs))


@pytest.mark.parametrize("threshold", [2, 100, 128, 130, 254])
def test_every_threshold(threshold: int) -> None:
    equal(net(grouped(160, 8), 16, threshold))


@pytest.mark.parametrize("features", [NEWEST, MIDDLE, OLDEST], ids=["iterators", "callbacks", "walked"])
def test_every_kernel(features: KernelFeatures) -> None:
    for share in (0.0, 0.1, 1.0):
        equal(net(grouped(784, 8), 32, share=share), features)


def test_odd_thresholds_and_wide_rows_are_packed_first() -> None:
    equal(net(grouped(160, 8), 16, 101), compared=False)
    equal(net(grouped(160, 8), 40), compared=False)
