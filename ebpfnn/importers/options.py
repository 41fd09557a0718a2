"""What a user says of a file that the file does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from math import prod
from types import MappingProxyType

import numpy as np

from ..network.graph import Sources
from ..network.inputformat import InputFormat
from ..network.layers import Shape, describe, expect
from ..network.preparation import Preparation
from ..quantize.float_reference import shapes
from ..quantize.floats import FloatLayer, Network
from ..quantize.tabular import Rows
from . import sampled
from .steps import Chain, Scale, Step

_UNCHANGED = ((0.0,), (1.0,))
_CHANNELS = 4
_LEAST_SPREAD = 20
"""Pixels of 0..255 have a mean above it, and so have their deviations; of 0..1 neither has."""
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class ImportOptions:
    """How to read a file as a network.

    ``shape`` is that of a sample; None takes the file's. ``bits``, ``thresholds``, ``packed``, ``bit_order``, ``order`` and
    ``value_thresholds`` are those of :class:`~ebpfnn.network.inputformat.InputFormat`. The network is given
    ``(pixel / 255 - mean) / std``, one number for all channels or one for each: what ``torchvision.transforms.Normalize(mean,
    std)`` gave it in training.

    ``architecture`` and ``slope`` are for files that hold tensors and no graph: as :mod:`ebpfnn.network.architecture` writes
    them, and that of the activation behind all layers but the last, 0 for ReLU.

    ``columns`` are the names of the columns of trees, in the order of their training.

    ``rows`` is for graphs over rows of a table: it is given their number of columns, and the names of columns that the graph
    has, perhaps none; it returns rows that choose the range of each. ``column_bytes`` is how many bytes a column of a sample
    gets. ``tabular`` makes of every graph over flat floats one over rows of a table, whatever made it.

    ``result`` is "anomaly" for a network that reconstructs its samples, whose error then is the score, and "vector" for one
    whose outputs are numbers, and no scores of classes; None takes what the outputs of the file say.
    """

    name: str | None = None
    labels: tuple[str, ...] | None = None
    shape: Shape | None = None
    bits: int = 8
    thresholds: tuple[int, ...] = ()
    packed: bool = False
    bit_order: str = "big"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    architecture: str | None = None
    slope: float = 0.0
    value_thresholds: tuple[tuple[int, ...], ...] = ()
    prepared: Preparation | None = None
    card: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    order: tuple[int, ...] = ()
    columns: tuple[str, ...] | None = None
    rows: Callable[[int, tuple[str, ...]], Rows] | None = None
    column_bytes: int = 2
    tabular: bool = False
    result: str | None = None

    def __post_init__(self) -> None:
        """Raises :class:`ModelError` for a mean or std that is no number, or a std of 0."""
        finite = np.isfinite([*self.mean, *self.std]).all() and 0 not in self.std
        expect(bool(finite and self.mean and self.std), "mean and std must be finite numbers, std not 0")

    def input(self, shape: Shape) -> InputFormat:
        """The format of samples for a file whose network takes ``shape``, (channels, rows, columns) or (values,).

        Raises :class:`ModelError` where a shape was asked for that holds another number of values.
        """
        found = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
        wanted = self.shape or found
        fits = prod(wanted) == prod(shape)
        expect(fits, f"takes samples of {describe(found)}, not {describe(wanted)}; give that shape, or none")
        return InputFormat(
            wanted, self.bits, self.thresholds, self.packed, self.bit_order, self.value_thresholds, self.prepared, self.order
        )

    def given(self, chain: Chain) -> tuple[ImportOptions, list[str]]:
        """These options with what the graph is given where nothing was said of it, and what people should know of that.

        A graph that begins with a division by 255, or with another normalization of such numbers, wants pixels of 0..255.
        """
        chain = chain.root
        sampled.settle(chain)
        fact = _of_pixels(chain.steps)
        if (self.mean, self.std) != _UNCHANGED or chain.input_bytes or not fact:
            return self, chain.notes
        return replace(self, std=(1 / 255,)), [*chain.notes, f"{fact}, so it is given pixels of 0..255"]

    def network(
        self, name: str, shape: Shape, layers: tuple[FloatLayer, ...], card: Mapping[str, str], sources: Sources = ()
    ) -> Network:
        """The network of ``layers`` over samples of ``shape``; its labels are 0, 1, 2, ... unless some were given.

        Raises :class:`ModelError` where the labels are not as many as the classes, or layers do not fit.
        """
        form = self.input(shape)
        found = Network(self.name or name, form, (), layers, {**card, **self.card}, sources=sources)
        return replace(found, labels=self.labels_for(prod(shapes(found)[-1])))

    def labels_for(self, classes: int) -> tuple[str, ...]:
        """The labels of ``classes`` scores. Raises :class:`ModelError` where as many were not given."""
        labels = self.labels or tuple(map(str, range(classes)))
        expect(len(labels) == classes, f"has {classes} outputs but there are {len(labels)} labels; give one label an output")
        return labels


def _of_pixels(steps: Sequence[Step]) -> str:
    """What the first of ``steps`` do that only pixels of 0..255 are brought to a few units by; nothing if they do not."""
    factor, offset = np.ones(1), np.zeros(1)
    for step in takewhile(lambda each: isinstance(each, Scale), steps):
        if not isinstance(step, Scale) or max(factor.size, step.factor.size, step.offset.size) > _CHANNELS:
            return ""
        factor, offset = factor * step.factor, offset * step.factor + step.offset
    if not offset.any():
        whole = next((each for each in (255, 256) if np.isclose(factor, 1 / each, rtol=1e-3).all()), None)
        return f"it divides its input by {whole}" if whole else ""
    small = bool((factor >= 1 / 512).all() and (factor <= 1 / _LEAST_SPREAD).all())
    middle = -offset / factor if small else np.zeros(1)
    return "it normalizes numbers up to 255" if (middle > _LEAST_SPREAD).all() and (middle < 255).all() else ""
