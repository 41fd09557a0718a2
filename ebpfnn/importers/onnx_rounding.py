"""Values that a graph of ONNX quantizes on their way: QuantizeLinear, DequantizeLinear, and what stands for both."""

from __future__ import annotations

import numpy as np

from ..network.layers import expect
from . import onnx_quant
from .onnx_operands import Operands
from .steps import Quantize, Scale
from .values import Values

_KINDS = (np.uint8, np.int8, np.uint16, np.int16)


def quantize(values: Values, on: Operands) -> None:
    remedy = "put a DequantizeLinear before it"
    expect(values.quantized is None, f"{on.where} quantizes values that are quantized already; {remedy}")
    values.quantized = _quantization(on)
    values.append(values.quantized)


def both(values: Values, on: Operands) -> None:
    """A Quant, which is a QuantizeLinear and a DequantizeLinear in one."""
    found = onnx_quant.of_values(on)
    if found:
        values.append(found)


def dequantize(values: Values, on: Operands) -> None:
    """Of what a QuantizeLinear made by the same scale; or of a graph's input, which is bytes."""
    found = _quantization(on)
    if values.quantized is None:
        begins = values.chain.input_bytes and values.untouched
        expect(begins, f"{on.where} takes values that are not quantized; put a QuantizeLinear before it")
        values.append(Scale(on.where, np.full(1, found.scale), np.full(1, -found.scale * found.zero_point)))
        values.append(found)
        _tell_bytes(values, found)
    else:
        same = (values.quantized.scale, values.quantized.zero_point) == (found.scale, found.zero_point)
        expect(same, f"{on.where} has another scale or zero point than the QuantizeLinear before it; make them the same")
    values.quantized = None


def _tell_bytes(values: Values, by: Quantize) -> None:
    moved = by.zero_point - by.low
    if by.low < 0:
        values.chain.notes.append(f"a byte b of a sample stands for {by.scale:.6g} * (b - {moved})")


def narrow(values: Values, on: Operands, to: Quantize) -> None:
    """A Clip of integers, as PyTorch writes for ranges that are not a whole byte."""
    low, high = on.scalar(1), on.scalar(2)
    expect(
        all(end is None or np.isfinite(end) for end in (low, high)), f"{on.where} clips to what is no number; export it again"
    )
    narrowed = Quantize(
        to.where,
        to.scale,
        to.zero_point,
        to.low if low is None else max(to.low, int(low)),
        to.high if high is None else min(to.high, int(high)),
    )
    values.settle(on.where)
    steps = values.chain.steps
    expect(bool(steps) and steps[-1] is to, f"{on.where} does not stand right behind its QuantizeLinear; put it there")
    steps[-1] = values.quantized = narrowed


def _quantization(on: Operands) -> Quantize:
    """The parameters of a QuantizeLinear or DequantizeLinear of values."""
    scale = on.scalar(1)
    point = on.array(2) if on.has(2) else np.zeros((), np.uint8)
    expect(scale is not None and np.isfinite(scale) and scale > 0, f"{on.where} has a scale that is not a positive number")
    known = point.size == 1 and point.dtype in _KINDS
    fact = f"quantizes to {point.size} zero points of {point.dtype}"
    expect(known, f"{on.where} {fact}; only one of int8, uint8, int16 or uint16 can be imported")
    limits = np.iinfo(point.dtype)
    return Quantize(on.where, float(scale or 0), int(point.reshape(())), int(limits.min), int(limits.max))
