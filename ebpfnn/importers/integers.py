"""A chain that quantizes its values as it goes, as a network of exactly those integers.

Such a chain says of every tensor that integers ``q`` stand for ``scale * (q - zero_point)``. With weights symmetric, the sum
``sum w (q - z)`` is ``sum w q - z sum w``, so the zero point of what a layer is given goes into its bias, and into what it
pads with; that of what it gives is added behind the shift. docs/quantization.md has the arithmetic.

Bytes are moved so that 0 stands for 0 wherever all of them still fit one: integers -128..127 with a zero point of -128 are
0..255 with one of 0. Nothing is rounded by that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import INT32_MAX, Conv2d, Dense, Layer, MaxPool, Shape, Window
from ..quantize.floats import Activation
from ..quantize.quantization import requantization
from ..quantize.scales import Range, clamped, score_range
from .building import compose
from .steps import Activate, Chain, Conv, Floats, Linear, Pool, Quantize, Reshape, Scale, Step

_IDENTITY = Activation()
_WIDEST = 1024
_REMEDY = "give images, pixels / 255 quantized by 1/255, and leave the operator out of quantization"


class UnquantizedError(ModelError):
    """A graph computes in floats between values that it quantizes."""


@dataclass(frozen=True)
class Quantized:
    """What a chain became: a sample's shape, layers, what a step of the scores is worth, and what people should know."""

    shape: Shape
    layers: tuple[Layer, ...]
    score_scale: float
    notes: tuple[str, ...]


def lower(chain: Chain, mean: tuple[float, ...], std: tuple[float, ...]) -> Quantized:
    """The layers of ``chain`` for samples of bytes, of which it is given ``(x / 255 - mean) / std``.

    Raises :class:`ModelError`, naming the node, for what is not quantized, or not so that integers can do the same.
    """
    lowering = _Lowering(chain.input_shape, np.asarray(mean, np.float64), np.asarray(std, np.float64))
    for step in chain.steps:
        lowering.take(step)
    return lowering.finish()


def _range(step: Quantize) -> Range:
    """The integers that ``step`` makes, moved so that 0 stands for 0 if they are bytes then too."""
    low, high = step.low - step.zero_point, step.high - step.zero_point
    if (low >= -128 and high <= 127) or (low >= 0 and high <= 255):
        return Range(low, high, step.scale)
    return Range(step.low, step.high, step.scale, step.zero_point)


@dataclass(eq=False)
class _Sum:
    """A layer being made: sums of ``weights`` (int64) worth ``unit`` each, [outputs], and then ``activation``.

    ``bias`` is real. ``given`` is what the sums are of, ``rounded`` what the outputs become, None until that is known.
    """

    where: str
    weights: NDArray[np.int64]
    unit: Floats
    bias: Floats
    given: Range
    window: Window | None = None
    groups: int = 1
    activation: Activation = _IDENTITY
    rounded: Quantize | None = None
    pools: list[MaxPool] = field(default_factory=list)


