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
from ..network.graph import SAMPLE, Sources
from ..network.graph import chain as in_a_chain
from ..network.layers import Layer, MaxPool, Shape, Window
from ..quantize.scales import Range, score_range
from .branches import in_order
from .building import compose
from .steps import Activate, Chain, Conv, Join, Linear, Pool, Quantize, Reshape, Scale, Step
from .sums import IDENTITY, Joined, Sum

_WIDEST = 1024
_REMEDY = "give images, pixels / 255 quantized by 1/255, and leave the operator out of quantization"


class UnquantizedError(ModelError):
    """A graph computes in floats between values that it quantizes."""


@dataclass(frozen=True)
class Quantized:
    """What a chain became: a sample's shape, layers, what a step of the scores is worth, and what people should know.

    ``sources`` as in :class:`~ebpfnn.network.QuantizedNetwork`.
    """

    shape: Shape
    layers: tuple[Layer, ...]
    score_scale: float
    notes: tuple[str, ...]
    sources: Sources = ()


def lower(chain: Chain, mean: tuple[float, ...], std: tuple[float, ...]) -> Quantized:
    """The layers of ``chain``, and of those before it, for samples of bytes, of which it is given ``(x / 255 - mean) / std``.

    Raises :class:`ModelError`, naming the node, for what is not quantized, or not so that integers can do the same.
    """
    made, ends, shape = _Made(), dict[int, tuple[int, Range]](), chain.root.input_shape
    chains = in_order(chain)
    common = _common(chains)
    for each in chains:
        before = [ends[id(one)] for one in each.before]
        lowering = _Lowering(each, before, made) if before else _first(each, made, mean, std)
        for step in [*each.steps, *common.get(id(each), [])]:
            lowering.take(step)
        shape = shape if each.before else lowering.input_shape
        if each is not chain:
            ends[id(each)] = lowering.end()
    scale = lowering.finish()
    sources = () if tuple(made.sources) == in_a_chain(len(made.layers)) else tuple(made.sources)
    return Quantized(shape, tuple(made.layers), scale, tuple(made.notes), sources)


def _common(chains: list[Chain]) -> dict[int, list[Step]]:
    """How all takers of a chain quantize its values first, if they do it alike: a pair of nodes for each of them."""
    first: dict[int, list[Step]] = {}
    for each in chains:
        for one in each.before:
            first.setdefault(id(one), []).append(each.steps[0] if each.steps else Step(""))
    alike = {}
    for number, steps in first.items():
        kinds = {(by.scale, by.zero_point, by.low, by.high) for by in steps if isinstance(by, Quantize)}
        if len(kinds) == 1 and all(isinstance(by, Quantize) for by in steps):
            alike[number] = steps[:1]
    return alike


def _first(chain: Chain, made: _Made, mean: tuple[float, ...], std: tuple[float, ...]) -> _Lowering:
    factor = 1 / np.asarray(std, np.float64)
    scale = Scale("the normalization of the input", factor, -np.asarray(mean, np.float64) * factor)
    return _Lowering(chain, [(SAMPLE, Range(0, 255, 1 / 255))], made, scale)


def _range(step: Quantize) -> Range:
    """The integers that ``step`` makes, moved so that 0 stands for 0 if they are bytes then too."""
    low, high = step.low - step.zero_point, step.high - step.zero_point
    if (low >= -128 and high <= 127) or (low >= 0 and high <= 255):
        return Range(low, high, step.scale)
    return Range(step.low, step.high, step.scale, step.zero_point)


