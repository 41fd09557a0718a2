"""A quantized network: the layers of :mod:`ebpfnn.network.layers`, one after the other, with the proof that nothing overflows.

It knows nothing of PyTorch, files or the kernel. docs/quantization.md derives the integers; :mod:`ebpfnn.network.reference`
computes with them; :mod:`ebpfnn.quantize.floats` is the form that was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any

from .. import abi
from ..errors import ModelError
from . import events as carried
from .architecture import architecture
from .inputformat import InputFormat
from .layers import INT32_MAX, LARGEST_SIZE, Conv2d, Layer, MaxPool, Shape, accumulator_bound, describe, expect

MAX_CLASSES = abi.MAX_SCORES
"""The longest score vector a result can carry: EBPFNN_MAX_SCORES of bpf/include/ebpfnn/abi.h."""
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class QuantizedNetwork:
    """A network in integers: u8 samples in, one int32 score a label out.

    A score times ``score_scale`` is the float network's logit. ``density`` is, for each layer, the share of the values given
    to it that were not 0 on calibration samples, 0..1; empty where unknown. ``card`` tells where the network came from: free
    text by keyword, such as ``data`` or ``recipe``. ``events`` has the spec whose rows its samples are made of
    (:func:`ebpfnn.network.events.carried`), and is empty for samples that callers give.

    Raises :class:`ModelError`, naming the layer, where consecutive layers disagree or an accumulator could overflow.
    """

    name: str
    input: InputFormat
    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    score_scale: float = 1.0
    density: tuple[float, ...] = ()
    card: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    events: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    def __post_init__(self) -> None:
        expect(bool(self.layers), f"network '{self.name}' has no layers")
        expect(not isinstance(self.layers[-1], MaxPool), "the last layer is a pool; end with a dense layer or a convolution")
        for number, (layer, (low, high)) in enumerate(zip(self.layers, self.ranges, strict=True)):
            try:
                _check(layer, low, high, last=number + 1 == len(self.layers))
            except ModelError as error:
                raise ModelError(f"layer {number} {error}") from error
        for number, shape in enumerate(self.shapes[1:]):
            expect(
                prod(shape) <= LARGEST_SIZE, f"layer {number} gives {describe(shape)} values; at most {LARGEST_SIZE} are taken"
            )
        width = prod(self.shapes[-1])
        expect(width == len(self.labels), f"the last layer has {width} outputs but there are {len(self.labels)} labels")
        expect(width <= MAX_CLASSES, f"{width} classes; a result carries at most {MAX_CLASSES}")
        expect(len(self.density) in (0, len(self.layers)), "density must have one share a layer, or none")
        expect(all(0 <= share <= 1 for share in self.density), "density must hold shares, 0..1")
        carried.check(self.events)

    @property
    def input_shape(self) -> Shape:
        """A sample's shape."""
        return self.input.shape

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """What each layer is given, and at the end what the last one gives."""
        shapes = [self.input.shape]
        for number, layer in enumerate(self.layers):
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except ModelError as error:
                raise ModelError(f"layer {number} {error}") from error
        return tuple(shapes)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The lowest and the highest value that each layer can be given."""
        ranges = [(0, self.input.highest)]
        for layer in self.layers[:-1]:
            ranges.append(ranges[-1] if isinstance(layer, MaxPool) else (layer.requantization.low, layer.requantization.high))
        return tuple(ranges)

    @property
    def macs(self) -> int:
        """Multiplications of one sample."""
        return sum(layer.macs(shape) for layer, shape in zip(self.layers, self.shapes, strict=False))

    @property
    def architecture(self) -> str:
        """The layers as ``ebpfnn train --arch`` takes them, such as ``784-32-10``."""
        return architecture(self.layers)


def _check(layer: Layer, low: int, high: int, *, last: bool) -> None:
    if isinstance(layer, MaxPool):
        return
    bound = accumulator_bound(layer, low, high)
    expect(bound <= INT32_MAX, f"can reach |accumulator| {bound}, past int32; use smaller weights")
    by = layer.requantization
    expect(last or by.one_byte, f"is clipped to {by.low}..{by.high}, which is not one byte")
    if isinstance(layer, Conv2d) and any(layer.window.padding):
        expect(low <= layer.pad_value <= high, f"is padded with {layer.pad_value}, outside its input's {low}..{high}")
