"""What layers and inputs refuse to be, what shapes they give, and the bound that they prove."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from networks import conv2d, dense, requantization

from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import (
    INT32_MAX,
    LARGEST_SIZE,
    MaxPool,
    Requantization,
    Weighted,
    Window,
    accumulator_bound,
    image_shape,
)

DENSE = dense(np.ones((3, 4)), np.zeros(3))
CONV2D = conv2d(np.ones((4, 2, 3, 2)), np.zeros(4), Window((3, 2)), 2)


def bent(good: Any, **changes: object) -> Any:
    return type(good)(**{**{field.name: getattr(good, field.name) for field in fields(good)}, **changes})


def refused(make: Callable[..., object], *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(ModelError) as caught:
        make(*arguments, **keywords)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"positive": np.zeros(3, np.int64)}, "positive must be int32 [3]"),
        ({"positive": np.zeros((3, 1), np.int32)}, "positive must be int32 [3]"),
        ({"negative": np.zeros(2, np.int32)}, "negative must be int32 [3]"),
        ({"negative": np.full(3, -1, np.int32)}, "multipliers must not be negative"),
        ({"positive": np.full(3, -1, np.int32)}, "multipliers must not be negative"),
        ({"shift": 0}, "shift must lie in 1..62"),
        ({"shift": 63}, "shift must lie in 1..62"),
        ({"low": 5, "high": 5}, "low must lie below high, both in int32"),
        ({"high": 2**31}, "low must lie below high, both in int32"),
        ({"low": -(2**31) - 1}, "low must lie below high, both in int32"),
        ({"zero_point": -129}, "zero_point must lie in -128..255"),
        ({"zero_point": 256}, "zero_point must lie in -128..255"),
    ],
)
def test_a_requantization_refuses(changes: dict[str, object], fact: str) -> None:
    assert refused(bent, requantization(3), **changes) == fact


@pytest.mark.parametrize(
    ("low", "high", "one_byte"),
    [
        (0, 255, True),
        (-128, 127, True),
        (-5, -2, True),
        (3, 200, True),
        (-1, 128, False),
        (-129, 0, False),
        (0, 256, False),
    ],
)
def test_what_fits_one_byte(low: int, high: int, one_byte: bool) -> None:
    assert requantization(1, low=low, high=high).one_byte == one_byte


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"weights": np.ones((3, 4), np.int16)}, "weights must be int8 [outputs, inputs]"),
        ({"weights": np.ones(4, np.int8)}, "weights must be int8 [outputs, inputs]"),
        ({"weights": np.ones((3, 0), np.int8)}, f"weights must hold 1 to {LARGEST_SIZE} values"),
        ({"weights": np.full((3, 4), -128, np.int8)}, "weights must lie in -127..127"),
        ({"bias": np.zeros(3, np.int64)}, "bias must be int32 [3]"),
        ({"bias": np.zeros(4, np.int32)}, "bias must be int32 [3]"),
        ({"requantization": requantization(2)}, "multipliers must be int32 [3]"),
    ],
)
def test_a_dense_layer_refuses(changes: dict[str, object], fact: str) -> None:
    assert refused(bent, DENSE, **changes) == fact


AXES = "weights must be int8 [channels, input channels, rows, columns]"


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"weights": np.ones((4, 2, 3, 2), np.int32)}, AXES),
        ({"weights": np.ones((4, 12), np.int8)}, AXES),
        ({"weights": np.ones((4, 2, 2, 3), np.int8)}, "weights must have the window's rows and columns"),
        ({"weights": np.full((4, 2, 3, 2), -128, np.int8)}, "weights must lie in -127..127"),
        ({"bias": np.zeros(2, np.int32)}, "bias must be int32 [4]"),
        ({"requantization": requantization(5)}, "multipliers must be int32 [4]"),
        ({"groups": 3}, "4 channels do not split in 3 groups"),
        ({"groups": 0}, "4 channels do not split in 0 groups"),
    ],
)
def test_a_convolution_refuses(changes: dict[str, object], fact: str) -> None:
    assert refused(bent, CONV2D, **changes) == fact


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "fact"),
    [
        ((0, 1), (1, 1), (0, 0, 0, 0), "kernel must be (rows, columns), each 1 or more"),
        ((2,), (1, 1), (0, 0, 0, 0), "kernel must be (rows, columns), each 1 or more"),
        ((2, 2), (1, 0), (0, 0, 0, 0), "stride must be (rows, columns), each 1 or more"),
        ((2, 2), (1, 1, 1), (0, 0, 0, 0), "stride must be (rows, columns), each 1 or more"),
        ((2, 2), (1, 1), (0, 0), "padding must be (top, left, bottom, right), below the kernel"),
        ((2, 2), (1, 1), (0, 0, 2, 0), "padding must be (top, left, bottom, right), below the kernel"),
        ((3, 2), (1, 1), (2, 2, 0, 0), "padding must be (top, left, bottom, right), below the kernel"),
        ((2, 2), (1, 1), (0, -1, 0, 0), "padding must be (top, left, bottom, right), below the kernel"),
    ],
)
def test_a_window_refuses(kernel: Any, stride: Any, padding: Any, fact: str) -> None:
    assert refused(Window, kernel, stride, padding) == fact


@pytest.mark.parametrize(
    ("window", "shape", "size"),
    [
        (Window((3, 3)), (5, 7), (3, 5)),
        (Window((3, 2), (2, 3)), (1, 5, 8), (2, 3)),
        (Window((2, 2), (2, 2)), (1, 5, 5), (2, 2)),
        (Window((3, 3), (1, 1), (1, 1, 1, 1)), (8, 5, 7), (5, 7)),
        (Window((3, 3), (2, 1), (2, 0, 0, 1)), (4, 4), (2, 3)),
        (Window((4, 4)), (4, 4), (1, 1)),
    ],
)
def test_how_often_a_window_fits(window: Window, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    assert window.output_size(shape) == size


def test_shapes_and_multiplications() -> None:
    assert (DENSE.inputs, DENSE.outputs, DENSE.output_shape((2, 2)), DENSE.macs((2, 2))) == (4, 3, (3,), 12)
    assert (CONV2D.inputs, CONV2D.outputs, CONV2D.output_shape((4, 5, 5))) == (4, 4, (4, 3, 4))
    assert CONV2D.macs((4, 5, 5)) == 4 * 3 * 4 * 2 * 3 * 2
    pool = MaxPool(Window((2, 2), (2, 2)))
    assert (pool.output_shape((3, 5, 4)), pool.output_shape((5, 4)), pool.macs((3, 5, 4))) == ((3, 2, 2), (1, 2, 2), 0)
    assert (image_shape((5, 4)), image_shape((3, 5, 4))) == ((1, 5, 4), (3, 5, 4))


@pytest.mark.parametrize(
    ("layer", "shape", "fact"),
    [
        (DENSE, (5,), "takes 4 values but is given 5"),
        (DENSE, (2, 3), "takes 4 values but is given 2x3"),
        (CONV2D, (4,), "needs an image but is given 4"),
        (CONV2D, (2, 5, 5), "takes 4 channels but is given 2x5x5"),
        (CONV2D, (5, 5), "takes 4 channels but is given 5x5"),
        (CONV2D, (4, 2, 5), "has a window larger than its input, 4x2x5"),
        (MaxPool(Window((2, 2))), (4,), "needs an image but is given 4"),
        (MaxPool(Window((2, 2))), (1, 2, 1), "has a window larger than its input, 1x2x1"),
    ],
)
def test_shapes_that_a_layer_does_not_take(layer: Any, shape: tuple[int, ...], fact: str) -> None:
    assert refused(layer.output_shape, shape) == fact


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (((),), "input shape  is neither flat nor an image"),
        (((1, 2, 3, 4),), "input shape 1x2x3x4 is neither flat nor an image"),
        (((0,),), "input shape 0 is neither flat nor an image"),
        (((4, -1),), "input shape 4x-1 is neither flat nor an image"),
        (((4097, 4096),), f"input shape 4097x4096 holds more than {LARGEST_SIZE} values"),
        (((4,), 3), "3 bits an input value; 1, 2, 4 and 8 are known"),
        (((4,), 8, (1,)), "8 bits take 0 thresholds, not 1"),
        (((4,), 2, (1, 2)), "2 bits take 3 thresholds, not 2"),
        (((4,), 2, (1, 1, 2)), "thresholds must rise, within 1..255"),
        (((4,), 1, (0,)), "thresholds must rise, within 1..255"),
        (((4,), 1, (256,)), "thresholds must rise, within 1..255"),
        (((2,), 1, (9,), False, "big", ((9,), (9,))), "thresholds are given for each value and for all; give one of them"),
        (((2,), 8, (), False, "big", ((9,), (9,))), "8 bits take no thresholds"),
        (((1, 2), 1, (), False, "big", ((9,), (9,))), "thresholds for each value need a flat sample, not 1x2"),
        (((2,), 1, (), False, "big", ((9,),)), "a sample has 2 values, and 1 have thresholds"),
        (((1,), 1, (), False, "big", ((9,), (9,))), "a sample has 1 values, and 2 have thresholds"),
        (((2,), 2, (), False, "big", ((9, 9, 9), (9, 9))), "value 1: 2 bits take 3 thresholds, not 2"),
        (((2,), 2, (), False, "big", ((2, 3, 2), (1, 2, 3))), "value 0: thresholds must not fall, within 1..256"),
        (((2,), 1, (), False, "big", ((1,), (0,))), "value 1: thresholds must not fall, within 1..256"),
        (((2,), 1, (), False, "big", ((256,), (257,))), "value 1: thresholds must not fall, within 1..256"),
        (
            ((1025,), 1, (), False, "big", ((9,),) * 1025),
            "1025 values have thresholds of their own; at most 1024 may",
        ),
        (((4,), 8, (), True), "8-bit samples cannot be packed"),
        (((4,), 1, (9,), True, "middle"), "bit order 'middle'; 'big' and 'little' are known"),
    ],
)
def test_an_input_refuses(arguments: tuple[Any, ...], fact: str) -> None:
    assert refused(InputFormat, *arguments) == fact


@pytest.mark.parametrize(
    ("bits", "packed", "size", "sample_bytes", "highest"),
    [
        (8, False, 9, 9, 255),
        (1, False, 9, 9, 1),
        (1, True, 9, 2, 1),
        (2, True, 9, 3, 3),
        (4, True, 9, 5, 15),
        (1, True, 8, 1, 1),
    ],
)
def test_the_size_of_a_sample(bits: int, packed: bool, size: int, sample_bytes: int, highest: int) -> None:
    thresholds = tuple(range(1, 2**bits)) if bits < 8 else ()
    form = InputFormat((size,), bits, thresholds, packed)
    assert (form.size, form.sample_bytes, form.highest) == (size, sample_bytes, highest)


@pytest.mark.parametrize("reach", [(0, 255), (0, 1), (-128, 127), (-4, 3), (17, 200), (-9, -2)])
@pytest.mark.parametrize("kind", ["dense", "conv2d"])
def test_the_bound_is_reached_and_never_passed(kind: str, reach: tuple[int, int]) -> None:
    random = np.random.default_rng(5)
    weights, bias = random.integers(-127, 128, (10, 30)), random.integers(-9999, 9999, 10)
    image = conv2d(weights.reshape(10, 5, 2, 3), bias, Window((2, 3)))
    layer: Weighted = dense(weights, bias) if kind == "dense" else image
    low, high = reach
    bound = accumulator_bound(layer, low, high)
    inputs = random.integers(low, high + 1, (500, 5, 2, 3))
    # Whichever magnitude is the larger, each weight gets the end that makes its product reach as far as it can.
    corners = [np.where(weights > 0, a, b).reshape(10, 5, 2, 3) for a, b in ((low, high), (high, low))]
    reached = np.abs(reference.accumulate(layer, np.concatenate([inputs, *corners]).astype(np.int64)))
    assert int(reached.max()) <= bound
    assert bound == int((np.abs(weights).sum(axis=1) * max(abs(low), abs(high)) + np.abs(bias)).max())


def test_one_sign_reaches_the_bound() -> None:
    layer = dense([[127, 127]], [INT32_MAX - 2 * 127 * 255])
    assert accumulator_bound(layer, 0, 255) == INT32_MAX
    assert reference.accumulate(layer, np.array([[255, 255]], np.int64)).item() == INT32_MAX


def test_a_requantization_of_no_channels() -> None:
    none = np.empty(0, np.int32)
    with pytest.raises(ModelError, match="positive must be int32"):
        Requantization(none, none, 1, 0, 255)


def test_padding_that_would_fill_the_memory() -> None:
    with pytest.raises(ModelError, match=r"pads its input, 1x4x4, to \d+ values; at most 16777216 are taken"):
        Window((1 << 20, 1 << 20), padding=((1 << 20) - 1,) * 4).output_size((1, 4, 4))