class _Lowering:
    def __init__(self, shape: Shape, mean: Floats, std: Floats) -> None:
        self.shape = self.input_shape = shape
        self.image = shape
        """What the layers so far give, which flattening only hides."""
        self.input: Scale | None = Scale("the normalization of the input", 1 / std, -mean / std)
        """What is done to pixels of 0..1 before they are quantized; None since."""
        self.given = Range(0, 255, 1 / 255)
        self.sum: _Sum | None = None
        self.layers: list[Layer] = []
        self.notes: list[str] = []

    def take(self, step: Step) -> None:
        if isinstance(step, Quantize):
            self._quantize(step)
        elif isinstance(step, (Linear, Conv)):
            self._weigh(step)
        elif isinstance(step, Pool) and not step.changes_nothing:
            self._pool(step)
        elif isinstance(step, Reshape):
            self._reshape(step)
        elif isinstance(step, Scale):
            self._scale(step)
        elif isinstance(step, Activate):
            if step.activation.functions or step.activation.slopes:
                _leave(step, "is computed in floats between values that are quantized; export the operator quantized, or none")
            changed = self._changed(step)
            changed.activation = compose(changed.activation, step.activation)
        self.shape = step.output_shape(self.shape)
        if isinstance(step, Linear) or len(self.shape) == 3:
            self.image = self.shape

    def finish(self) -> Quantized:
        last = self.sum
        if last is None or last.pools:
            raise ModelError("ends with no layer that has weights; end with a Gemm, MatMul or Conv")
        to = score_range(_IDENTITY, last.unit)
        if last.rounded:  # scores are differences from the zero point, so that 0 stands for 0
            by = last.rounded
            to = Range(by.low - by.zero_point, by.high - by.zero_point, by.scale)
        self._emit(last, to)
        return Quantized(self.input_shape, tuple(self.layers), to.scale, tuple(self.notes))

    def _quantize(self, step: Quantize) -> None:
        if self.input:
            self._quantize_input(step, self.input)
        elif self.sum and self.sum.rounded is None:
            self.sum.rounded = step
        elif _range(step) != (_range(self.sum.rounded) if self.sum and self.sum.rounded else self.given):
            self._elementwise(step, self.shape).rounded = step

    def _quantize_input(self, step: Quantize, done: Scale) -> None:
        """The first layer is given a sample's bytes as they are, where the quantization changes none of them."""
        found, pixels = _range(step), np.arange(256)[:, None]
        steps = np.rint((pixels / 255 * done.factor + done.offset) / step.scale) + found.zero_point
        self.input = None
        for moved in (0, 128):  # bytes that a graph has as -128..127
            if (np.clip(steps, found.low, found.high) + moved == pixels).all():
                self.given = Range(found.low + moved, found.high + moved, found.scale, found.zero_point + moved)
                return
        into = self._elementwise(step, self.input_shape)
        _scale(into, done)
        into.rounded = step

    def _weigh(self, step: Linear | Conv) -> None:
        given, held = self._settled(step), step.integers
        if held is None:
            _leave(step, "has weights in floats, in a graph whose values are quantized; quantize them too")
        outputs, size = len(step.bias), held.scale.size
        if size not in (1, outputs) or len(held.scale) != size or not (held.scale > 0).all():
            step.refuse("has weights quantized along another axis than its outputs; quantize per tensor or per output")
        unit = np.broadcast_to(held.scale.reshape(-1), outputs) * given.scale
        window, groups = (step.window, step.groups) if isinstance(step, Conv) else (None, 1)
        self.sum = _Sum(step.where, self._symmetric(step, held.values), unit, step.bias, given, window, groups)

    def _symmetric(self, step: Step, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        if weights.min() < -128 or weights.max() > 127:
            step.refuse(f"has weights in {weights.min()}..{weights.max()}; quantize them to int8, symmetric")
        lowest = int((weights == -128).sum())
        if lowest:
            self.notes.append(f"{lowest} weights of -128 in {step.where.rstrip(',')} became -127")
        clipped: NDArray[np.int64] = np.maximum(weights, -127)
        return clipped

    def _pool(self, step: Pool) -> None:
        if step.largest:
            (self.sum.pools if self.sum else self.layers).append(MaxPool(step.window))
            return
        given, channels, area = self._settled(step), self.shape[0], prod(step.window.kernel)
        weights, unit = np.ones((channels, 1, *step.window.kernel), np.int64), np.full(channels, given.scale / area)
        self.sum = _Sum(step.where, weights, unit, np.zeros(channels), given, step.window, channels)

    def _reshape(self, step: Reshape) -> None:
        if len(step.shape) == 1 or step.shape == self.image:
            return
        if self.layers or self.sum:
            step.refuse("reshapes values between layers; only flattening can be imported")
        self.input_shape = step.shape

    def _scale(self, step: Scale) -> None:
        """A bias or a normalization, which a sum takes in that nothing has changed yet."""
        if self.input:
            factor, offset = self.input.factor * step.factor, self.input.offset * step.factor + step.offset
            self.input = Scale(step.where, factor, offset)
        else:
            _scale(self._changed(step), step)

    def _changed(self, step: Step) -> _Sum:
        """The sum that ``step`` changes: the last one, unless that is rounded before."""
        return self.sum if self.sum and self.sum.rounded is None else self._elementwise(step, self.shape)

    def _elementwise(self, step: Step, shape: Shape) -> _Sum:
        """A layer that gives what it is given, to be changed and rounded once more."""
        if len(shape) == 1 and shape[0] > _WIDEST:
            step.refuse(f"rounds {shape[0]} flat values once more, which takes as many weights squared; {_REMEDY}")
        given, images, count = self._settled(step), len(shape) > 1, shape[0] if len(shape) != 2 else 1
        weights = np.full((count, 1, 1, 1), 127, np.int64) if images else np.diag(np.full(count, 127, np.int64))
        unit, window = np.full(count, given.scale / 127), Window((1, 1)) if images else None
        self.sum = _Sum(step.where, weights, unit, np.zeros(count), given, window, count if images else 1)
        self.notes.append(f"{step.where.rstrip(',')} rounds values that were rounded before, so it becomes a separate layer")
        return self.sum

    def _settled(self, step: Step) -> Range:
        """What the layer before gives, that layer being complete."""
        if self.input:
            _leave(step, "takes an input that nothing quantizes; put a QuantizeLinear and DequantizeLinear before it")
        if self.sum:
            done, self.sum = self.sum, None
            if done.rounded is None:
                _leave(step, f"takes what {done.where.rstrip(',')} gives, which nothing quantizes; quantize every layer")
            self.given = self._emit(done, _range(done.rounded))
        return self.given

    def _emit(self, done: _Sum, to: Range) -> Range:
        """Equation 17: the zero point of the inputs goes into the bias. The range is what is left of ``to``."""
        axes = tuple(range(1, done.weights.ndim))
        bias = np.rint(done.bias / done.unit) - done.given.zero_point * done.weights.sum(axis=axes)
        if not (np.abs(bias) <= INT32_MAX).all():
            raise ModelError(f"{done.where} has a bias of {np.abs(bias).max():.3g} steps, past int32; quantize it again")
        weights, integers = done.weights.astype(np.int8), bias.astype(np.int32)
        try:
            found = clamped(to, done.activation)
            by = requantization(done.unit, done.activation.slope, found)
        except ModelError as error:
            raise ModelError(f"{done.where} {error}") from error
        if done.window is None:
            self.layers.append(Dense(weights, integers, by))
        else:
            self.layers.append(Conv2d(weights, integers, by, done.window, done.groups, done.given.zero_point))
        self.layers.extend(done.pools)
        return found


def _leave(step: Step, fact: str) -> NoReturn:
    raise UnquantizedError(f"{step.where} {fact}")


def _scale(into: _Sum, step: Scale) -> None:
    """``(sum w x + b) * factor + offset``, whose weights take the sign of the factor, and the unit its magnitude."""
    if into.activation != _IDENTITY:
        step.refuse("scales values behind an activation that nothing quantizes; quantize them between")
    if not step.factor.all():
        step.refuse("scales by 0; leave the channel out")
    into.weights = into.weights * np.sign(step.factor).astype(np.int64).reshape(-1, *(1,) * (into.weights.ndim - 1))
    into.unit, into.bias = into.unit * np.abs(step.factor), into.bias * step.factor + step.offset
