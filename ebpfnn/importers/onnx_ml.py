"""What the operators of the domain ai.onnx.ml are as steps: those that skl2onnx writes for scalers and linear models.

https://onnx.ai/onnx/operators defines them; what it leaves open is as onnxruntime does it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..errors import ModelError
from ..network.layers import expect
from .onnx_ending import NAMES
from .onnx_operands import Operands
from .steps import LARGEST, Binarize, Floats, Linear, Scale, Select, Step

DOMAIN = "ai.onnx.ml"
_KEEP_ORDER = frozenset({"NONE", "LOGISTIC", "SOFTMAX", "PROBIT"})


def _scaler(on: Operands) -> list[Step]:
    factor, shift = _numbers(on, "scale"), _numbers(on, "offset")
    expect(
        factor.size in (1, prod(on.shape)) and shift.size in (1, prod(on.shape)),
        f"{on.where} scales {factor.size} columns but is given {prod(on.shape)}; export it again",
    )
    return [Scale(on.where, factor, -shift * factor)]


def _linear(on: Operands, rows: int, coefficients: str = "coefficients") -> Linear:
    """``rows`` of coefficients, one after the other, and as many intercepts."""
    weights, bias = _numbers(on, coefficients), _numbers(on, "intercepts")
    size = prod(on.shape)
    fits = weights.size == rows * size and bias.size in (0, rows)
    expect(fits, f"{on.where} has {weights.size} coefficients for {size} columns and {rows} outputs; export it again")
    return Linear(on.where, weights.reshape(rows, size), bias if bias.size else np.zeros(rows))


def _linear_classifier(on: Operands) -> list[Step]:
    """Of two rows that mirror each other one is enough: it stands for both classes."""
    after = on.attribute("post_transform", "NONE")
    expect(after in _KEEP_ORDER, f"{on.where} ends with {after}, which cannot be imported; export its raw scores")
    labels = _labels(on)
    bias = _numbers(on, "intercepts").size
    found = _linear(on, bias or len(labels))
    if len(labels) == 2 and len(found.bias) == 2 and after in ("NONE", "LOGISTIC") and _mirrored(found):
        found = Linear(on.where, found.weights[1:], found.bias[1:])
    fits = len(found.bias) == len(labels) or (len(found.bias) == 1 and len(labels) == 2)
    expect(fits, f"{on.where} has {len(found.bias)} scores for {len(labels)} labels; export it again")
    return [found]


def _mirrored(step: Linear) -> bool:
    return bool((step.weights[0] == -step.weights[1]).all() and step.bias[0] == -step.bias[1])


def _linear_regressor(on: Operands) -> list[Step]:
    after, targets = on.attribute("post_transform", "NONE"), on.attribute("targets", 1)
    expect(after == "NONE", f"{on.where} ends with {after}, which cannot be imported; export its raw value")
    return [_linear(on, targets)]


def _svm_classifier(on: Operands) -> list[Step]:
    """A machine of two classes. Its sum is above 0 for the first one; this decides the label, whatever the probabilities."""
    remedy = "use LinearSVC or LogisticRegression"
    labels, weights, rho = _labels(on), _support(on, remedy), _numbers(on, "rho")
    expect(len(labels) == 2, f"{on.where} lets pairs of {len(labels)} classes vote, which cannot be imported; {remedy}")
    expect(len(weights) == len(rho) == 1, f"{on.where} has {len(rho)} decisions for 2 classes; export it again")
    return [Linear(on.where, -weights, -rho)]


def _svm_regressor(on: Operands) -> list[Step]:
    expect(not on.attribute("one_class", 0), f"{on.where} is a one-class machine, which cannot be imported; use a classifier")
    weights, rho = _support(on, "use LinearSVR"), _numbers(on, "rho")
    expect(len(weights) == len(rho) == 1, f"{on.where} has {len(rho)} decisions; export it again")
    return [Linear(on.where, weights, rho)]


def _support(on: Operands, remedy: str) -> Floats:
    """The weights of a machine with a linear kernel, [rows, columns]: sums of its support vectors."""
    kernel, size = on.attribute("kernel_type", "LINEAR"), prod(on.shape)
    expect(kernel == "LINEAR", f"{on.where} has a kernel of type {kernel}; only linear ones can be imported, so {remedy}")
    vectors, coefficients = _numbers(on, "support_vectors"), _numbers(on, "coefficients")
    if not vectors.size:  # the coefficients are weights already
        expect(coefficients.size % size == 0 and coefficients.size > 0, f"{on.where} has no coefficients; export it again")
        return coefficients.reshape(-1, size)
    count = vectors.size // size
    rows = coefficients.size // max(count, 1)
    fits = vectors.size == count * size and coefficients.size == rows * count and rows * size <= LARGEST
    expect(fits, f"{on.where} has {vectors.size} numbers for vectors of {size} columns; export it again")
    weights: Floats = coefficients.reshape(rows, count) @ vectors.reshape(count, size)
    return weights


def _select(on: Operands) -> list[Step]:
    expect(on.node.input[0] == on.tip, f"{on.where} selects of a constant, which cannot be imported")
    return [Select(on.where, on.array(1).reshape(-1).astype(np.int64))]


def _imputer(on: Operands) -> list[Step]:
    fact = "fills in missing values, but a row without a value has no sample"
    raise ModelError(f"{on.where} {fact}; export the pipeline without it, and fill rows before they are given")


def _normalizer(on: Operands) -> list[Step]:
    raise ModelError(f"{on.where} divides each row by its norm, which no layer can; normalize rows before they are given")


def _labels(on: Operands) -> tuple[Any, ...]:
    found = next((tuple(given) for name in NAMES if (given := on.attribute(name))), ())
    expect(len(found) > 0, f"{on.where} names no labels; export it again")
    return found


def _numbers(on: Operands, name: str) -> Floats:
    return np.asarray(on.attribute(name, ()), np.float64).reshape(-1)


ML_MAKERS: dict[str, Callable[[Operands], list[Step]]] = {
    "Scaler": _scaler,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "SVMClassifier": _svm_classifier,
    "SVMRegressor": _svm_regressor,
    "ArrayFeatureExtractor": _select,
    "Binarizer": lambda on: [Binarize(on.where, float(on.attribute("threshold", 0.0)))],
    "Imputer": _imputer,
    "Normalizer": _normalizer,
}
