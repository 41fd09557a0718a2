"""What every row is measured through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .rows import CodeSize


class Runner(ABC):
    """One way to run a network, one sample a call.

    ``exact`` says whether scores must be the reference's: those of floats cannot be, and None computes nothing. ``cold`` says
    whether it is also run with cold caches. ``takes`` is what a sample is when the clock starts.
    """

    exact: bool | None = True
    cold = True
    takes = "u8"

    def __init__(self, name: str, classes: int) -> None:
        self.name, self.classes = name, classes

    @abstractmethod
    def load(self, samples: NDArray[np.uint8]) -> None:
        """Takes samples to rotate over, uint8 [n, *shape] of pixels."""

    @abstractmethod
    def run(self, runs: int) -> float:
        """Runs ``runs`` samples in turn, from the first, in one go: nanoseconds for all of them."""

    @abstractmethod
    def aim(self, index: int) -> None:
        """Makes the sample of that number the one that :meth:`run_one` runs."""

    @abstractmethod
    def run_one(self) -> float:
        """Runs one sample: nanoseconds."""

    @abstractmethod
    def scores(self, count: int) -> NDArray[Any]:
        """What came of each of the first samples when it was last run, [count, classes]."""

    def code(self) -> CodeSize | None:
        """What the code of a compiled network takes; None for another."""
        return None

    def labels(self, count: int) -> NDArray[Any]:
        """The label of each, [count]: what the runner said, where it says one, else the first of the highest scores."""
        labels: NDArray[Any] = self.scores(count).argmax(axis=1)
        return labels
