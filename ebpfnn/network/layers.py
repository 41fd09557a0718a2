"""The layers of a quantized network: frozen dataclasses over numpy arrays, which check themselves.

docs/quantization.md derives what they compute; :mod:`ebpfnn.network.reference` computes it.

Values between layers are one byte each, laid out as PyTorch does: [channels, rows, columns], or flat. A sample of two
dimensions has one channel. An average pool needs no layer of its own: it is a depthwise convolution of ones
(equation 16).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

import numpy as np
from numpy.typing import NDArray

# Every layer can be imported from here: "as" says that it is meant.
from .errorlayer import SquaredError as SquaredError
from .joins import Add as Add
from .joins import Concat as Concat
from .joins import Join as Join
from .requantization import INT32_MAX as INT32_MAX
from .requantization import INT32_MIN as INT32_MIN
from .requantization import LARGEST_SIZE as LARGEST_SIZE
from .requantization import MAX_SHIFT as MAX_SHIFT
from .requantization import Requantization as Requantization
from .requantization import Shape as Shape
from .requantization import describe as describe
from .requantization import expect as expect
from .requantization import image_shape as image_shape

MOST_OCCUPIED = 1024
"""The most calibration samples that a table layer tells the occupied groups of."""


@dataclass(frozen=True, eq=False)
class Dense:
    """A fully connected layer: ``acc = weights @ x + bias`` over the flattened input (equation 4).

    ``weights`` is int8 [outputs, inputs], symmetric in -127..127 with one scale an output; ``bias`` int32 [outputs].
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requantization: Requantization

    def __post_init__(self) -> None:
        _check_weights(self.weights, self.bias, self.requantization, 2, "[outputs, inputs]")

    @property
    def inputs(self) -> int:
        """Values of one sample that the layer takes."""
        return int(self.weights.shape[1])

    @property
    def outputs(self) -> int:
        """Values of one sample that the layer gives."""
        return int(self.weights.shape[0])

    def output_shape(self, shape: Shape) -> Shape:
        """Raises :class:`ModelError` where ``shape`` does not hold ``inputs`` values."""
        expect(prod(shape) == self.inputs, f"takes {self.inputs} values but is given {describe(shape)}")
        return (self.outputs,)

    def macs(self, shape: Shape) -> int:
        """Multiplications of one sample of ``shape``."""
        return int(self.weights.size)


@dataclass(frozen=True)
class Window:
    """How a window of ``kernel`` (rows, columns) moves over an image: by ``stride``, over an edge of ``padding``.

    ``padding`` is (top, left, bottom, right). Raises :class:`ModelError` for a window that cannot be: an edge as wide as the
    window would hold nothing but padding.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def __post_init__(self) -> None:
        expect(len(self.kernel) == 2 and min(self.kernel) >= 1, "kernel must be (rows, columns), each 1 or more")
        expect(len(self.stride) == 2 and min(self.stride) >= 1, "stride must be (rows, columns), each 1 or more")
        sides = zip(self.padding, self.kernel * 2, strict=True) if len(self.padding) == 4 else [(1, 0)]
        expect(all(0 <= edge < size for edge, size in sides), "padding must be (top, left, bottom, right), below the kernel")

    def output_size(self, shape: Shape) -> tuple[int, int]:
        """Rows and columns of the output for an image of ``shape``. Raises :class:`ModelError` where none would be left."""
        top, left, bottom, right = self.padding
        rows, columns = shape[-2] + top + bottom - self.kernel[0], shape[-1] + left + right - self.kernel[1]
        expect(rows >= 0 and columns >= 0, f"has a window larger than its input, {describe(shape)}")
        padded = (shape[-2] + top + bottom) * (shape[-1] + left + right)
        expect(
            padded <= LARGEST_SIZE, f"pads its input, {describe(shape)}, to {padded} values; at most {LARGEST_SIZE} are taken"
        )
        return rows // self.stride[0] + 1, columns // self.stride[1] + 1


@dataclass(frozen=True, eq=False)
class Conv2d:
    """A convolution: each output of a channel is a dense layer over a window (equation 14).

    ``weights`` is int8 ``[channels, input channels / groups, *window.kernel]`` in -127..127; ``bias`` int32 [channels]. Output
    channel ``c`` sees the input channels of group ``c // (channels / groups)``. ``pad_value`` is what stands in the padding:
    the zero point of the input.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requantization: Requantization
    window: Window
    groups: int = 1
    pad_value: int = 0

    def __post_init__(self) -> None:
        _check_weights(self.weights, self.bias, self.requantization, 4, "[channels, input channels, rows, columns]")
        expect(self.weights.shape[2:] == self.window.kernel, "weights must have the window's rows and columns")
        expect(
            self.groups >= 1 and self.outputs % self.groups == 0,
            f"{self.outputs} channels do not split in {self.groups} groups",
        )

    @property
    def inputs(self) -> int:
        """Input channels."""
        return int(self.weights.shape[1]) * self.groups

    @property
    def outputs(self) -> int:
        """Output channels."""
        return int(self.weights.shape[0])

    def output_shape(self, shape: Shape) -> Shape:
        """Raises :class:`ModelError` where ``shape`` is not an image of ``inputs`` channels, or smaller than the window."""
        expect(image_shape(shape)[0] == self.inputs, f"takes {self.inputs} channels but is given {describe(shape)}")
        return (self.outputs, *self.window.output_size(shape))

    def macs(self, shape: Shape) -> int:
        """Multiplications of one sample of ``shape``, those with padding included."""
        return int(self.weights.size) * prod(self.output_shape(shape)[1:])


