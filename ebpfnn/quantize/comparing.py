"""The error of a reconstruction, in integers: the levels of the sample, and what a score is worth (equation 28)."""

from __future__ import annotations

from math import inf

from ..network.graph import SAMPLE
from ..network.layers import INT32_MAX, expect
from .floats import FloatConv2d, FloatDense, FloatSquaredError, Network
from .scales import SMALLEST, Range


def sample_range(network: Network) -> Range:
    """What the levels of samples are in."""
    return Range(0, network.input.highest, 1 / network.input.highest)


def compared(network: Network) -> dict[int, Range]:
    """The layer whose outputs are compared with the sample, if there is one: they get the levels of the sample.

    Raises :class:`ModelError` for an error of anything else.
    """
    if not network.layers or not isinstance(network.layers[-1], FloatSquaredError):
        return {}
    number, other = network.takes[-1]
    fits = other == SAMPLE != number and isinstance(network.layers[number], FloatDense | FloatConv2d)
    fits = fits and sum(number in taken for taken in network.takes) == 1
    expect(fits, f"network '{network.name}': its error is not that of a dense layer or a convolution and the sample; end it so")
    return {number: sample_range(network)}


def error_range(layer: FloatSquaredError, given: list[Range], size: int) -> Range:
    """What the error of ``size`` values is in. Raises :class:`ModelError` for a factor that gives it no unit."""
    unit = layer.factor * given[1].scale ** 2 / size
    expect(SMALLEST <= unit < inf, f"has a factor of {layer.factor:g}, which gives its error no unit; give another --std")
    return Range(0, INT32_MAX, unit)
