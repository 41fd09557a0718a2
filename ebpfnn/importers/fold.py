"""A chain of float steps as the layers of a float network: what only scales goes into a layer beside it.

A batch normalization behind a layer scales its weights and moves its bias; one before a layer, as a normalization of the
input is, does so too, unless the layer pads: padding is 0 behind the scaling, and would not be before it. What nothing
can take in becomes a depthwise 1x1 convolution of its own, or a dense layer whose weights are a diagonal.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from ..errors import ModelError
from ..network.layers import MaxPool, Shape, Window, describe
from ..quantize.floats import Activation, AvgPool, FloatLayer
from ..quantize.functions import NEVER_FALL
from .building import compose
from .making import IDENTITY, Joined, Weighted, float_layer
from .steps import Activate, Chain, Conv, Floats, Join, Linear, Pad, Pool, Quantize, Reshape, Scale, Step, naming

_WIDEST = 1024
"""A layer for flat values alone takes as many weights as the square of their number."""


def fold(chain: Chain, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[Shape, tuple[FloatLayer, ...]]:
    """The shape of a sample and the layers of ``chain``, which is given ``(x - mean) / std`` of levels that stand for 0..1.

    Raises :class:`ModelError`, naming the node, for steps that no layer can do.
    """
    folder = folded(chain, mean, std)
    layers = folder.finish()
    if not layers:
        raise ModelError("has no layers; give a network with a Linear or Conv2d")
    return folder.input_shape, layers


def folded(chain: Chain, mean: tuple[float, ...], std: tuple[float, ...]) -> Folder:
    """What takes the steps of ``chain``, which is given samples, as :func:`fold`."""
    folder = Folder(chain.input_shape)
    deviation = np.asarray(std, np.float64)
    if (deviation != 1).any() or any(mean):
        folder.take(Scale("the normalization of the input", 1 / deviation, -np.asarray(mean, np.float64) / deviation))
    for step in chain.steps:
        with naming(step.where):
            folder.take(step)
    return folder


class Folder:
    """Takes the steps of one chain, behind others where ``first`` is false."""

    def __init__(self, shape: Shape, *, first: bool = True) -> None:
        self.first = first
        self.shape = self.input_shape = shape
        self.image = shape
        """What the layers so far give, which flattening only hides."""
        self.layers: list[Weighted | MaxPool | AvgPool | Joined] = []
        self.limited: tuple[int, Weighted | Joined] | None = None
        """The last layer whose outputs only a quantization limits, by its number, and without these limits."""
        self.pending: Scale | None = None
        self.positive = True
        """Whether nothing below 0 can come: pixels, and what a ReLU gave."""

    def take(self, step: Step) -> None:
        if isinstance(step, Scale):
            self._scale(step)
        elif isinstance(step, Activate):
            self._activate(step)
        elif isinstance(step, Pool) and not step.changes_nothing:
            self._pool(step)
        elif isinstance(step, Join):
            self.layers.append(Joined(step.factors))
            self.positive = self.positive and min(step.factors or (0.0,)) >= 0
        elif isinstance(step, (Linear, Conv)):
            self._weigh(step)
        elif isinstance(step, Reshape):
            self._reshape(step)
        elif isinstance(step, Quantize):
            self._round(step)
        elif isinstance(step, Pad):
            step.refuse("pads values that no convolution takes next; give the padding to a Conv2d")
        self.shape = step.output_shape(self.shape)
        if isinstance(step, Linear) or len(self.shape) == 3:
            self.image = self.shape

    def released(self) -> float:
        """The one factor that waits to be folded, for the sum behind, which takes it; 1 if there is none."""
        held = self.pending
        if held is None or held.factor.size != 1 or held.offset.any() or not held.factor.all():
            return 1.0
        self.pending = None
        return float(held.factor[0])

    def finish(self) -> tuple[FloatLayer, ...]:
        """The layers, perhaps none."""
        self._settle()
        if self.limited and self.limited[0] == len(self.layers) - 1:  # scores have the room that they need
            self.layers[-1] = self.limited[1]
        return tuple(float_layer(each) for each in self.layers)

    def _scale(self, step: Scale) -> None:
        """Into the layer behind which it stands, or else kept for the layer that follows."""
        factor, offset = (_per_channel(step, each, self.shape) for each in (step.factor, step.offset))
        last = self.layers[-1] if self.layers else None
        if not self.pending and isinstance(last, Weighted) and last.takes(factor, offset):
            self.layers[-1] = last.scaled(factor, offset)
            return
        if not self.pending and isinstance(last, Joined) and last.takes(factor, offset):
            self.layers[-1] = last.scaled(float(factor[0]))
            self.positive = self.positive and bool(factor[0] > 0)
            return
        if self.pending:
            factor, offset = self.pending.factor * factor, self.pending.offset * factor + offset
        self.pending = Scale(step.where, factor, offset)

    def _activate(self, step: Activate) -> None:
        """Into the last layer with weights: a function that never falls may be taken before a maximum as well as after."""
        by = step.activation
        self._settle()
        if self.positive and by.low <= 0 and by.high == np.inf and not by.functions:
            return
        behind = next((n for n in reversed(range(len(self.layers))) if not isinstance(self.layers[n], MaxPool)), None)
        layer = None if behind is None else self.layers[behind]
        pooled = behind is not None and behind + 1 < len(self.layers)
        if isinstance(layer, Joined) and (by.functions or by.slopes):
            layer = None
        if isinstance(layer, Weighted) and by.slopes and len(by.slopes) != len(layer.step.bias):
            layer = None  # one slope for each of flat values
        if behind is None or not isinstance(layer, Weighted | Joined) or not _joins(layer.activation, by, pooled=pooled):
            layer, behind = self._insert(Scale(step.where, np.ones(1), np.zeros(1))), -1
        if self.limited and self.limited[0] == behind:
            self.limited = None  # what follows is given limited values
        self.layers[behind] = replace(layer, activation=compose(layer.activation, by))
        self.positive = not by.functions and (by.slope == 0 or by.low >= 0)

    def _round(self, step: Quantize) -> None:
        """Keeps scale and bits of the first rounding, if 0 stands for 0; its ends may be all that is left of a ReLU."""
        low, high = ((end - step.zero_point) * step.scale for end in (step.low, step.high))
        if low >= 0 and (self.pending or not self.positive):
            self._activate(Activate(step.where, Activation(0.0)))
        behind = next((n for n in reversed(range(len(self.layers))) if not isinstance(self.layers[n], MaxPool)), None)
        layer = None if behind is None else self.layers[behind]
        if behind is None or not isinstance(layer, Weighted | Joined) or layer.activation.scale is not None or self.pending:
            return
        by, bits = layer.activation, (step.high - step.low + 1).bit_length() - 1
        if by.functions:  # whose results the ends limit
            ends = Activation(low=low if low < 0 else -np.inf, high=high)
            self.layers[behind] = replace(layer, activation=compose(by, ends))
            return
        low, high = max(by.low, low), min(by.high, high)
        if low >= high:
            return
        if step.zero_point or isinstance(layer, Joined):
            self.layers[behind] = replace(layer, activation=replace(by, low=low if low < 0 else by.low, high=high))
            self.limited = behind, layer
        elif not step.zero_point and 2 <= bits <= 8:
            bits += step.high - step.low + 1 > 1 << bits
            self.layers[behind] = replace(layer, activation=replace(by, bits=bits, scale=step.scale, low=low, high=high))

    def _pool(self, step: Pool) -> None:
        if self.pending and (bool((self.pending.factor <= 0).any()) if step.largest else any(step.window.padding)):
            self._settle()
        self.layers.append(MaxPool(step.window) if step.largest else AvgPool(step.window))

    def _weigh(self, step: Linear | Conv) -> None:
        if self.pending and isinstance(step, Conv) and any(step.window.padding) and self.pending.offset.any():
            self._settle()
        if self.pending:
            step = _scaled_inputs(step, self.pending)
            self.pending = None
        self.layers.append(Weighted(step))
        self.positive = False

    def _reshape(self, step: Reshape) -> None:
        """What flattens costs nothing, nor what undoes that; layers know no other."""
        if len(step.shape) == 1:
            if self.pending:
                each = prod(self.shape[1:])
                factor, offset = (_repeated(array, each) for array in (self.pending.factor, self.pending.offset))
                self.pending = Scale(self.pending.where, factor, offset)
        elif not self.layers and self.first:
            self.input_shape = step.shape
        elif step.shape != self.image or (self.pending and prod(self.image[1:]) > 1):
            step.refuse("reshapes values between layers; only flattening can be imported")

    def _settle(self) -> None:
        """Makes a layer of what waits to be folded."""
        if self.pending:
            self._insert(self.pending)
        self.pending = None

    def _insert(self, scale: Scale) -> Weighted:
        """A depthwise 1x1 convolution, or of flat values a dense layer that has weights on its diagonal alone."""
        size = self.shape[0]
        factor, offset = (np.broadcast_to(each, size) for each in (scale.factor, scale.offset))
        if len(self.shape) == 3:
            layer = Weighted(Conv(scale.where, factor.reshape(size, 1, 1, 1), offset, Window((1, 1)), size))
        elif len(self.shape) == 1 and size <= _WIDEST:
            layer = Weighted(Linear(scale.where, np.diag(factor), offset))
        else:
            fact = f"changes flat values, {describe(self.shape)}, where no layer with weights can take it in"
            scale.refuse(f"{fact}; put it right behind a Linear")
        self.layers.append(layer)
        self.positive = False
        return layer


def _joins(before: Activation, by: Activation, *, pooled: bool) -> bool:
    """Whether ``by`` can be a part of what is ``before`` it. Behind a max pool only a function that never falls can."""
    if by.slopes and before != IDENTITY:
        return False
    return not pooled or all(each.name in NEVER_FALL for each in by.functions)


def _per_channel(step: Scale, array: Floats, shape: Shape) -> Floats:
    """One number for all, for each channel of an image, or for each of flat values."""
    if array.size != 1 and (array.shape != shape[:1] or len(shape) == 2):
        step.refuse("scales by something else than one number, or one a channel")
    return array.reshape(-1).astype(np.float64)


def _repeated(array: Floats, count: int) -> Floats:
    return array if array.size == 1 else np.repeat(array, count)


def _scaled_inputs(step: Linear | Conv, scale: Scale) -> Linear | Conv:
    """``step`` of inputs scaled before: ``W (f x + o) + b = (W f) x + (W o + b)``."""
    weights = step.weights
    if isinstance(step, Linear):
        offset = np.broadcast_to(scale.offset, weights.shape[1])
        return replace(step, weights=weights * scale.factor, bias=step.bias + weights @ offset, integers=None)
    groups, each = step.groups, weights.shape[1]
    own = np.arange(len(weights)) // (len(weights) // groups)
    factor, offset = (
        np.broadcast_to(array, groups * each).reshape(groups, each)[own][:, :, None, None]
        for array in (scale.factor, scale.offset)
    )
    return replace(step, weights=weights * factor, bias=step.bias + (weights * offset).sum(axis=(1, 2, 3)), integers=None)
