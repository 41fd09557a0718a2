"""What a cascade of two networks gives, by how many samples go on to the second."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network import QuantizedNetwork, cascades, reference
from ..network.architecture import architecture
from .evaluate import Evaluation

_Labels = NDArray[np.intp]
SHARES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
"""The shares for which people see what they get."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two networks on the same samples: ``first`` and ``second`` are their scores, int32 [n, classes], ``truth`` the labels."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    truth: _Labels


@dataclass(frozen=True)
class Outcome:
    """A cascade with ``margin``: ``goes_on`` and ``accuracy`` are shares of the samples, 0..1.

    ``gained`` samples are labeled correctly only by the second network, and ``lost`` only by the first, of those that go on.
    """

    margin: int
    goes_on: float
    accuracy: float
    gained: int
    lost: int


@dataclass(frozen=True)
class Measured:
    """A cascade and its two networks alone, on the same samples."""

    first: Outcome
    cascade: Outcome
    second: Outcome


@dataclass(frozen=True)
class Stage:
    """What one network of a cascade does with the samples that reach it.

    ``margin`` is that with which it decides, None for the last. It decides ``decided`` of the ``reached`` samples, ``correct``
    of them correctly.
    """

    architecture: str
    margin: int | None
    reached: int
    decided: int
    correct: int


def stages(of: Evaluation) -> list[Stage]:
    """Each network of a cascade; none for a model that is no cascade."""
    network = of.network
    if not isinstance(network, QuantizedNetwork) or network.then is None:
        return []
    right = of.predicted == of.truth
    return [
        Stage(
            architecture(each.layers),
            each.then.margin if each.then else None,
            int(np.count_nonzero(of.stage >= number)),
            int(np.count_nonzero(of.stage == number)),
            int(np.count_nonzero(right & (of.stage == number))),
        )
        for number, each in enumerate(network.stages)
    ]


def outcome(of: Pair, margin: int) -> Outcome:
    """The first network alone for a margin of 0; the second alone for one above every lead."""
    on = reference.margins(of.first) < margin
    first, second = (scores.argmax(axis=1) == of.truth for scores in (of.first, of.second))
    right = np.where(on, second, first)
    gained, lost = (int(np.count_nonzero(on & each)) for each in (second & ~first, first & ~second))
    return Outcome(margin, float(on.mean()), float(right.mean()), gained, lost)


def outcomes(of: Pair, chosen: int, shares: Iterable[float] = SHARES) -> list[Outcome]:
    """One for the margin that each share needs, one for ``chosen``, and the first and the second alone; by rising margins."""
    every = cascades.margin_for(of.first, 1)
    margins = {0, chosen, every, *(cascades.margin_for(of.first, share) for share in shares)}
    return [outcome(of, margin) for margin in sorted(margins)]
