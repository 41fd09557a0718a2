"""Steps out of operands: what the operators of PyTorch and ONNX have in common, and what is refused of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import Shape, Window, describe
from ..quantize.floats import Activation
from ..quantize.functions import Function
from .steps import LARGEST, Activate, Chain, Floats, Pool, Scale

_FAR = float(np.finfo(np.float32).max)


def leaky(where: str, slope: float) -> Activate:
    """ReLU for a slope of 0. Raises :class:`ModelError` for a slope that no layer can have."""
    if not 0 <= slope <= 1:
        raise ModelError(f"{where} has a slope of {slope:g}; only slopes from 0 to 1 can be imported")
    return Activate(where, Activation(slope))


def function(where: str, name: str, *parameters: float) -> Activate:
    """A function that a table computes (equation 26)."""
    return Activate(where, Activation(functions=(Function(name, parameters),)))


def sloped(where: str, slopes: Floats, shape: Shape) -> Activate:
    """A slope below 0: one for all, or one for each channel of ``shape``, within 0..1; else :class:`ModelError`."""
    each = slopes.reshape(-1)
    if each.size == 1:
        slope = float(each[0])
        return Activate(where, Activation(slope)) if 0 <= slope <= 1 else function(where, "leaky", slope)
    fact = f"has {each.size} slopes of {each.min():.3g}..{each.max():.3g}"
    if each.size != shape[0] or not (each.min() >= 0 and each.max() <= 1):
        raise ModelError(f"{where} {fact}; only one for each channel, within 0..1, can be imported")
    return Activate(where, Activation(float(each.max()), slopes=tuple(each.tolist())))


def clamp(where: str, low: float | None, high: float | None) -> Activate:
    """None: no limit on that side. Raises :class:`ModelError` for limits that leave nothing."""
    limits = (-np.inf if low is None else float(low)), (np.inf if high is None else float(high))
    if not (limits[0] < limits[1] and limits[1] > 0):
        raise ModelError(f"{where} clamps to {limits[0]:g}..{limits[1]:g}; only a low below a high above 0 can be imported")
    if limits[0] < 0:
        return Activate(where, Activation(low=limits[0], high=limits[1]))
    return Activate(where, Activation(0.0, limits[0] or -np.inf, limits[1]))  # nothing below 0 is left: a ReLU


def compose(first: Activation, then: Activation) -> Activation:
    """``then(first(v))``. Of functions that never fall, the limits of the first go through the second."""
    if first.functions:
        limited = (max(then.low, -_FAR), min(then.high, _FAR))
        more = (Function("leaky", (then.slope,)),) if then.slope != 1 else ()
        ends = (Function("clip", limited),) if limited != (-_FAR, _FAR) else ()
        return replace(first, functions=(*first.functions, *more, *ends, *then.functions))

    def apply(value: float) -> float:
        sloped = value if value >= 0 or then.slope == 1 else then.slope * value if then.slope else 0.0
        return min(max(sloped, then.low), then.high)

    slope, low, high = first.slope * then.slope, apply(first.low), apply(first.high)
    slopes = tuple(each * then.slope for each in first.slopes) or then.slopes
    low = -np.inf if slope == 0 and low <= 0 else low
    return replace(first, slope=slope, low=low, high=high, slopes=slopes, functions=then.functions)


def dilated(where: str, weights: NDArray[Any], steps: Sequence[int]) -> NDArray[Any]:
    """``weights`` [channels, channels, ...], or their scales, with 0 between them: those of a convolution of no dilation.

    Raises :class:`ModelError` where that makes too many.
    """
    axes = weights.shape[2:]
    if len(steps) != len(axes) or min(steps, default=1) < 1:
        raise ModelError(f"{where} has dilations of {list(steps)} for {len(axes)} axes; export one an axis, 1 or more")
    if all(size == 1 or step == 1 for size, step in zip(axes, steps, strict=True)):
        return weights
    apart = tuple(step * (size - 1) + 1 for size, step in zip(axes, steps, strict=True))
    if prod(weights.shape[:2]) * prod(apart) > LARGEST:
        raise ModelError(f"{where} has a dilation of {describe(tuple(steps))}, past {LARGEST} weights; use a smaller one")
    found = np.zeros((*weights.shape[:2], *apart), weights.dtype)
    between = (slice(None), slice(None), *(slice(None, None, step) for step in steps))
    found[between] = weights
    return found


def window(where: str, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int]) -> Window:
    """``padding`` is (rows, columns), or (top, left, bottom, right). Raises :class:`ModelError` for a dilation but 1."""
    if len(kernel) != 2 or len(stride) != 2 or len(padding) not in (2, 4):
        raise ModelError(f"{where} moves over {len(kernel)} axes; only rows and columns can be imported")
    if any(step != 1 for step in dilation):
        raise ModelError(f"{where} has a dilation of {describe(tuple(dilation))}; only 1 can be imported")
    edges = tuple(padding) * (4 // len(padding))
    try:
        return Window((kernel[0], kernel[1]), (stride[0], stride[1]), (edges[0], edges[1], edges[2], edges[3]))
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error


def pool(where: str, over: Window, shape: Shape, *, largest: bool, rounds_up: bool = False, counts_edge: bool = True) -> Pool:
    """The pool of ``over`` on images of ``shape``, with windows that reach past the edge if it ``rounds_up`` (a "ceil mode").

    Raises :class:`ModelError` where an average would have such windows, and where it would leave out padding (``counts_edge``
    is false).
    """
    whole = _rounded_up(over, shape) if rounds_up and len(shape) == 3 else over
    if whole != over and not largest:
        raise ModelError(f"{where} averages windows past the edge, in a ceil mode; use floor, or pad")
    over = whole
    if not (largest or counts_edge) and any(over.padding):
        raise ModelError(f"{where} leaves padding out of its averages; count it (count_include_pad), or do not pad")
    return Pool(where, over, largest)


def _rounded_up(over: Window, shape: Shape) -> Window:
    """``over`` with a wider edge below and to the right, where windows begin that an image of ``shape`` does not hold whole.

    None begins in the edge itself, as in PyTorch and onnxruntime.
    """
    top, left, *edges = over.padding
    ends = []
    for size, begin, end, kernel, step in zip(shape[1:], (top, left), edges, over.kernel, over.stride, strict=True):
        last = min(-(-(size + begin + end - kernel) // step) * step, (size + begin - 1) // step * step)
        ends.append(max(end, last + kernel - size - begin))
    return replace(over, padding=(top, left, ends[0], ends[1]))


def average_all(where: str, shape: Shape) -> Pool:
    """The average of each channel. Raises :class:`ModelError` where ``shape`` is no image."""
    return adaptive(where, shape, (1, 1))


def adaptive(where: str, shape: Shape, size: Sequence[int | None]) -> Pool:
    """Averages that leave ``size`` rows and columns. Raises :class:`ModelError` where windows would overlap."""
    if len(shape) != 3 or len(size) != 2:
        raise ModelError(f"{where} averages images but is given {describe(shape)}")
    wanted = [each or given for each, given in zip(size, shape[1:], strict=True)]
    if any(given % each for given, each in zip(shape[1:], wanted, strict=True)):
        raise ModelError(f"{where} makes {describe(tuple(wanted))} of {describe(shape)}; only divisors can be imported")
    kernel = (shape[1] // wanted[0], shape[2] // wanted[1])
    return Pool(where, Window(kernel, kernel), largest=False)


def arithmetic(where: str, operation: str, constant: NDArray[np.generic], shape: Shape, *, constant_first: bool) -> Scale:
    """``x + c``, ``x - c``, ``x * c`` or ``x / c`` for values of ``shape``; ``c - x`` where ``constant_first``.

    Raises :class:`ModelError` for ``c / x``, a division by 0, and for constants that differ within a channel.
    """
    given, one, zero = per_channel(where, constant, shape), np.ones(1), np.zeros(1)
    if operation == "add":
        return Scale(where, one, given)
    if operation == "sub":
        return Scale(where, -one, given) if constant_first else Scale(where, one, -given)
    if operation == "mul":
        return Scale(where, given, zero)
    if constant_first or not given.all():
        raise ModelError(f"{where} divides by {'values' if constant_first else '0'}, which cannot be imported")
    return Scale(where, 1 / given, zero)


def per_channel(where: str, array: NDArray[np.generic], shape: Shape) -> Floats:
    """``array``, which goes with values [n, *shape], as one number, or one for each channel or flat value."""
    axes = (*(1,) * (len(shape) + 1 - array.ndim), *array.shape)
    one_each = len(axes) == len(shape) + 1 and axes[1] == shape[0] and array.size == shape[0] and len(shape) != 2
    if array.size != 1 and not one_each:
        given = f"{list(array.shape)} go with values of {describe(shape)}"
        raise ModelError(f"{where} has constants that differ within a channel ({given}); only one a channel can be imported")
    return array.reshape(-1).astype(np.float64)


def normalization(where: str, parameters: Sequence[NDArray[np.generic]], epsilon: float, shape: Shape) -> Scale:
    """A batch normalization in inference, whose ``parameters`` are weight, bias, mean and variance.

    Raises :class:`ModelError` where they are not one a channel, or a variance is not positive.
    """
    weight, bias, average, variance = (each.astype(np.float64) for each in parameters)
    if any(each.shape != shape[:1] for each in (weight, bias, average, variance)):
        raise ModelError(f"{where} has {weight.size} channels but is given {describe(shape)}")
    if not (variance + epsilon > 0).all():
        raise ModelError(f"{where} has a variance that is not positive; train again")
    factor = weight / np.sqrt(variance + epsilon)
    return Scale(where, factor, bias - average * factor)


def begin(input_shape: Shape, *, bytes_given: bool, signed: bool = False) -> Chain:
    """The chain of a graph whose input is floats, 0..1 for a pixel, or bytes: pixels as they are, less 128 if ``signed``."""
    chain = Chain(input_shape, bytes_given)
    if bytes_given:
        chain.append(Scale("the input", np.full(1, 255.0), np.full(1, -128.0 if signed else 0.0)))
    if signed:
        chain.notes.append("its input is int8, whose values are bytes of a sample less 128")
    return chain
