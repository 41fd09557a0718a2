"""The layers that join the values of several: a sum of two (equation 24), and channels side by side (equation 25)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from .requantization import Requantization, Shape, describe, expect, image_shape

MOST_JOINED = 8
"""The most values that one layer joins: EBPFNN_MAX_SOURCES of bpf/include/ebpfnn/nn_network.h."""
MOST_FACTOR = 1 << 21
"""The factor that quantization gives the coarser of two values: their sums and zero points then fit int32."""


def added_shape(*shapes: Shape) -> Shape:
    """The shape of a sum of two values. Raises :class:`ModelError` where ``shapes`` are not one."""
    images = {image_shape(shape) for shape in shapes if len(shape) > 1}
    fits = len(shapes) == 2 and len(images) < 2 and len(set(map(prod, shapes))) == 1
    expect(fits, f"adds {' and '.join(map(describe, shapes))}; give two values of one shape")
    return next(iter(images), shapes[0])


def joined_shape(*shapes: Shape) -> Shape:
    """Images of equal rows and columns stay images; anything else is joined flat, as it is stored."""
    expect(2 <= len(shapes) <= MOST_JOINED, f"joins {len(shapes)} values; give 2 to {MOST_JOINED}")
    images = [image_shape(shape) for shape in shapes if len(shape) > 1]
    if len(images) == len(shapes) and len({image[1:] for image in images}) == 1:
        return (sum(image[0] for image in images), *images[0][1:])
    return (sum(map(prod, shapes)),)


@dataclass(frozen=True, eq=False)
class Add:
    """The sum of two values of one shape: ``acc = factors[0] * x + factors[1] * y + bias``, place by place (equation 24).

    ``factors`` is int32 [2], of any sign; ``bias`` int32 [1]. ``requantization`` has one channel.

    Raises :class:`ModelError` where these do not fit.
    """

    factors: NDArray[np.int32]
    bias: NDArray[np.int32]
    requantization: Requantization

    def __post_init__(self) -> None:
        expect(self.factors.dtype == np.int32 and self.factors.shape == (2,), "factors must be int32 [2]")
        expect(self.bias.dtype == np.int32 and self.bias.shape == (1,), "bias must be int32 [1]")
        expect(self.requantization.channels == 1, "multipliers must be int32 [1]")
        expect(self.requantization.activation is None, "adds values, and has no activation table")

    @property
    def sources(self) -> int:
        """How many values it joins."""
        return 2

    def output_shape(self, *shapes: Shape) -> Shape:
        """As :func:`added_shape`."""
        return added_shape(*shapes)

    def macs(self, *shapes: Shape) -> int:
        """Multiplications of one sample of ``shapes``."""
        return sum(map(prod, shapes))


@dataclass(frozen=True, eq=False)
class Concat:
    """The channels of several values, one after the other: ``acc = x + bias``, of each value its own (equation 25).

    ``bias`` is int32 [values], 2 to 8 of them, and ``requantization`` has a channel for each value, so that what has another
    scale or zero point is brought to that of the outputs.

    Raises :class:`ModelError` where these do not fit.
    """

    bias: NDArray[np.int32]
    requantization: Requantization

    def __post_init__(self) -> None:
        expect(self.bias.dtype == np.int32 and self.bias.ndim == 1, "bias must be int32 [values]")
        expect(2 <= self.sources <= MOST_JOINED, f"joins {self.sources} values; give 2 to {MOST_JOINED}")
        expect(self.requantization.channels == self.sources, f"multipliers must be int32 [{self.sources}]")
        expect(self.requantization.activation is None, "joins values, and has no activation table")

    @property
    def sources(self) -> int:
        """How many values it joins."""
        return int(self.bias.size)

    def output_shape(self, *shapes: Shape) -> Shape:
        """As :func:`joined_shape`."""
        return joined_shape(*shapes)

    def keeps(self, number: int, low: int, high: int) -> bool:
        """Whether value ``number`` is copied as it is, if it lies in ``low..high``."""
        by = self.requantization
        one = int(by.positive[number]) == int(by.negative[number]) == 1 << by.shift
        return one and int(self.bias[number]) + by.zero_point == 0 and by.low <= low and high <= by.high

    def macs(self, *shapes: Shape) -> int:
        """None: it moves values, and scales some."""
        return 0


Join = Add | Concat


def join_bound(layer: Join, ranges: tuple[tuple[int, int], ...]) -> int:
    """The largest magnitude that an accumulator of ``layer`` can reach for values in ``ranges`` (equations 24 and 25)."""
    reach = [max(abs(low), abs(high)) for low, high in ranges]
    if isinstance(layer, Add):
        terms = (abs(int(factor)) * each for factor, each in zip(layer.factors, reach, strict=True))
        return abs(int(layer.bias[0])) + sum(terms)
    return max(abs(int(bias)) + each for bias, each in zip(layer.bias, reach, strict=True))
