"""What a network computes, written a second time: slowly, in Python's own integers, sample by sample and place by place.

It shares no code with :mod:`ebpfnn.network.reference`. Integers cannot overflow here, and a floor division stands for the
shift.
"""

from __future__ import annotations

from math import prod

from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Conv2d, Dense, MaxPool, Requantization, Window

Image = list[list[list[int]]]


def scores(net: QuantizedNetwork, pixels: list[int]) -> list[int]:
    """The scores of one sample, its pixels in a row."""
    values, shape = levels(net.input, pixels), net.input.shape
    for layer in net.layers:
        if isinstance(layer, Dense):
            values, shape = dense(layer, values), (layer.outputs,)
        else:
            channels, rows, columns = (1, *shape)[-3:]
            image = nested(values, channels, rows, columns)
            given = conv2d(layer, image) if isinstance(layer, Conv2d) else [pool(layer, channel) for channel in image]
            shape = (len(given), len(given[0]), len(given[0][0]))
            values = [value for channel in given for row in channel for value in row]
    assert len(values) == prod(shape)
    return values


def levels(form: InputFormat, pixels: list[int]) -> list[int]:
    if form.bits == 8:
        return pixels
    thresholds = form.value_thresholds or (form.thresholds,) * len(pixels)
    return [sum(pixel >= each for each in own) for pixel, own in zip(pixels, thresholds, strict=True)]


def packed(form: InputFormat, pixels: list[int]) -> list[int]:
    """The bytes of a packed sample, by way of its bits as text."""
    digits = [f"{each:0{form.bits}b}" for each in levels(form, pixels)]
    per_byte = 8 // form.bits
    groups = [digits[first : first + per_byte] for first in range(0, len(digits), per_byte)]
    filled = [group + ["0" * form.bits] * (per_byte - len(group)) for group in groups]
    return [int("".join(group if form.bit_order == "big" else group[::-1]), 2) for group in filled]


def dense(layer: Dense, values: list[int]) -> list[int]:
    rows = zip(layer.weights.tolist(), layer.bias.tolist(), strict=True)
    sums = [bias + sum(w * x for w, x in zip(row, values, strict=True)) for row, bias in rows]
    return [requantize(layer.requantization, channel, each) for channel, each in enumerate(sums)]


def conv2d(layer: Conv2d, image: Image) -> Image:
    per_group = layer.outputs // layer.groups
    return [channel_of(layer, image, channel, channel // per_group) for channel in range(layer.outputs)]


def channel_of(layer: Conv2d, image: Image, channel: int, group: int) -> list[list[int]]:
    weights, bias = layer.weights[channel].tolist(), int(layer.bias[channel])
    first = group * len(weights)
    rows, columns = places(layer.window, len(image[0]), len(image[0][0]))
    out = []
    for y in rows:
        out.append([])
        for x in columns:
            total = bias
            for i, kernel in enumerate(weights):
                for r, line in enumerate(kernel):
                    for c, weight in enumerate(line):
                        total += weight * at(image[first + i], y + r, x + c, layer.pad_value)
            out[-1].append(requantize(layer.requantization, channel, total))
    return out


def pool(layer: MaxPool, channel: list[list[int]]) -> list[list[int]]:
    window = layer.window
    rows, columns = places(window, len(channel), len(channel[0]))
    offsets = [(r, c) for r in range(window.kernel[0]) for c in range(window.kernel[1])]
    return [[max(at(channel, y + r, x + c, -1000) for r, c in offsets) for x in columns] for y in rows]


def places(window: Window, rows: int, columns: int) -> tuple[range, range]:
    """Where a window begins: as long as all of it lies within the image and its edges."""
    top, left, bottom, right = window.padding
    return (
        range(-top, rows + bottom - window.kernel[0] + 1, window.stride[0]),
        range(-left, columns + right - window.kernel[1] + 1, window.stride[1]),
    )


def at(channel: list[list[int]], row: int, column: int, outside: int) -> int:
    inside = 0 <= row < len(channel) and 0 <= column < len(channel[0])
    return channel[row][column] if inside else outside


def requantize(by: Requantization, channel: int, accumulator: int) -> int:
    multiplier = int((by.negative if accumulator < 0 else by.positive)[channel])
    rounded = (accumulator * multiplier + 2 ** (by.shift - 1)) // 2**by.shift
    return min(max(rounded + by.zero_point, by.low), by.high)


def nested(values: list[int], channels: int, rows: int, columns: int) -> Image:
    supply = iter(values)
    return [[[next(supply) for _ in range(columns)] for _ in range(rows)] for _ in range(channels)]
