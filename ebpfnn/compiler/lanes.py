"""Lanes: several small sums in one 64-bit register (SWAR, "SIMD within a register"; Lamport, CACM 18(8), 1975).

BPF has no vectors, but its multiplication has 64 bits, and a product of a byte and a weight has 15. So the weights of three
outputs fit one word, 21 bits apart, and one multiplication by the input computes three products:

    word = w0 + (w1 << 21) + (w2 << 42)  mod 2^64
    word * x = w0 x + (w1 x << 21) + (w2 x << 42)  mod 2^64

A negative sum would borrow from the lane above. To prevent this, each lane starts at a *seed*: minus the lowest sum that these
weights and any inputs can reach. So at the end it holds a number from 0 to the range of the sum. If that range is below 2^21, a
shift and a mask extract the lanes of a word exactly. Intermediate values do not matter: all of it is arithmetic modulo 2^64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Lanes:
    """A word of ``count`` lanes of ``bits``; unused bits are at the top."""

    bits: int
    count: int

    def __str__(self) -> str:
        return f"{self.count}x{self.bits}"

    @property
    def mask(self) -> int:
        return (1 << self.bits) - 1

    def words(self, outputs: int) -> int:
        """How many words hold ``outputs`` lanes."""
        return -(-outputs // self.count)

    def pack(self, values: NDArray[Any]) -> NDArray[np.uint64]:
        """Integers [..., outputs] as words, uint64 [..., words]; lanes without an output hold 0."""
        *front, outputs = values.shape
        padded = np.zeros((*front, self.words(outputs) * self.count), np.int64)
        padded[..., :outputs] = values
        lanes = padded.view(np.uint64).reshape(*front, -1, self.count)
        shifts = np.arange(self.count, dtype=np.uint64) * np.uint64(self.bits)
        packed: NDArray[np.uint64] = (lanes << shifts).sum(axis=-1, dtype=np.uint64)
        return packed


FOUR, THREE, TWO = Lanes(16, 4), Lanes(21, 3), Lanes(32, 2)
"""Narrow lanes compute more products at a time, and overflow sooner."""
