"""Architectures: strings to layers, layers to strings, and strings that are neither."""

from __future__ import annotations

import pytest
from architectures import KINDS, SHAPE, architectures
from hypothesis import given
from networks import random_network

from ebpfnn.errors import ModelError
from ebpfnn.network.architecture import Step, parse
from ebpfnn.network.layers import Window


def square(size: int, stride: int = 1, edge: int = 0) -> Window:
    return Window((size, size), (stride, stride), (edge,) * 4)


@pytest.mark.parametrize(
    ("text", "shape", "steps"),
    [
        ("784-32-10", (28, 28), [Step("dense", 32), Step("dense", 10)]),
        ("12-3", (12,), [Step("dense", 3)]),
        ("in-32-10", (28, 28), [Step("dense", 32), Step("dense", 10)]),
        ("conv8x3-10", (28, 28), [Step("conv", 8, square(3)), Step("dense", 10)]),
        ("conv8x3s2p1g4-10", (4, 9, 9), [Step("conv", 8, square(3, 2, 1), 4), Step("dense", 10)]),
        ("conv8x3x5-10", (28, 28), [Step("conv", 8, Window((3, 5))), Step("dense", 10)]),
        ("conv8x1x5s1x2-10", (1, 28), [Step("conv", 8, Window((1, 5), (1, 2))), Step("dense", 10)]),
        ("dw3-gap", (2, 8, 8), [Step("dw", 0, square(3)), Step("gap")]),
        ("dw3x2s2p1-5", (8, 8), [Step("dw", 0, Window((3, 2), (2, 2), (1, 1, 1, 1))), Step("dense", 5)]),
        ("pool2-5", (8, 8), [Step("pool", 0, square(2, 2)), Step("dense", 5)]),
        ("pool3s1-5", (8, 8), [Step("pool", 0, square(3)), Step("dense", 5)]),
        ("pool3x2p1-5", (8, 8), [Step("pool", 0, Window((3, 2), (3, 2), (1, 1, 1, 1))), Step("dense", 5)]),
        ("avgpool2-5", (8, 8), [Step("avgpool", 0, square(2, 2)), Step("dense", 5)]),
    ],
)
def test_what_is_parsed(text: str, shape: tuple[int, ...], steps: list[Step]) -> None:
    assert parse(text, shape) == tuple(steps)


@pytest.mark.parametrize(("word", "told"), [("forrest:3x4", True), ("banana", False)])
def test_misspelled_trees_are_told_their_names(word: str, told: bool) -> None:
    with pytest.raises(ModelError) as caught:
        parse(word, (28, 28))
    assert ("; trees are tree:8, forest:16x8 and boost:32x4" in str(caught.value)) == told


@pytest.mark.parametrize("word", ["", "conv", "conv8", "conv8x", "conv8x3x3x3", "conv0x3", "convx3", "dw", "dw3x3x3", "dw3g2"])
@pytest.mark.parametrize("place", ["{}-10", "conv4x3-{}-10"])
def test_words_that_are_no_layer(word: str, place: str) -> None:
    text = place.format(word)
    with pytest.raises(ModelError) as caught:
        parse(text, (28, 28))
    assert str(caught.value).startswith(f"architecture {text!r}: ")
    assert f"{word!r} is not a layer; layers are 16, conv8x3s1p1g1, dw3s1p1, pool2s2p0, avgpool2, gap and table32" in str(
        caught.value
    )


@pytest.mark.parametrize(
    "word", ["in", "pool", "pool2g2", "gap2", "gaps2", "relu", "8x8", "-8", "conv8x3s", "0", "65537", "conv8x3s0", "٣"]
)
def test_more_words_that_are_no_layer(word: str) -> None:
    with pytest.raises(ModelError):
        parse(f"conv4x3-{word}-10", (28, 28))


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("700-10", "a sample has 784 values (28x28); begin with 784"),
        ("784", "end with the number of classes, or gap"),
        ("conv8x3", "end with the number of classes, or gap"),
        ("conv8x3-pool2", "end with the number of classes, or gap"),
        ("conv8x3p3-10", "padding must be (top, left, bottom, right), below the kernel"),
        ("", "is not a layer"),
    ],
)
def test_architectures_that_do_not_fit(text: str, fact: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse(text, (28, 28))
    message = str(caught.value)
    assert message.startswith(f"architecture {text!r}: ")
    assert fact in message


@pytest.mark.parametrize(
    "text",
    [
        "144-5-3",
        "144-3",
        "conv3x1x5s1x2-3",
        "conv3x2s3x1p1-pool2s1x2-3",
        *(kind for kind in KINDS if "avg" not in kind and "gap" not in kind),
    ],
)
def test_a_network_tells_its_architecture(text: str) -> None:
    """As it was written, where no average pool and no default is in it."""
    assert random_network(text, 1, (2, 9, 8)).architecture == text


@given(architectures().filter(lambda text: not text.endswith("gap")))
def test_what_a_network_tells_is_parsed_to_the_same_shapes(text: str) -> None:
    """Its average pools are depthwise convolutions by then."""
    net = random_network(text, 1, SHAPE)
    again = random_network(net.architecture, 2, SHAPE)
    assert (again.shapes, again.macs, again.architecture) == (net.shapes, net.macs, net.architecture)


def test_average_pools_appear_as_what_they_are() -> None:
    assert random_network("avgpool2-gap", 1, (2, 9, 8)).architecture == "dw2s2-dw4s4"
    assert random_network("conv1x1-gap", 1, (1, 4, 4)).architecture == "conv1x1-conv1x4s4"
