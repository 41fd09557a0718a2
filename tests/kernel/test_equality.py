"""A network in the kernel computes what the reference computes, bit for bit, whatever runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from agreement import agree
from architectures import KINDS, SHAPE
from ebpfnn_plugins.run import RunTrigger
from networks import conv2d, dense, input_format, network, random_network, samples

from ebpfnn.compiler import Body
from ebpfnn.errors import VerifierError
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import INT32_MAX, Dense, Layer, MaxPool, Window
from ebpfnn.plugin import Trigger
from ebpfnn.session import Session

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
BuildBody = Callable[[QuantizedNetwork], Body]
WIDTHS = [(7, 3), (1, 1), (8, 1, 2), (33, 17, 9, 5), (16, 12, 1, 7, 4), (255, 64), (5, 64, 64)]


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_random_networks(trigger: Trigger, build_body: BuildBody, widths: tuple[int, ...]) -> None:
    for seed in range(2):
        equal(random_network(widths, seed), trigger, build_body)


def equal(tested: QuantizedNetwork, trigger: Trigger, build_body: BuildBody, seed: int = 0) -> None:
    with Session(tested, trigger, body=build_body(tested)) as session:
        agree(session, samples(tested.input_shape, seed))


@pytest.mark.parametrize("architecture", KINDS)
def test_every_kind_of_layer(build_body: BuildBody, architecture: str) -> None:
    for seed in range(2):
        equal(random_network(architecture, seed, SHAPE), RunTrigger(), build_body, seed)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("bit_order", ["big", "little"])
@pytest.mark.parametrize("bits", [1, 2, 4])
def test_inputs_of_few_bits(build_body: BuildBody, bits: int, bit_order: str, packed: bool) -> None:
    for architecture, shape in (("7-4", (7,)), ("conv2x3p1-3", (5, 3))):
        net = random_network(architecture, bits, shape, bits=bits, packed=packed, bit_order=bit_order)
        equal(net, RunTrigger(), build_body, bits)


@pytest.mark.slow
@pytest.mark.parametrize("bits", [1, 8])
def test_an_image_of_ordinary_size(build_body: BuildBody, bits: int) -> None:
    equal(random_network("conv3x3s2-pool2-10", 1, (28, 28), bits=bits, packed=bits == 1), RunTrigger(), build_body)


@pytest.mark.slow
def test_what_is_little_more_than_the_verifier_walks(build_body: BuildBody) -> None:
    tested = random_network("conv4x3-pool2-conv9x3-pool2-10", 1, (28, 28))
    with pytest.raises(VerifierError) as caught:
        Session(tested, RunTrigger(), body=build_body(tested))
    assert str(caught.value).startswith(f"network 'test' ({tested.architecture}) exceeds the verifier's instruction limit; use")


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
def test_extreme_networks(trigger: Trigger, build_body: BuildBody, layers: list[Layer]) -> None:
    equal(network(layers), trigger, build_body, seed=3)


@pytest.mark.parametrize("layers", EXTREMES.values(), ids=EXTREMES)
def test_extreme_networks_over_images(build_body: BuildBody, layers: list[Layer]) -> None:
    """The same layers, each as a convolution whose window is the whole image, with a pool of single values between them."""
    images, shape = [], (2, 2, 2)
    for layer in layers:
        assert isinstance(layer, Dense)
        weights, by = layer.weights.reshape(-1, *shape), layer.requantization
        image = conv2d(weights, layer.bias, Window(shape[1:]))
        images += [MaxPool(Window((1, 1))), replace(image, requantization=by)]
        shape = (layer.outputs, 1, 1)
    equal(network(images, InputFormat((2, 2, 2))), RunTrigger(), build_body, seed=3)


def test_the_first_of_equal_scores_is_the_label(trigger: Trigger, build_body: BuildBody) -> None:
    tested = network([dense([[0], [1], [1], [1]], [0, 0, 0, -1])])
    with Session(tested, trigger, body=build_body(tested)) as session:
        assert [session.infer(np.array([value], np.uint8)).label for value in (0, 1, 255)] == [0, 1, 1]


def test_zero_points_saturate(build_body: BuildBody) -> None:
    for zero_point in (-128, 255):
        equal(network([to_the_bound(1, zero_point=zero_point)]), RunTrigger(), build_body)
        equal(network([to_the_bound(-1, zero_point=zero_point)]), RunTrigger(), build_body)


@pytest.mark.parametrize("packed", [False, True])
def test_images_keep_their_shape(trigger: Trigger, packed: bool) -> None:
    flat = random_network([12, 4], 5)
    form = input_format((3, 4), 2 if packed else 8, packed=packed)
    tested = QuantizedNetwork("image", form, flat.labels, flat.layers)
    with Session(tested, trigger) as session:
        agree(session, samples((3, 4), seed=5))