@dataclass(frozen=True)
class MaxPool:
    """The largest value of each window, channel by channel (equation 15).

    Padding is ignored, as if it were smaller than any value.
    """

    window: Window

    def output_shape(self, shape: Shape) -> Shape:
        """Raises :class:`ModelError` where ``shape`` is not an image, or is smaller than the window."""
        return (image_shape(shape)[0], *self.window.output_size(shape))

    def macs(self, shape: Shape) -> int:
        """None: it compares."""
        return 0


@dataclass(frozen=True)
class ByteLanes:
    """How the sums of a table layer become bytes: eight sums lie in the bytes of a 64-bit word (equation 20).

    A byte holds ``128 + acc`` modulo 2^64 of the word, and an output is that byte shifted right by ``shift``, 0..7. So a sum
    outside -128..127 wraps, and carries into the next output of its word. With ``exact``, a network is refused if one could.

    Raises :class:`ModelError` for a shift out of range.
    """

    shift: int = 0
    exact: bool = False

    def __post_init__(self) -> None:
        expect(0 <= self.shift <= 7, "shift of byte lanes must lie in 0..7")

    @property
    def lowest(self) -> int:
        """The least output."""
        return 0

    @property
    def highest(self) -> int:
        """The largest output."""
        return 255 >> self.shift

    low, high = lowest, highest

    @property
    def one_byte(self) -> bool:
        """Always: as :attr:`Requantization.one_byte`."""
        return True


