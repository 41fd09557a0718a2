"""What a network refuses to be, and the bound that it proves."""

from __future__ import annotations

import numpy as np
import pytest
from networks import dense, network, random_network

from ebpfnn import reference
from ebpfnn.errors import ModelError
from ebpfnn.network import INT32_MAX, MAX_CLASSES, Dense, QuantizedNetwork, accumulator_bound


def hidden(**fields: object) -> Dense:
    return dense(np.ones((3, 4)), np.zeros(3), **{"low": 0, "high": 255, **fields})


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"weights": np.ones((3, 4), np.int16)}, "weights must be int8"),
        ({"weights": np.ones(4, np.int8)}, "weights must be int8"),
        ({"weights": np.ones((3, 0), np.int8)}, "weights must hold 1 to"),
        ({"weights": np.full((3, 4), -128, np.int8)}, "weights must lie in -127..127"),
        ({"bias": np.zeros(3, np.int64)}, r"bias must be int32 \[3\]"),
        ({"positive": np.zeros(2, np.int32)}, r"positive must be int32 \[3\]"),
        ({"negative": np.full(3, -1, np.int32)}, "multipliers must not be negative"),
        ({"shift": 0}, "shift must lie in 1..62"),
        ({"shift": 63}, "shift must lie in 1..62"),
        ({"low": 5, "high": 5}, "low must lie below high"),
        ({"high": 2**31}, "low must lie below high"),
    ],
)
def test_a_layer_refuses(fields: dict[str, object], fact: str) -> None:
    good = hidden()
    values = {name: getattr(good, name) for name in good.__dataclass_fields__}
    with pytest.raises(ModelError, match=fact):
        Dense(**{**values, **fields})


@pytest.mark.parametrize(
    ("layers", "fact"),
    [
        ([], "has no layers"),
        ([hidden(), dense(np.ones((2, 4)), np.zeros(2))], "layer 1 takes 4 values but is given 3"),
        ([hidden(low=-1, high=128), dense(np.ones((2, 3)), np.zeros(2))], "layer 0 is clipped to -1..128"),
        ([hidden(low=-129, high=1), dense(np.ones((2, 3)), np.zeros(2))], "layer 0 is clipped to -129..1"),
        ([hidden(low=0, high=256), dense(np.ones((2, 3)), np.zeros(2))], "layer 0 is clipped to 0..256"),
        ([dense(np.ones((3, 4)), np.zeros(3))], "3 outputs but there are 2 labels"),
        ([dense(np.ones((2, 4)), [INT32_MAX, 0])], "layer 0 can reach |accumulator|"),
    ],
)
def test_a_network_refuses(layers: list[Dense], fact: str) -> None:
    with pytest.raises(ModelError) as caught:
        QuantizedNetwork("test", (4,), ("a", "b"), tuple(layers))
    assert fact in str(caught.value)


def test_as_many_classes_as_a_result_carries() -> None:
    assert len(network([dense(np.ones((MAX_CLASSES, 2)), np.zeros(MAX_CLASSES))]).labels) == MAX_CLASSES
    with pytest.raises(ModelError, match="65 classes"):
        network([dense(np.ones((MAX_CLASSES + 1, 2)), np.zeros(MAX_CLASSES + 1))])


@pytest.mark.parametrize("shape", [(), (0,), (4, -1)])
def test_an_input_shape_without_values(shape: tuple[int, ...]) -> None:
    with pytest.raises(ModelError, match=r"input shape .* has no values"):
        QuantizedNetwork("test", shape, ("a",), (dense([[1]], [0]),))


@pytest.mark.parametrize("signed", [False, True])
def test_the_bound_is_reached_and_never_passed(signed: bool) -> None:
    layer = random_network((30, 10), seed=5).layers[0]
    bound = accumulator_bound(layer, signed)
    low, high = (-128, 127) if signed else (0, 255)
    inputs = np.random.default_rng(5).integers(low, high + 1, (500, 30))
    corners = np.concatenate([np.where(layer.weights > 0, a, b) for a, b in ((low, high), (high, low))])
    reached = np.abs(reference.accumulate(layer, np.concatenate([inputs, corners.astype(np.int64)])))
    assert int(reached.max()) <= bound
    most = int((np.abs(layer.weights.astype(np.int64)).sum(axis=1) * max(-low, high) + np.abs(layer.bias)).max())
    assert bound == most


def test_architecture() -> None:
    assert random_network((12, 5, 3), seed=1).architecture == "12-5-3"
