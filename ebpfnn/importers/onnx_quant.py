"""QONNX's operators, which Brevitas, QKeras and FINN write: a Quant rounds and is worth what it rounded.

https://github.com/fastmachinelearning/qonnx, docs/qonnx-custom-ops: Quant (also IntQuant), BipolarQuant, Trunc.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from ..network.layers import expect
from .onnx_operands import Array, Constant, Operands
from .steps import LARGEST, Integers, Quantize

DOMAINS = frozenset({"onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general"})
QUANT = frozenset({"Quant", "IntQuant"})
_ROUNDS = ("ROUND", "HALF_EVEN")
_REMEDY = "only Quant, and BipolarQuant of weights, can be imported"


def constant(on: Operands) -> Constant:
    """Weights that a Quant rounds, which stay integers where bytes hold them; or of -1 and 1, by a BipolarQuant."""
    if on.node.op_type == "BipolarQuant":
        return _bipolar(on)
    expect(on.node.op_type in QUANT, f"{on.where} cannot be imported: of QONNX's operators {_REMEDY}")
    given, scale, zero_point = on.array(0).astype(np.float64), _whole(on, 1), _whole(on, 2)
    low, high = _limits(on)
    _check_scale(on, scale)
    size = np.prod(np.broadcast_shapes(given.shape, scale.shape, zero_point.shape), dtype=np.float64)
    expect(size == given.size <= LARGEST, f"{on.where} has a scale that does not go with its weights; export it again")
    values = np.clip(np.rint(given / scale + zero_point), low, high) - zero_point
    fits = np.isfinite(values).all() and np.abs(values).max(initial=0) < 2**15
    held = Integers(values.astype(np.int64), scale) if fits and (values == np.rint(values)).all() else None
    return Constant(values * scale, held)


def _bipolar(on: Operands) -> Constant:
    """Weights of -1 and 1."""
    scale = _whole(on, 1)
    _check_scale(on, scale)
    values = np.where(on.array(0) >= 0, 1, -1)
    return Constant(values * scale, Integers(values.astype(np.int64), scale))


def of_values(on: Operands) -> Quantize | None:
    """What a Quant does to values; None for more than 8 bits, which change less than the bytes between layers do."""
    kind = on.node.op_type
    expect(kind in QUANT, f"{on.where} cannot be imported: of QONNX's operators {_REMEDY}")
    scale, zero_point, (low, high) = on.scalar(1) or 0.0, on.scalar(2) or 0.0, _limits(on)
    _check_scale(on, np.asarray(scale))
    expect(zero_point == round(zero_point), f"{on.where} has a zero point of {zero_point:g}; only integers can be imported")
    if high - low > 255:
        return None
    fits = low >= -128 and high <= 255
    expect(fits and low <= zero_point <= high, f"{on.where} rounds to {low}..{high} around {zero_point:g}, which are no bytes")
    return Quantize(on.where, scale, int(zero_point), low, high)


def _limits(on: Operands) -> tuple[int, int]:
    bits = on.scalar(3)
    expect(bits is not None and 1 <= bits <= 32 and bits == round(bits), f"{on.where} has {bits} bits; give 1 to 32")
    rounds = str(on.attribute("rounding_mode", "ROUND"))
    expect(rounds.upper() in _ROUNDS, f"{on.where} rounds by {rounds}; only {' and '.join(_ROUNDS)} can be imported")
    signed, narrow, count = bool(on.attribute("signed", 1)), bool(on.attribute("narrow", 0)), int(bits or 0)
    if signed:
        return -(1 << (count - 1)) + narrow, (1 << (count - 1)) - 1
    return 0, (1 << count) - 1 - narrow


def _whole(on: Operands, number: int) -> Array:
    """An input as the first one has its axes."""
    array = on.array(number).astype(np.float64)
    return array.reshape((1,) * on.array(0).ndim) if array.size == 1 else array


def _check_scale(on: Operands, scale: Array) -> None:
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ModelError(f"{on.where} has a scale that is not a positive number")
