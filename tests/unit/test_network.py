"""What a network refuses to be."""

from __future__ import annotations

import numpy as np
import pytest
from networks import conv2d, dense, network, random_network

from ebpfnn.errors import ModelError
from ebpfnn.network import MAX_CLASSES, QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import INT32_MAX, LARGEST_SIZE, Dense, Layer, MaxPool, Window


def hidden(low: int = 0, high: int = 255) -> Dense:
    return dense(np.ones((3, 4)), np.zeros(3), low=low, high=high)


def last(inputs: int = 3) -> Dense:
    return dense(np.ones((2, inputs)), np.zeros(2))


def padded(pad_value: int, edge: int = 1) -> Layer:
    return conv2d(np.ones((2, 3, 2, 2)), np.zeros(2), Window((2, 2), (1, 1), (edge,) * 4), pad_value=pad_value)


POOL = MaxPool(Window((2, 2), (2, 2)))


@pytest.mark.parametrize(
    ("layers", "fact"),
    [
        ([], "network 'test' has no layers"),
        ([hidden(), last(4)], "layer 1 takes 4 values but is given 3"),
        ([hidden(-1, 128), last()], "layer 0 is clipped to -1..128, which is not one byte"),
        ([hidden(-129, 1), last()], "layer 0 is clipped to -129..1, which is not one byte"),
        ([hidden(0, 256), last()], "layer 0 is clipped to 0..256, which is not one byte"),
        ([dense(np.ones((3, 4)), np.zeros(3))], "the last layer has 3 outputs but there are 2 labels"),
        ([dense(np.ones((2, 4)), [INT32_MAX, 0])], f"layer 0 can reach |accumulator| {INT32_MAX + 4 * 255}, past int32"),
        ([hidden(), dense(np.ones((2, 3)), [INT32_MAX, 0])], f"layer 1 can reach |accumulator| {INT32_MAX + 3 * 255}"),
        ([POOL, last()], "layer 0 needs an image but is given 4"),
        ([hidden(), last(), POOL], "the last layer is a pool; end with a dense layer or a convolution"),
    ],
)
def test_a_network_refuses(layers: list[Layer], fact: str) -> None:
    with pytest.raises(ModelError) as caught:
        QuantizedNetwork("test", InputFormat((4,)), ("a", "b"), tuple(layers))
    assert fact in str(caught.value)


@pytest.mark.parametrize("low_high", [(0, 3), (-4, 3), (17, 200), (-9, -2)])
def test_padding_is_a_value_of_the_input(low_high: tuple[int, int]) -> None:
    low, high = low_high
    first = conv2d(np.ones((3, 1, 1, 1)), np.zeros(3), Window((1, 1)), low=low, high=high)
    for value in (low, high):
        assert network([first, POOL, padded(value)], InputFormat((2, 2))).shapes[-1] == (2, 2, 2)
    for value in (low - 1, high + 1):
        with pytest.raises(ModelError, match=f"layer 2 is padded with {value}, outside its input's {low}..{high}"):
            network([first, POOL, padded(value)], InputFormat((2, 2)))
    assert network([first, padded(500, edge=0)], InputFormat((2, 2))).shapes[-1] == (2, 1, 1)


def test_the_range_of_the_input_is_in_the_bound() -> None:
    tight = dense([[127]], [INT32_MAX - 127])
    assert network([tight], InputFormat((1,), 1, (9,))).ranges == ((0, 1),)
    with pytest.raises(ModelError, match="layer 0 can reach"):
        network([tight], InputFormat((1,)))


def test_layers_do_not_grow_without_end() -> None:
    grows = conv2d(np.ones((4096, 1, 1, 1)), np.zeros(4096), Window((1, 1)), low=0, high=255)
    fact = f"layer 0 gives 4096x65x64 values; at most {LARGEST_SIZE} are taken"
    with pytest.raises(ModelError, match=fact):
        network([grows, conv2d(np.zeros((1, 4096, 64, 64)), [0], Window((64, 64)))], InputFormat((65, 64)))


@pytest.mark.parametrize(
    ("density", "fact"),
    [((0.5,), "density must have one share a layer, or none"), ((0.5, 1.5), "density must hold shares, 0..1")],
)
def test_density_that_does_not_fit(density: tuple[float, ...], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        QuantizedNetwork("test", InputFormat((4,)), ("a", "b"), (hidden(), last()), density=density)


def test_as_many_classes_as_a_result_carries() -> None:
    assert len(network([dense(np.ones((MAX_CLASSES, 2)), np.zeros(MAX_CLASSES))]).labels) == MAX_CLASSES
    with pytest.raises(ModelError, match="65 outputs; a result carries at most 64"):
        network([dense(np.ones((MAX_CLASSES + 1, 2)), np.zeros(MAX_CLASSES + 1))])


def test_a_network_may_end_in_an_image() -> None:
    wide = conv2d(np.ones((2, 1, 1, 1)), np.zeros(2), Window((1, 1)))
    assert len(network([wide], InputFormat((3, 4))).labels) == 24


def test_what_a_network_tells_of_itself() -> None:
    net = random_network("conv4x3p1-pool2-6-5", 1, (6, 8), bits=2)
    assert (net.input_shape, net.architecture) == ((6, 8), "conv4x3p1-pool2-6-5")
    assert net.shapes == ((6, 8), (4, 6, 8), (4, 3, 4), (6,), (5,))
    assert net.macs == 4 * 6 * 8 * 9 + 48 * 6 + 6 * 5
    by = [layer.requantization for layer in (net.layers[0], net.layers[2]) if not isinstance(layer, MaxPool)]
    first, second = ((each.low, each.high) for each in by)
    assert net.ranges == ((0, 3), first, first, second)
