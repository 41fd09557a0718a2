"""The layer that ends an autoencoder: how far a reconstruction is from what it was made of (equation 28)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from .joins import added_shape
from .requantization import INT32_MAX, Shape, expect


@dataclass(frozen=True)
class SquaredError:
    """The sum of squared differences of two values of one shape, one int32 score (equation 28). Only the last layer may be one.

    Both values are on one scale with one zero point, so the score needs neither a bias nor multipliers.
    """

    @property
    def sources(self) -> int:
        """How many values it compares."""
        return 2

    def output_shape(self, *shapes: Shape) -> Shape:
        """One number. Raises :class:`ModelError` where ``shapes`` are not one, as :func:`~ebpfnn.network.joins.added_shape`."""
        added_shape(*shapes)
        return (1,)

    def macs(self, *shapes: Shape) -> int:
        """Multiplications of one sample of ``shapes``."""
        return prod(shapes[0])


def error_bound(size: int, ranges: tuple[tuple[int, int], ...]) -> int:
    """The largest sum for two times ``size`` values in ``ranges`` (equation 28)."""
    return size * _widest(ranges) ** 2


def check_error(size: int, ranges: tuple[tuple[int, int], ...], *, last: bool) -> None:
    """Raises :class:`ModelError` where a sum could leave int32, or the layer is not the last."""
    expect(last, "compares two values, whose error is a score; make it the last layer")
    bound = error_bound(size, ranges)
    most = INT32_MAX // max(1, _widest(ranges) ** 2)
    expect(bound <= INT32_MAX, f"compares {size} values, whose error can reach {bound}, past int32; give at most {most}")


def _widest(ranges: tuple[tuple[int, int], ...]) -> int:
    (low, high), (other_low, other_high) = ranges
    return max(abs(high - other_low), abs(other_high - low))
