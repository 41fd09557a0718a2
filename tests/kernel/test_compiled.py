"""Compiled networks in the kernel compute what the reference computes, by every plan, for new kernels and old ones."""

from __future__ import annotations

import numpy as np
import pytest
from agreement import agree
from ebpfnn_plugins.run import RunTrigger
from networks import dense, network, random_network, samples

from ebpfnn.compiler import KernelFeatures, compile_network
from ebpfnn.compiler.features import NEWEST, OLDEST
from ebpfnn.network import QuantizedNetwork
from ebpfnn.session import Session

pytestmark = pytest.mark.root
WIDTHS = [(1, 1), (8, 1, 2), (33, 17, 9, 5), (101, 40, 7), (5, 64, 64), (64, 130, 70, 10)]
ARCHITECTURES = [
    "conv4x3s2p1-dw3-pool2-5",
    "conv8x5s2p2-conv16x3-pool2-32-10",
    "conv6x3p1g1-conv6x3g2-gap",
    "conv20x3-5",
    "pool3s2p1-dw3p1-7",
    "conv3x2x3s2-pool2x3-conv40x2p1-4",
    "conv16x3-conv12x3g4-dw3s2p1-9",
]
PLANS = ["straight", "listed", "rows"]


def equal(tested: QuantizedNetwork, features: KernelFeatures = NEWEST, plan: str | None = None, seed: int = 0) -> None:
    with Session(tested, RunTrigger(), body=compile_network(tested, features, plan)) as session:
        agree(session, samples(tested.input_shape, seed))


@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_dense_layers(widths: tuple[int, ...], plan: str) -> None:
    for seed in range(2):
        equal(random_network(widths, seed), plan=plan, seed=seed)


@pytest.mark.parametrize("shape", [(1, 14, 14), (3, 13, 12)], ids=str)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_images(architecture: str, shape: tuple[int, ...]) -> None:
    for seed in range(2):
        equal(random_network(architecture, seed, shape), seed=seed)


@pytest.mark.parametrize(("packed", "order"), [(False, "big"), (True, "big"), (True, "little")])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_inputs_of_few_bits(depth: int, packed: bool, order: str) -> None:
    for architecture, shape in (("101-40-5", (101,)), ("9-70-3", (9,)), ("conv4x3s2p1-pool2-5", (1, 12, 12))):
        tested = random_network(architecture, depth, shape, bits=depth, packed=packed, bit_order=order)
        for plan in PLANS:
            equal(tested, plan=plan, seed=depth)


@pytest.mark.parametrize("architecture", ["33-17-9-5", "conv4x3s2p1-dw3-pool2-5"])
def test_with_what_linux_5_10_has(architecture: str) -> None:
    for seed in range(3):
        equal(random_network(architecture, seed, (33,) if architecture[0] == "3" else None), OLDEST, seed=seed)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("plan", PLANS[:2])
def test_the_largest_weights(sign: int, plan: str) -> None:
    """Every sum at its bound: thirteen segments of 21 bits."""
    hidden = dense(np.full((32, 784), 127 * sign), np.zeros(32), positive=np.full(32, 1 << 10, np.int32), low=-127, high=127)
    equal(network([hidden, dense(np.full((10, 32), -127 * sign), np.arange(10))]), plan=plan)


def test_tiles_in_a_loop_write_no_further_than_they_may() -> None:
    for outputs in (55, 72, 73, 127):
        equal(random_network((40, outputs, 64), outputs), seed=outputs)


def test_blank_windows_are_skipped_exactly() -> None:
    net = random_network("conv5x5s2p2-pool2-10", 4, (28, 28))
    sparse = QuantizedNetwork(net.name, net.input, net.labels, net.layers, density=(0.1,) * len(net.layers))
    blank = np.zeros((3, 28, 28), np.uint8)
    blank[1, 13:15, 13:15], blank[2, 27, 27] = 200, 1
    with Session(sparse, RunTrigger(), body=compile_network(sparse)) as session:
        agree(session, np.concatenate([blank, samples((28, 28), 1)]))


def test_images_whose_channels_are_far_apart() -> None:
    net = random_network("conv9x3-conv5x3s5-10", 2, (66, 66))
    equal(QuantizedNetwork(net.name, net.input, net.labels, net.layers, density=(0.1, 0.3, 0.5)))


def test_a_network_that_is_too_large_for_the_naive_baseline() -> None:
    equal(random_network((784, 512, 256, 10), 1), seed=1)
