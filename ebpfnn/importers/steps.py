"""What graphs are read into: a chain of steps, each of one kind, whatever the file called it.

:mod:`.fold` makes a float network of a chain, :mod:`.integers` a quantized one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import Shape, Window, describe
from ..quantize.floats import Activation

Floats = NDArray[np.float64]
LARGEST = 1 << 24
"""The most values that a tensor may have, and all weights together: a file can speak of more than it holds bytes."""


@dataclass(frozen=True, eq=False)
class Integers:
    """Values that a file holds as integers: ``values`` less their zero point, int64, each worth ``scale`` (broadcast)."""

    values: NDArray[np.int64]
    scale: Floats


@dataclass(frozen=True, eq=False)
class Step:
    """``where`` names the node it came from, for people."""

    where: str

    def output_shape(self, shape: Shape) -> Shape:
        """The shape of what it makes of ``shape``; both without the batch."""
        return shape

    def refuse(self, fact: str) -> NoReturn:
        """Raises :class:`ModelError`."""
        raise ModelError(f"{self.where} {fact}")


@dataclass(frozen=True, eq=False)
class Linear(Step):
    """``weights @ x + bias``, [outputs, inputs] and [outputs]; ``integers`` where the file has the weights as such."""

    weights: Floats
    bias: Floats
    integers: Integers | None = None

    def __post_init__(self) -> None:
        _check_sizes(self, 2)

    def output_shape(self, shape: Shape) -> Shape:
        if shape != self.weights.shape[1:]:
            self.refuse(f"takes {self.weights.shape[1]} values but is given {describe(shape)}; flatten before it")
        return (len(self.weights),)

    def of_columns(self, places: NDArray[np.int64]) -> Linear:
        """This layer of values of which number i is that at ``places[i]`` of its own."""
        if len(places) != self.weights.shape[1]:
            self.refuse(f"takes {self.weights.shape[1]} values but is given {len(places)}; export it again")
        return replace(self, weights=self.weights[:, places], integers=_moved(self.integers, lambda array: array[:, places]))


@dataclass(frozen=True, eq=False)
class Conv(Step):
    """A convolution of weights [channels, input channels / groups, rows, columns]."""

    weights: Floats
    bias: Floats
    window: Window
    groups: int = 1
    integers: Integers | None = None

    def __post_init__(self) -> None:
        _check_sizes(self, 4)
        if self.groups < 1 or len(self.weights) % self.groups:
            self.refuse(f"splits {len(self.weights)} channels in {self.groups} groups, which is none of its divisors")

    def output_shape(self, shape: Shape) -> Shape:
        channels = self.weights.shape[1] * self.groups
        if len(shape) != 3 or shape[0] != channels:
            self.refuse(f"takes images of {channels} channels but is given {describe(shape)}")
        return (len(self.weights), *_output_size(self, self.window, shape))


@dataclass(frozen=True, eq=False)
class Pool(Step):
    """The largest or the average of each window; the average counts padding as 0."""

    window: Window
    largest: bool

    @property
    def changes_nothing(self) -> bool:
        return self.window == Window((1, 1))

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3:
            self.refuse(f"takes images but is given {describe(shape)}")
        return (shape[0], *_output_size(self, self.window, shape))


@dataclass(frozen=True, eq=False)
class Join(Step):
    """The first step of a chain behind several others: a sum of two, each times its factor, or channels side by side."""

    factors: tuple[float, float] | None = None
    """None for channels side by side."""


@dataclass(frozen=True, eq=False)
class Pad(Step):
    """An edge of 0 around an image, (top, left, bottom, right), which the convolution behind it takes as its own."""

    edges: tuple[int, int, int, int]

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 3 or min(self.edges) < 0:
            self.refuse(f"pads {describe(shape)} by {list(self.edges)}; only an edge of 0 around images can be imported")
        top, left, bottom, right = self.edges
        return shape[0], shape[1] + top + bottom, shape[2] + left + right


@dataclass(frozen=True, eq=False)
class Scale(Step):
    """``x * factor + offset``: one number each, or one for each channel of an image, or one for each of flat values."""

    factor: Floats
    offset: Floats


@dataclass(frozen=True, eq=False)
class Activate(Step):
    """An activation function."""

    activation: Activation


@dataclass(frozen=True, eq=False)
class Reshape(Step):
    """The same values in another shape."""

    shape: Shape

    def output_shape(self, shape: Shape) -> Shape:
        if prod(shape) != prod(self.shape):
            self.refuse(f"makes {describe(self.shape)} of {describe(shape)}, which holds another number of values")
        return self.shape


@dataclass(frozen=True, eq=False)
class Select(Step):
    """The values at ``places`` of flat ones, in this order."""

    places: NDArray[np.int64]

    def __post_init__(self) -> None:
        if not 0 < self.places.size <= LARGEST:
            self.refuse(f"selects {self.places.size} values, which cannot be imported")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != 1 or int(self.places.min()) < 0 or int(self.places.max()) >= shape[0]:
            self.refuse(f"selects values beyond the {describe(shape)} that it is given; export it again")
        return self.places.shape


@dataclass(frozen=True, eq=False)
class Binarize(Step):
    """1 for a value above ``threshold``, else 0."""

    threshold: float


@dataclass(frozen=True, eq=False)
class Quantize(Step):
    """``clip(round(x / scale) + zero_point, low, high)``, and the real values of that from here on."""

    scale: float
    zero_point: int
    low: int
    high: int


@dataclass
class Chain:
    """The steps so far, and the shape behind them, without the batch; ``input_shape`` is that before them.

    ``input_bytes`` is whether the graph takes bytes, which a first step then makes of 0..1. ``labels`` are those that the graph
    names, perhaps none. ``logit`` is whether its one score stands for two classes, the second one where it is above 0.
    ``tabular`` is whether it is made for rows of a table, and ``columns`` are their names, if the graph has any. ``places`` are
    those of a sample's values in the graph's own input, of ``graph_shape``; None where they lie alike. ``before`` are the
    chains whose values it takes, none for the sample: one, which others take too, or those that a :class:`Join` joins.
    ``ending`` is what stands behind the last step and changes no label, so that it is none: "sigmoid", "softmax" or nothing.
    ``result`` is what the graph says of its outputs: "vector" if they are numbers and no scores of classes, else nothing.
    """

    input_shape: Shape
    input_bytes: bool = False
    steps: list[Step] = field(default_factory=list)
    labels: tuple[str, ...] = ()
    logit: bool = False
    tabular: bool = False
    columns: tuple[str, ...] = ()
    before: tuple[Chain, ...] = ()
    ending: str = ""
    result: str = ""

    @property
    def root(self) -> Chain:
        """The chain that takes the sample."""
        found = self
        while found.before:
            found = found.before[0]
        return found

    def __post_init__(self) -> None:
        self.shape = self.unpadded = self.graph_shape = self.input_shape
        _check_values(self.shape, "what it joins" if self.before else "its input")
        self.weights = 0
        self.places: NDArray[np.int64] | None = None
        self.notes: list[str] = []

    def begin_as(self, shape: Shape, places: NDArray[np.int64] | None) -> None:
        """Gives it samples of ``shape``, before its first layer."""
        self.input_shape = self.shape = self.unpadded = shape
        self.places = places

    def append(self, step: Step) -> None:
        """Raises :class:`ModelError` where the step does not fit."""
        before = self.steps[-1] if self.steps else None
        if isinstance(before, Pad):
            if not isinstance(step, Conv):
                before.refuse("pads values that no convolution takes next; give the padding to a Conv2d")
            step, self.shape = _padded(step, before), self.unpadded
            self.steps.pop()
        self.weights += step.weights.size if isinstance(step, (Linear, Conv)) else 0
        if self.weights > LARGEST:
            step.refuse(f"brings the network to {self.weights} weights, over {LARGEST}; give a smaller one")
        self.unpadded = self.shape
        self.shape = step.output_shape(self.shape)
        _check_values(self.shape, step.where)
        self.steps.append(step)


def _check_values(shape: Shape, where: str) -> None:
    """Before memory for so many values is taken anywhere."""
    if prod(shape) > LARGEST:
        raise ModelError(f"{where} has {describe(shape)} values, over {LARGEST}; give a smaller network")


def _check_sizes(step: Linear | Conv, rank: int) -> None:
    weights, bias = step.weights, step.bias
    if weights.ndim != rank or not weights.size or bias.shape != weights.shape[:1]:
        step.refuse(f"has weights {list(weights.shape)} and a bias {list(bias.shape)}, which do not fit; export it again")
    if step.integers and step.integers.values.shape != weights.shape:
        step.refuse("has weights in integers of another shape; export it again")


def _moved(held: Integers | None, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Integers | None:
    """With ``change`` done to the values, and to a scale that has one number for each of them."""
    if held is None:
        return None
    whole = held.scale.ndim > 1 and held.scale.shape[1] == held.values.shape[1] > 1
    return Integers(change(held.values), change(held.scale) if whole else held.scale)


def _padded(step: Conv, pad: Pad) -> Conv:
    top, left, bottom, right = (own + edge for own, edge in zip(step.window.padding, pad.edges, strict=True))
    try:
        return replace(step, window=replace(step.window, padding=(top, left, bottom, right)))
    except ModelError as error:
        raise ModelError(f"{pad.where} and {step.where} {error}") from error


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Makes of what numpy and Python raise, for operands that do not fit, a :class:`ModelError` that names the node."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        fact = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{where} cannot be made of its operands ({fact}); export it again") from error


def _output_size(step: Step, window: Window, shape: Shape) -> tuple[int, int]:
    try:
        return window.output_size(shape)
    except ModelError as error:
        raise ModelError(f"{step.where} {error}") from error
