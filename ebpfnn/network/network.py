"""A quantized network: the layers of :mod:`ebpfnn.network.layers` as a chain or a graph, with the proof that nothing overflows.

It knows nothing of PyTorch, files or the kernel. docs/quantization.md derives the integers; :mod:`ebpfnn.network.reference`
computes with them; :mod:`ebpfnn.quantize.floats` is the form that was trained.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import Any, ClassVar

from .. import abi
from ..errors import ModelError
from . import calibration as calibrations
from . import events as carried
from . import graph
from .architecture import architecture
from .calibration import Calibration
from .errorlayer import check_error
from .inputformat import InputFormat
from .joins import Concat, join_bound
from .layers import (
    INT32_MAX,
    LARGEST_SIZE,
    ByteLanes,
    Conv2d,
    Join,
    Layer,
    MaxPool,
    Shape,
    SquaredError,
    Table,
    Unscaled,
    accumulator_bound,
    describe,
    expect,
)
from .model import LABEL, Model, check_result

MAX_CLASSES = abi.MAX_SCORES
"""The longest score vector a result can carry: EBPFNN_MAX_SCORES of bpf/include/ebpfnn/abi.h."""
MOST_STAGES = 4
"""The most networks of a cascade."""
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Next:
    """The next network of a cascade: ``network`` decides where the best score leads the second best by less than ``margin``.

    The margin is in the units of the scores before it, and at least 1. ``share``, 0..1, is how many calibration samples go on.
    The scores are those of the network that decided, in its own units (equation 22).
    """

    network: QuantizedNetwork
    margin: int
    share: float = 1.0

    def __post_init__(self) -> None:
        expect(1 <= self.margin <= INT32_MAX, f"margin must lie in 1..{INT32_MAX}")
        expect(0 <= self.share <= 1, "share must lie in 0..1")


@dataclass(frozen=True, eq=False)
class QuantizedNetwork(Model):
    """A network in integers: u8 samples in, one int32 score a label out.

    A score times ``score_scale`` is the float network's logit. ``density`` is, for each layer, the share of the values given
    to it that were not 0 on calibration samples, 0..1; empty where unknown. ``card`` tells where the network came from: free
    text by keyword, such as ``data`` or ``recipe``. ``events`` has the spec whose rows its samples are made of
    (:func:`ebpfnn.network.events.carried`), and is empty for samples that callers give. ``then`` makes it the first network of
    a cascade. ``result`` is what :class:`~ebpfnn.network.model.Model` says. ``sources`` has for each layer the numbers of those
    whose values it is given, -1 for the sample; it is empty for a chain, whose layers are given what the one before gives.

    Raises :class:`ModelError`, naming the layer, where consecutive layers disagree or an accumulator could overflow.
    """

    kind: ClassVar[str] = "network"

    name: str
    input: InputFormat
    labels: tuple[str, ...]
    layers: tuple[Layer, ...]
    score_scale: float = 1.0
    density: tuple[float, ...] = ()
    card: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    events: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    then: Next | None = None
    result: str = LABEL
    calibration: Calibration | None = None
    sources: graph.Sources = ()

    def __post_init__(self) -> None:
        expect(bool(self.layers), f"network '{self.name}' has no layers")
        expect(not isinstance(self.layers[-1], MaxPool), "the last layer is a pool; end with a dense layer or a convolution")
        expect(not isinstance(self.layers[-1], Concat), "the last layer joins values; end with a dense layer or a convolution")
        counts = [layer.sources if isinstance(layer, Join | SquaredError) else 1 for layer in self.layers]
        graph.check(self.takes, [(count, count) for count in counts])
        if self.sources == graph.chain(len(self.layers)):
            object.__setattr__(self, "sources", ())
        ranges, shapes = self.ranges, self.shapes
        for number, (layer, sources) in enumerate(zip(self.layers, self.takes, strict=True)):
            try:
                if isinstance(layer, SquaredError):
                    taken = tuple(ranges[source + 1] for source in sources)
                    check_error(prod(shapes[sources[0] + 1]), taken, last=number + 1 == len(self.layers))
                    continue
                _check(layer, tuple(ranges[source + 1] for source in sources), last=number + 1 == len(self.layers))
            except ModelError as error:
                raise ModelError(f"layer {number} {error}") from error
        for number, shape in enumerate(self.shapes[1:]):
            expect(
                prod(shape) <= LARGEST_SIZE, f"layer {number} gives {describe(shape)} values; at most {LARGEST_SIZE} are taken"
            )
        width = prod(self.shapes[-1])
        expect(width == len(self.labels), f"the last layer has {width} outputs but there are {len(self.labels)} labels")
        expect(width <= MAX_CLASSES, too_wide(width, prod(self.input.shape)))
        expect(len(self.density) in (0, len(self.layers)), "density must have one share a layer, or none")
        expect(all(0 <= share <= 1 for share in self.density), "density must hold shares, 0..1")
        check_result(self)
        calibrations.check(self.calibration, self.labels)
        carried.check(self.events)
        if self.then:
            self._check_next(self.then.network)

    def _check_next(self, following: QuantizedNetwork) -> None:
        mine, its, other = self.input, following.input, f"the next network, '{following.name}',"
        expect(len(self.labels) > 1, "a cascade needs two labels or more")
        expect(self.result == following.result == LABEL, "a cascade is of networks that give labels")
        expect(self.labels == following.labels, f"{other} has other labels; the networks of a cascade share them")
        same = (mine.shape, mine.packed, mine.preparation) == (its.shape, its.packed, its.preparation)
        expect(same and (not mine.packed or mine == its), f"{other} takes other samples; the networks of a cascade share them")
        expect(not following.events, f"{other} carries a spec; the first network of a cascade carries it for all")
        expect(len(following.stages) < MOST_STAGES, f"more than {MOST_STAGES} networks in a cascade")

    @property
    def stages(self) -> tuple[QuantizedNetwork, ...]:
        """This network, and those of the cascade that follow it."""
        return (self, *(self.then.network.stages if self.then else ()))

    @property
    def takes(self) -> graph.Sources:
        """The sources of every layer, of a chain too."""
        return self.sources or graph.chain(len(self.layers))

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """That of the sample, and what each layer gives: number ``n + 1`` is that of layer ``n``."""
        shapes = [self.input.shape]
        for number, (layer, sources) in enumerate(zip(self.layers, self.takes, strict=True)):
            try:
                shapes.append(layer.output_shape(*(shapes[source + 1] for source in sources)))
            except ModelError as error:
                raise ModelError(f"layer {number} {error}") from error
        return tuple(shapes)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """The lowest and the highest value of the sample, and of each layer but the last, as :attr:`shapes`."""
        ranges = [(0, self.input.highest)]
        for layer, sources in zip(self.layers[:-1], self.takes, strict=False):
            if isinstance(layer, Unscaled):
                ranges.append(ranges[sources[0] + 1])
            else:
                ranges.append((layer.requantization.lowest, layer.requantization.highest))
        return tuple(ranges)

    def given_shapes(self, number: int) -> tuple[Shape, ...]:
        """The shapes of what layer ``number`` is given: one, but for a layer that joins several."""
        shapes = self.shapes
        return tuple(shapes[source + 1] for source in self.takes[number])

    def given_ranges(self, number: int) -> tuple[tuple[int, int], ...]:
        """The ranges of what layer ``number`` is given, as :meth:`given_shapes`."""
        ranges = self.ranges
        return tuple(ranges[source + 1] for source in self.takes[number])

    @property
    def macs(self) -> int:
        """Multiplications of one sample."""
        shapes = self.shapes
        each = zip(self.layers, self.takes, strict=True)
        return sum(layer.macs(*(shapes[source + 1] for source in sources)) for layer, sources in each)

    @property
    def architecture(self) -> str:
        """The layers as ``ebpfnn train --arch`` takes them, such as ``784-32-10``; those of a cascade joined by "then"."""
        return " then ".join(architecture(each.layers, each.sources) for each in self.stages)


def too_wide(width: int, values: int) -> str:
    """What a network of ``width`` outputs, more than a result carries, over samples of ``values`` is refused with."""
    fact = f"{width} outputs; a result carries at most {MAX_CLASSES}"
    if width == values:
        return f"{fact}; if it reconstructs its input, give --result anomaly, and the score is the reconstruction error"
    return f"{fact}; train it for fewer, or put a layer of at most {MAX_CLASSES} outputs behind it"


def _check(layer: Layer, ranges: tuple[tuple[int, int], ...], *, last: bool) -> None:
    if isinstance(layer, Unscaled):
        return
    low, high = ranges[0]
    bound = join_bound(layer, ranges) if isinstance(layer, Join) else accumulator_bound(layer, low, high)
    if isinstance(layer, Table):
        _check_table(layer, low, high, bound, last=last)
    expect(bound <= INT32_MAX, f"can reach |accumulator| {bound}, past int32; use smaller weights")
    by = layer.requantization
    expect(last or by.one_byte, f"is clipped to {by.low}..{by.high}, which is not one byte")
    fact = "is the last, whose scores are int32, and has an activation table; add a dense layer behind it"
    expect(not last or isinstance(by, ByteLanes) or by.activation is None, fact)
    if isinstance(layer, Conv2d) and any(layer.window.padding):
        expect(low <= layer.pad_value <= high, f"is padded with {layer.pad_value}, outside its input's {low}..{high}")


def _check_table(layer: Table, low: int, high: int, bound: int, *, last: bool) -> None:
    expect(layer.low == low, f"takes values from {layer.low} on, but is given {low}..{high}")
    expect(high - low < 1 << layer.bits, f"takes levels of {layer.bits} bits, but is given {low}..{high}")
    if isinstance(layer.requantization, ByteLanes):
        expect(not last, "is the last, whose scores are int32, and gives bytes")
        exact = layer.requantization.exact
        expect(
            not exact or bound <= 127, f"can reach |accumulator| {bound}, and promises to stay within 127; make it not exact"
        )