@dataclass
class _Made:
    """The layers so far, their sources, and notes for people."""

    layers: list[Layer] = field(default_factory=list)
    sources: list[tuple[int, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _Lowering:
    """Takes the steps of one chain, whose values begin as those ``before``, each the number of a layer and its range.

    ``input`` is what is done to pixels of 0..1 before they are quantized; None since, and for chains behind layers.
    """

    def __init__(self, chain: Chain, before: list[tuple[int, Range]], made: _Made, scale: Scale | None = None) -> None:
        self.before, self.made, self.first = before, made, scale is not None
        self.shape = self.image = self.input_shape = chain.input_shape
        """The image is what the layers so far give, which flattening only hides."""
        self.input = scale
        self.number, self.given = before[0]
        """The layer that gave the values, and what these are in."""
        self.sum: Sum | Joined | None = None

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
        elif isinstance(step, Join):
            self.sum = Joined(step.where, [each for _, each in self.before], step.factors)
        elif isinstance(step, Activate):
            if step.activation.functions or step.activation.slopes:
                _leave(step, "is computed in floats between values that are quantized; export the operator quantized, or none")
            changed = self._changed(step)
            changed.activation = compose(changed.activation, step.activation)
        self.shape = step.output_shape(self.shape)
        if isinstance(step, Linear) or len(self.shape) == 3:
            self.image = self.shape

    def end(self) -> tuple[int, Range]:
        """The layer that gives the values that others take, and what these are in."""
        if self.input:
            raise UnquantizedError("its input branches before anything quantizes it; put a QuantizeLinear before that")
        if self.sum and self.sum.rounded is None:
            fact = "gives what several nodes take, or what is joined, and nothing quantizes it"
            raise UnquantizedError(f"{self.sum.where} {fact}; quantize every layer")
        given = self._settled(Step(""))
        return self.number, given

    def finish(self) -> float:
        """Completes the last layer, and returns what a step of the scores is worth."""
        last = self.sum
        if last is None or last.pools:
            raise ModelError("ends with no layer that has weights; end with a Gemm, MatMul or Conv")
        to = score_range(IDENTITY, last.unit)
        if last.rounded:  # scores are differences from the zero point, so that 0 stands for 0
            by = last.rounded
            to = Range(by.low - by.zero_point, by.high - by.zero_point, by.scale)
        self._emit(last, to)
        return to.scale

    def _quantize(self, step: Quantize) -> None:
        if step.high - step.low > 255:
            _leave(step, "quantizes to more than 8 bits; quantize to int8 or uint8")
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
        into.scale(done)
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
        self.sum = Sum(step.where, self._symmetric(step, held.values), unit, step.bias, given, window, groups)

    def _symmetric(self, step: Step, weights: NDArray[np.int64]) -> NDArray[np.int64]:
        if weights.min() < -128 or weights.max() > 127:
            _leave(
                step, f"has weights in {weights.min()}..{weights.max()}, which no signed byte holds; quantize them symmetric"
            )
        lowest = int((weights == -128).sum())
        if lowest:
            self.made.notes.append(f"{lowest} weights of -128 in {step.where.rstrip(',')} became -127")
        clipped: NDArray[np.int64] = np.maximum(weights, -127)
        return clipped

    def _pool(self, step: Pool) -> None:
        if step.largest:
            if self.sum:
                self.sum.pools.append(MaxPool(step.window))
            else:
                self._append(MaxPool(step.window))
            return
        given, channels, area = self._settled(step), self.shape[0], prod(step.window.kernel)
        weights, unit = np.ones((channels, 1, *step.window.kernel), np.int64), np.full(channels, given.scale / area)
        self.sum = Sum(step.where, weights, unit, np.zeros(channels), given, step.window, channels)

    def _reshape(self, step: Reshape) -> None:
        if len(step.shape) == 1 or step.shape == self.image:
            return
        if self.number != SAMPLE or self.sum or not self.first:
            step.refuse("reshapes values between layers; only flattening can be imported")
        self.input_shape = step.shape

    def _scale(self, step: Scale) -> None:
        """A bias or a normalization, which a sum takes in that nothing has changed yet."""
        if self.input:
            factor, offset = self.input.factor * step.factor, self.input.offset * step.factor + step.offset
            self.input = Scale(step.where, factor, offset)
        else:
            into = self._changed(step)
            if isinstance(into, Joined):
                _leave(step, "scales a sum that nothing quantizes; quantize it between")
            into.scale(step)

    def _changed(self, step: Step) -> Sum | Joined:
        """The sum that ``step`` changes: the last one, unless that is rounded before."""
        return self.sum if self.sum and self.sum.rounded is None else self._elementwise(step, self.shape)

    def _elementwise(self, step: Step, shape: Shape) -> Sum:
        """A layer that gives what it is given, to be changed and rounded once more."""
        if len(shape) == 1 and shape[0] > _WIDEST:
            step.refuse(f"rounds {shape[0]} flat values once more, which takes as many weights squared; {_REMEDY}")
        given, images, count = self._settled(step), len(shape) > 1, shape[0] if len(shape) != 2 else 1
        weights = np.full((count, 1, 1, 1), 127, np.int64) if images else np.diag(np.full(count, 127, np.int64))
        unit, window = np.full(count, given.scale / 127), Window((1, 1)) if images else None
        self.sum = Sum(step.where, weights, unit, np.zeros(count), given, window, count if images else 1)
        self.made.notes.append(
            f"{step.where.rstrip(',')} rounds values that were rounded before, so it becomes a separate layer"
        )
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

    def _emit(self, done: Sum | Joined, to: Range) -> Range:
        try:
            layer, found = done.layer(to)
        except ModelError as error:
            raise ModelError(f"{done.where} {error}") from error
        self._append(layer, *([number for number, _ in self.before] if isinstance(done, Joined) else []))
        for pool in done.pools:
            self._append(pool)
        return found

    def _append(self, layer: Layer, *sources: int) -> None:
        self.made.sources.append(sources or (self.number,))
        self.made.layers.append(layer)
        self.number = len(self.made.layers) - 1


def _leave(step: Step, fact: str) -> NoReturn:
    raise UnquantizedError(f"{step.where} {fact}")
