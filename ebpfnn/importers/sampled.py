"""How samples lie of a graph whose channels come last.

A picture becomes channels first, as every preparation of pictures gives it. Anything else stays as the graph has it: seen as an
image of one channel, whose columns are the channels of each place, the first convolution reads the same bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ..network.layers import Shape, Window, describe, expect
from .layout import channels_last
from .steps import Chain, Conv, Integers, Quantize, Scale

_COLORS = 3


def settle(chain: Chain) -> None:
    """Makes the input of ``chain`` what samples are, and notes it.

    Raises :class:`ModelError` if axes are moved in another way.
    """
    shape, places = chain.input_shape, chain.places
    if places is None:
        return
    fact = f"moves the axes of its input, {describe(chain.graph_shape)}, otherwise than channels to the front"
    expect(channels_last(places, shape), f"{fact}; export it as images of channels, rows and columns")
    channels, rows, columns = shape
    given = describe((rows, columns, channels)) if columns > 1 else describe((rows, channels))
    first = next((at for at, step in enumerate(chain.steps) if not _plain(step)), 0)
    step = chain.steps[first] if chain.steps else None
    if channels == _COLORS or not isinstance(step, Conv) or step.groups != 1:
        chain.notes.append(f"samples are {describe(shape)}, channels first; arrays of {given} are taken too")
    else:
        chain.begin_as((1, rows, columns * channels), None)
        chain.steps[first] = _interleaved(step, channels)
        chain.shape = _last_shape(chain)
        chain.notes.append(f"samples lie as the graph takes them, {given}")
    chain.places = None


def _plain(step: object) -> bool:
    """Whether it does the same to all values."""
    return isinstance(step, Quantize) or (isinstance(step, Scale) and step.factor.size == step.offset.size == 1)


def _interleaved(step: Conv, channels: int) -> Conv:
    """``step`` over an image of one channel, in which the ``channels`` of each place lie side by side."""

    def change(array: NDArray[Any]) -> NDArray[Any]:
        outputs, _, rows, columns = array.shape
        side_by_side: NDArray[Any] = array.transpose(0, 2, 3, 1).reshape(outputs, 1, rows, columns * channels)
        return side_by_side

    over, held = step.window, step.integers
    top, left, bottom, right = over.padding
    window = Window(
        (over.kernel[0], over.kernel[1] * channels),
        (over.stride[0], over.stride[1] * channels),
        (top, left * channels, bottom, right * channels),
    )
    whole = Integers(change(held.values), held.scale) if held else None
    return replace(step, weights=change(step.weights), window=window, integers=whole)


def _last_shape(chain: Chain) -> Shape:
    shape = chain.input_shape
    for step in chain.steps:
        shape = step.output_shape(shape)
    return shape
