"""Functions that a table computes (equation 26), in float64. Each is defined by ONNX, under the name in the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

Floats = NDArray[np.float64]
_MOST_PARAMETERS = 4
_FAR = 700.0
"""Beyond it float64 has no exponential. No function here differs from its limit there."""


@dataclass(frozen=True)
class Function:
    """``name`` is one of :data:`KNOWN`, with its ``parameters``.

    Raises :class:`ModelError` for another name, and for parameters that it does not take or that are not finite.
    """

    name: str
    parameters: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        wanted = KNOWN.get(self.name)
        if wanted is None:
            raise ModelError(f"function {self.name!r} is not known; {', '.join(KNOWN)} are")
        count = len(self.parameters)
        if count != wanted[0] or not all(map(math.isfinite, self.parameters)):
            raise ModelError(f"function '{self.name}' takes {wanted[0]} finite parameters, not {count}")

    def __call__(self, values: Floats) -> Floats:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            found: Floats = KNOWN[self.name][1](values, *self.parameters)
        return found

    def __str__(self) -> str:
        told = ", ".join(f"{each:g}" for each in self.parameters)
        return f"{self.name}({told})" if told else self.name


def _exp(values: Floats) -> Floats:
    found: Floats = np.exp(np.clip(values, -_FAR, _FAR))
    return found


def _sigmoid(values: Floats) -> Floats:
    return 1 / (1 + _exp(-values))


def _softplus(values: Floats) -> Floats:
    found: Floats = np.maximum(values, 0) + np.log1p(_exp(-np.abs(values)))
    return found


def _gelu(values: Floats) -> Floats:
    erf: Floats = np.vectorize(math.erf, otypes=[np.float64])(values / math.sqrt(2))
    return 0.5 * values * (1 + erf)


def _gelu_tanh(values: Floats) -> Floats:
    found: Floats = 0.5 * values * (1 + np.tanh(math.sqrt(2 / math.pi) * (values + 0.044715 * values**3)))
    return found


def _elu(values: Floats, alpha: float) -> Floats:
    found: Floats = np.where(values >= 0, values, alpha * (_exp(np.minimum(values, 0)) - 1))
    return found


def _selu(values: Floats, alpha: float, gamma: float) -> Floats:
    return gamma * _elu(values, alpha)


def _celu(values: Floats, alpha: float) -> Floats:
    return np.maximum(values, 0) + np.minimum(0, alpha * (_exp(np.minimum(values, 0) / alpha) - 1))


KNOWN: Mapping[str, tuple[int, Callable[..., Floats]]] = {
    "tanh": (0, np.tanh),
    "sigmoid": (0, _sigmoid),
    "hardsigmoid": (2, lambda v, alpha, beta: np.clip(alpha * v + beta, 0, 1)),
    "hardswish": (0, lambda v: v * np.clip(v / 6 + 0.5, 0, 1)),
    "silu": (1, lambda v, alpha: v * _sigmoid(alpha * v)),
    "gelu": (0, _gelu),
    "gelu_tanh": (0, _gelu_tanh),
    "elu": (1, _elu),
    "selu": (2, _selu),
    "celu": (1, _celu),
    "softplus": (0, _softplus),
    "softsign": (0, lambda v: v / (1 + np.abs(v))),
    "mish": (0, lambda v: v * np.tanh(_softplus(v))),
    "erf": (0, np.vectorize(math.erf, otypes=[np.float64])),
    "abs": (0, np.abs),
    "negative": (0, np.negative),
    "square": (0, np.square),
    "exp": (0, _exp),
    "leaky": (1, lambda v, slope: np.where(v < 0, v * slope, v)),
    "clip": (2, np.clip),
    "scale": (2, lambda v, factor, offset: v * factor + offset),
}
"""The number of parameters, and the function."""


NEVER_FALL = frozenset({"tanh", "sigmoid", "softplus", "softsign", "erf", "exp", "clip"})
"""Those that are rising whatever their parameters are, so that the largest of several values is that of their results."""


def apply(functions: tuple[Function, ...], values: Floats) -> Floats:
    """One after the other."""
    for each in functions:
        values = each(values)
    return values


def named(functions: tuple[Function, ...]) -> str:
    """What people read: ``tanh``, or ``silu(1) then scale(2, 0)``."""
    return " then ".join(map(str, functions))
