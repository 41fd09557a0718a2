"""The weight of each class in the loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, nearest

BALANCED = "balanced"
MOST = 1e6
"""The maximum weight of a class, relative to a class of weight 1."""


def class_weights(text: str, labels: NDArray[np.intp], names: tuple[str, ...]) -> NDArray[np.float32] | None:
    """The weight that ``text`` gives to each of ``names``, float32 [classes]; None for "".

    ``balanced`` weights a class inversely to its frequency in ``labels``. ``a=2,b=1`` gives weights by name, and all others are
    1. Raises :class:`ModelError` for an unknown class, and for a weight that is not a number above 0.
    """
    if not text:
        return None
    if text == BALANCED:
        counts = np.bincount(labels, minlength=len(names))
        return np.asarray(len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1)), np.float32)
    weights = np.ones(len(names), np.float32)
    for pair in text.split(","):
        name, _, number = pair.rpartition("=")
        if name not in names:
            known = nearest(name, names) or f"; the classes are {', '.join(names[:20])}"
            raise ModelError(f"--class-weights {text!r}: no class {name!r}{known}")
        weights[names.index(name)] = _weight(number, text)
    return weights


def _weight(number: str, text: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        weight = 0
    if not 1 / MOST <= weight <= MOST:
        raise ModelError(f"--class-weights {text!r}: {number!r} is no weight in 1e-6..1e6; give balanced, or CLASS=WEIGHT,...")
    return weight
