"""Activation functions of ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..network.layers import expect
from ..quantize.functions import KNOWN
from . import building
from .onnx_operands import Operands
from .steps import Step

COMPOSED = "Function"
"""The operator of the node that takes the place of several (:mod:`.onnx_composed`)."""
UNLIMITED = float(np.finfo(np.float32).max)
"""What stands there for no limit of a clip."""


def _single(name: str, *parameters: tuple[str, float]) -> Callable[[Operands], list[Step]]:
    def make(on: Operands) -> list[Step]:
        return [building.function(on.where, name, *(float(on.attribute(key, default)) for key, default in parameters))]

    return make


def _gelu(on: Operands) -> list[Step]:
    return [building.function(on.where, "gelu_tanh" if on.attribute("approximate", "none") == "tanh" else "gelu")]


def _composed(on: Operands) -> list[Step]:
    parameters = iter(on.attribute("parameters", ()))
    found: list[Step] = []
    for name in str(on.attribute("called")).split():
        given = [float(next(parameters)) for _ in range(KNOWN[name][0])]
        if name == "leaky":
            found.append(building.sloped(on.where, np.asarray(given), on.shape))
        elif name == "clip":
            low, high = (None if abs(limit) == UNLIMITED else limit for limit in given)
            found.append(building.clamp(on.where, low, high))
        else:
            found.append(building.function(on.where, name, *given))
    return found


def _leaky(on: Operands) -> list[Step]:
    return [building.sloped(on.where, np.asarray(float(on.attribute("alpha", 0.01))), on.shape)]


def _prelu(on: Operands) -> list[Step]:
    return [building.sloped(on.where, on.array(1).astype(np.float64), on.shape)]


def _power(on: Operands) -> list[Step]:
    squares = on.node.input[0] == on.tip and on.scalar(1) == 2
    expect(squares, f"{on.where} raises to a power; only the power of 2 can be imported")
    return [building.function(on.where, "square")]


FUNCTIONS: Mapping[str, Callable[[Operands], list[Step]]] = {
    "Tanh": _single("tanh"),
    "Sigmoid": _single("sigmoid"),
    "HardSigmoid": _single("hardsigmoid", ("alpha", 0.2), ("beta", 0.5)),
    "HardSwish": _single("hardswish"),
    "Swish": _single("silu", ("alpha", 1.0)),
    "Gelu": _gelu,
    "FastGelu": _single("gelu_tanh"),
    "QuickGelu": _single("silu", ("alpha", 1.702)),
    "Elu": _single("elu", ("alpha", 1.0)),
    "Selu": _single("selu", ("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Celu": _single("celu", ("alpha", 1.0)),
    "Softplus": _single("softplus"),
    "Softsign": _single("softsign"),
    "Mish": _single("mish"),
    "Erf": _single("erf"),
    "Abs": _single("abs"),
    "Exp": _single("exp"),
    "LeakyRelu": _leaky,
    "PRelu": _prelu,
    "Pow": _power,
    COMPOSED: _composed,
}