@dataclass(frozen=True, eq=False)
class Table:
    """A layer of tables: the levels of a group of inputs select a row of its table, and the rows are added (equation 19).

    ``tables`` is int16 [groups, rows, outputs] with 2^(members * ``bits``) rows, 256 at most; ``bias`` int32 [outputs].
    ``order``, int32 [groups, members], has the inputs of each group, all exactly once; -1 stands where a group has fewer. An
    input's level is what it is above ``low``, in ``bits``; the first of a group is the most significant in the row's number.

    ``occupied``, uint8 [n, groups / 8 rounded up], tells which groups of 0 to 1,024 calibration samples selected another row
    than 0, as numpy.packbits does. Only the planning of branches reads it.

    Raises :class:`ModelError` where these do not fit.
    """

    tables: NDArray[np.int16]
    bias: NDArray[np.int32]
    order: NDArray[np.int32]
    requantization: Requantization | ByteLanes
    bits: int = 1
    low: int = 0
    occupied: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))

    def __post_init__(self) -> None:
        expect(1 <= self.bits <= 8, f"{self.bits} bits an input; a table takes 1 to 8")
        expect(
            self.order.dtype == np.int32 and self.order.ndim == 2 and self.order.size > 0,
            "order must be int32 [groups, members]",
        )
        expect(self.order.size <= LARGEST_SIZE, f"order must hold at most {LARGEST_SIZE} inputs")
        groups, members = self.order.shape
        reach = members * self.bits
        expect(reach <= 8, f"has groups of {members} inputs of {self.bits} bits, {reach} bits; a group has at most 8")
        inputs = np.sort(self.order[self.order >= 0])
        every = self.order.min() >= -1 and inputs.size > 0 and np.array_equal(inputs, np.arange(inputs.size))
        expect(bool(every), "order must name each input exactly once, and -1 where a group has fewer members")
        shape, outputs = self.tables.shape, self.outputs
        expect(
            self.tables.dtype == np.int16 and self.tables.ndim == 3 and shape[:2] == (groups, 1 << reach) and outputs > 0,
            f"tables must be int16 [{groups}, {1 << reach}, outputs]",
        )
        expect(self.tables.size <= LARGEST_SIZE, f"tables must hold at most {LARGEST_SIZE} values")
        expect(self.bias.dtype == np.int32 and self.bias.shape == (outputs,), f"bias must be int32 [{outputs}]")
        by = self.requantization
        expect(isinstance(by, ByteLanes) or by.channels == outputs, f"multipliers must be int32 [{outputs}]")
        expect(
            isinstance(by, ByteLanes) or by.activation is None, "has an activation table, which a layer of tables cannot have"
        )
        self._check_occupied(groups)

    def _check_occupied(self, groups: int) -> None:
        known = self.occupied.dtype == np.uint8 and self.occupied.ndim == 2
        samples = len(self.occupied) if known else 0
        fits = known and (samples == 0 or self.occupied.shape[1] == -(-groups // 8))
        expect(fits and samples <= MOST_OCCUPIED, f"occupied must be uint8 [0..{MOST_OCCUPIED}, {-(-groups // 8)}]")

    @property
    def inputs(self) -> int:
        """Values of one sample that the layer takes."""
        return int((self.order >= 0).sum())

    @property
    def outputs(self) -> int:
        """Values of one sample that the layer gives."""
        return int(self.tables.shape[-1])

    @property
    def groups(self) -> int:
        """Rows that one sample adds."""
        return len(self.order)

    def output_shape(self, shape: Shape) -> Shape:
        """As :meth:`Dense.output_shape`."""
        expect(prod(shape) == self.inputs, f"takes {self.inputs} values but is given {describe(shape)}")
        return (self.outputs,)

    def macs(self, shape: Shape) -> int:
        """None: it adds."""
        return 0


Weighted = Dense | Conv2d
Single = Dense | Conv2d | MaxPool | Table
Layer = Single | Join | SquaredError
Unscaled = MaxPool | SquaredError
"""Layers without parameters: their outputs need no multipliers."""


def accumulator_bound(layer: Weighted | Table, low: int, high: int) -> int:
    """The largest magnitude an accumulator of ``layer`` can reach for inputs in ``low..high`` (equations 7 and 21)."""
    if isinstance(layer, Table):
        reach = np.abs(layer.tables.astype(np.int64)).max(axis=1).sum(axis=0)
    else:
        reach = np.abs(layer.weights.astype(np.int64)).reshape(layer.outputs, -1).sum(axis=1) * max(abs(low), abs(high))
    return int((reach + np.abs(layer.bias.astype(np.int64))).max())


def _check_weights(weights: NDArray[np.int8], bias: NDArray[np.int32], by: Requantization, rank: int, axes: str) -> None:
    expect(weights.dtype == np.int8 and weights.ndim == rank, f"weights must be int8 {axes}")
    expect(0 < weights.size <= LARGEST_SIZE, f"weights must hold 1 to {LARGEST_SIZE} values")
    expect(int(weights.min()) >= -127, "weights must lie in -127..127")
    outputs = len(weights)
    expect(bias.dtype == np.int32 and bias.shape == (outputs,), f"bias must be int32 [{outputs}]")
    expect(by.channels == outputs, f"multipliers must be int32 [{outputs}]")
