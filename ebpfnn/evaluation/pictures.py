"""Samples and weights as pictures: PNG in memory, and data: URIs for a page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..network import QuantizedNetwork
from ..network.layers import Conv2d, Dense, Shape, Table

POSITIVE, NEGATIVE = (58, 126, 222), (224, 98, 42)
"""Blue and orange, which people with red-green color blindness can distinguish."""
_CELL, _GAP, _LINE = 112, 16, 17
_GROUND, _INK, _WRONG = (255, 255, 255), (30, 34, 42), (190, 60, 20)


def is_picture(shape: Shape) -> bool:
    """Whether a sample or window of ``shape`` can be shown: [rows, columns], or with 1 or 3 channels in front."""
    return len(shape) == 2 or (len(shape) == 3 and shape[0] in (1, 3))


def sample_image(sample: NDArray[np.uint8]) -> Image.Image:
    """A sample as an image, unchanged. It is uint8, of a shape for which :func:`is_picture` is true."""
    if sample.ndim == 2 or sample.shape[0] == 1:
        return Image.fromarray(np.ascontiguousarray(sample.reshape(sample.shape[-2:])))
    return Image.fromarray(np.ascontiguousarray(sample.transpose(1, 2, 0)))


def weight_images(network: QuantizedNetwork) -> Iterator[Image.Image]:
    """The weights of each output of the first layer: positive ones blue, negative ones orange, 0 transparent.

    A dense layer on images gives one picture per output, a convolution one per channel of its output, with the weights of the
    window. A layer of tables on images gives one per output with what each pixel adds by itself (:func:`single_effects`). Input
    channels are side by side. None if the input is not an image.
    """
    layer, given = network.layers[0], network.input_shape
    if isinstance(layer, Conv2d):
        shape, weights = layer.weights.shape[1:], layer.weights.astype(np.int64)
    elif len(given) > 1 and isinstance(layer, Dense | Table):
        shape, weights = given, layer.weights.astype(np.int64) if isinstance(layer, Dense) else single_effects(layer)
    else:
        return
    for each in weights:
        channels = np.pad(each.reshape(-1, *shape[-2:]), ((0, 0), (0, 0), (0, 1)))
        yield _diverging(np.hstack(list(channels))[:, :-1])


def single_effects(layer: Table) -> NDArray[np.int64]:
    """What each input adds by itself to each output, int64 [outputs, inputs].

    That is the row of its highest level, with all others of its group at 0, less row 0. What inputs of a group add only
    together is not in it.
    """
    members, effects = layer.order.shape[1], np.zeros((layer.outputs, layer.inputs), np.int64)
    rows = layer.tables.astype(np.int64)
    highest = (1 << layer.bits) - 1
    for place in range(members):
        alone = rows[:, highest << layer.bits * (members - 1 - place)] - rows[:, 0]
        there = layer.order[:, place] >= 0
        effects[:, layer.order[there, place]] = alone[there].T
    return effects


def _diverging(weights: NDArray[np.int64]) -> Image.Image:
    strength = np.abs(weights) / max(1, int(np.abs(weights).max()))
    pixels = np.empty((*weights.shape, 4), np.uint8)
    pixels[..., :3] = np.where((weights > 0)[..., None], POSITIVE, NEGATIVE)
    pixels[..., 3] = np.rint(255 * strength)
    return Image.fromarray(pixels)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def address(image: Image.Image) -> str:
    """A data: URI that shows ``image``."""
    return "data:image/png;base64," + base64.b64encode(png(image)).decode()


def grid(samples: NDArray[np.uint8], captions: list[tuple[str, str]], columns: int = 8) -> Image.Image:
    """Samples of a shape for which :func:`is_picture` is true, each above its true and its predicted label."""
    columns = max(1, min(columns, len(samples)))
    rows = max(1, -(-len(samples) // columns))
    wide, high = _CELL + _GAP, _CELL + 2 * _LINE + _GAP
    sheet = Image.new("RGB", (columns * wide + _GAP, rows * high + _GAP), _GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for number, (sample, (true, taken)) in enumerate(zip(samples, captions, strict=True)):
        left, top = _GAP + number % columns * wide, _GAP + number // columns * high
        sheet.paste(_fitted(sample_image(sample)), (left, top))
        for line, (words, color) in enumerate(((f"is {true}", _INK), (f"taken for {taken}", _WRONG))):
            draw.text((left, top + _CELL + 3 + line * _LINE), _shortened(words, draw, font), color, font)
    return sheet


def _shortened(words: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """As much of ``words`` as fits under a cell."""
    for length in range(len(words), 0, -1):
        shown = words if length == len(words) else words[:length] + "..."
        if draw.textlength(shown, font) <= _CELL:
            return shown
    return ""


def _fitted(image: Image.Image) -> Image.Image:
    """The whole image in a square cell, with square pixels."""
    scale = _CELL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    cell = Image.new("RGB", (_CELL, _CELL), _GROUND)
    cell.paste(image.resize(size, Image.Resampling.NEAREST), ((_CELL - size[0]) // 2, (_CELL - size[1]) // 2))
    return cell
