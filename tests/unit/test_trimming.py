"""What is left out of a network before it is quantized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ebpfnn.errors import ModelError
from ebpfnn.network import reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Dense, Window
from ebpfnn.quantize import float_reference
from ebpfnn.quantize.floats import Activation, FloatConv2d, FloatDense, Network
from ebpfnn.quantize.quantization import quantize
from ebpfnn.quantize.trimming import share_steps, trim_idle


def two_layers(form: InputFormat) -> Network:
    random = np.random.default_rng(3)

    def dense(outputs: int, inputs: int, activation: Activation) -> FloatDense:
        weights = random.normal(0, 0.3, (outputs, inputs)).astype(np.float32)
        return FloatDense(weights, random.normal(0, 0.1, outputs).astype(np.float32), activation)

    layers = (dense(6, form.size, Activation(slope=0.125)), dense(3, 6, Activation()))
    return Network("two", form, tuple("abc"), layers)


def samples() -> np.ndarray:
    """[100, 4, 5]: input 0 is never above 0, input 1 in one of a hundred samples, input 2 only up to 99."""
    drawn = np.random.default_rng(4).integers(1, 256, (100, 4, 5)).astype(np.uint8)
    drawn[:, 0, 0] = 0
    drawn[1:, 0, 1] = 0
    drawn[:, 0, 2] = 99
    return drawn


@pytest.mark.parametrize(
    ("form", "share", "idle"),
    [
        (InputFormat((4, 5)), 0.0, {0}),
        (InputFormat((4, 5)), 0.009, {0}),
        (InputFormat((4, 5)), 0.01, {0, 1}),
        (InputFormat((4, 5), 1, (100,)), 0.0, {0, 2}),
    ],
)
def test_idle_inputs_lose_their_weights(form: InputFormat, share: float, idle: set[int]) -> None:
    network = two_layers(form)
    trimmed = trim_idle(network, samples(), share)
    before, after = network.layers[0].weights, trimmed.layers[0].weights
    assert set(np.flatnonzero((after == 0).all(axis=0))) == idle
    kept = sorted({*range(20)} - idle)
    assert (after[:, kept] == before[:, kept]).all()
    assert trimmed.layers[1:] == network.layers[1:]


def test_what_is_never_seen_is_not_missed() -> None:
    network, shown = two_layers(InputFormat((4, 5))), samples()
    trimmed = trim_idle(network, shown, 0.0)
    assert np.array_equal(float_reference.logits(network, shown), float_reference.logits(trimmed, shown))


def test_a_convolution_has_no_idle_inputs() -> None:
    network = two_layers(InputFormat((4, 5)))
    weights = np.ones((1, 1, 1, 1), np.float32)
    convolution = FloatConv2d(weights, np.zeros(1, np.float32), Window((1, 1)))
    with pytest.raises(ModelError, match="network 'two' does not begin with a dense layer; trim no inputs"):
        trim_idle(replace(network, layers=(convolution, *network.layers)), samples(), 0.0)


def test_outputs_that_share_a_step_share_their_multipliers() -> None:
    network, shown = two_layers(InputFormat((4, 5))), samples()
    apart, together = quantize(network, shown), quantize(share_steps(network), shown)
    for one, expected in ((apart, 6), (together, 1)):
        hidden, last = one.layers
        assert isinstance(hidden, Dense)
        assert isinstance(last, Dense)
        assert len(set(hidden.requantization.positive.tolist())) == expected
        assert len(set(last.requantization.positive.tolist())) == 3
        assert np.abs(hidden.weights).max() == 127
    agreeing = (reference.labels(apart, shown) == reference.labels(together, shown)).mean()
    assert agreeing > 0.9
