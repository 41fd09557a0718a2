"""Levels and packed samples, against numpy.packbits and against bits written as text."""

from __future__ import annotations

import definitions
import numpy as np
import pytest
from networks import THRESHOLDS, input_format, own_format, samples

from ebpfnn.errors import InputError
from ebpfnn.network import encoding
from ebpfnn.network.inputformat import InputFormat

SHAPES = [(1,), (7,), (8,), (3, 5), (2, 3, 4)]
FORMS = [
    input_format(shape, bits, packed=packed, bit_order=bit_order)
    for shape in SHAPES
    for bits in (1, 2, 4, 8)
    for packed in ({False, bits < 8})
    for bit_order in ("big", "little")
]
FORMS += [
    own_format(size, bits, 1, packed=packed, bit_order=bit_order)
    for size in (1, 7, 8, 13)
    for bits in (1, 2, 4)
    for packed in (False, True)
    for bit_order in ("big", "little")
]


def name(form: InputFormat) -> str:
    own = ", own thresholds" if form.value_thresholds else ""
    return f"{form.shape}, {form.bits} bits{own}, {form.bit_order if form.packed else 'not packed'}"


@pytest.mark.parametrize("form", FORMS, ids=name)
def test_levels_and_bytes_are_those_of_the_definition(form: InputFormat) -> None:
    pixels = samples(form.shape, seed=1)
    flat = pixels.reshape(len(pixels), -1).tolist()
    levels = np.array([definitions.levels(form, row) for row in flat], np.uint8)
    encoded = np.array([definitions.packed(form, row) for row in flat], np.uint8) if form.packed else flat
    assert encoding.levels(form, pixels).tolist() == levels.reshape(pixels.shape).tolist()
    assert encoding.encode(form, pixels).tolist() == np.asarray(encoded).tolist()
    assert encoding.encode(form, pixels).shape == (len(pixels), form.sample_bytes)
    assert encoding.decode(form, encoding.encode(form, pixels)).tolist() == encoding.levels(form, pixels).tolist()


@pytest.mark.parametrize("form", FORMS, ids=name)
def test_one_sample_is_one_of_many(form: InputFormat) -> None:
    pixels = samples(form.shape, seed=2)
    encoded = encoding.encode(form, pixels)
    assert encoding.levels(form, pixels[3]).tolist() == encoding.levels(form, pixels)[3].tolist()
    assert encoding.encode(form, pixels[3]).tolist() == encoded[3].tolist()
    assert encoding.decode(form, encoded[3]).tolist() == encoding.levels(form, pixels[3]).tolist()
    assert encoding.encode(form, pixels[:0]).shape == (0, form.sample_bytes)
    assert encoding.decode(form, encoded[:0]).shape == (0, *form.shape)


@pytest.mark.parametrize("bit_order", ["big", "little"])
@pytest.mark.parametrize("size", [1, 8, 9, 784])
def test_one_bit_lies_as_numpy_packs_it(bit_order: str, size: int) -> None:
    pixels = samples(size, seed=3)
    form = input_format((size,), 1, packed=True, bit_order=bit_order)
    expected = np.packbits(pixels >= THRESHOLDS[1][0], axis=-1, bitorder=bit_order)
    assert encoding.encode(form, pixels).tolist() == expected.tolist()


def test_a_pixel_at_a_threshold_reaches_it() -> None:
    form = InputFormat((4,), 2, (10, 11, 255))
    pixels = np.array([[9, 10, 11, 12], [254, 255, 0, 1]], np.uint8)
    assert encoding.levels(form, pixels).tolist() == [[0, 1, 2, 2], [2, 3, 0, 0]]


def test_a_pixel_counts_the_thresholds_of_its_own_value() -> None:
    form = InputFormat((4,), 2, value_thresholds=((10, 11, 255), (7, 7, 256), (1, 1, 1), (256, 256, 256)))
    pixels = np.array([[9, 6, 0, 0], [10, 7, 1, 255], [255, 255, 255, 7]], np.uint8)
    assert encoding.levels(form, pixels).tolist() == [[0, 0, 0, 0], [1, 2, 3, 0], [3, 2, 3, 0]]


def test_what_fills_the_last_byte_is_not_looked_at() -> None:
    form = input_format((3,), 1, packed=True)
    assert encoding.decode(form, np.array([[0b10111111]], np.uint8)).tolist() == [[1, 0, 1]]


def test_pixels_that_lie_in_order_are_not_copied() -> None:
    form, pixels = input_format((3, 5), 8), samples((3, 5), seed=4)
    assert np.shares_memory(encoding.encode(form, pixels), pixels)
    assert encoding.levels(form, pixels) is pixels
    assert encoding.encode(form, pixels[:, ::-1]).tolist() == pixels[:, ::-1].reshape(16, 15).tolist()


@pytest.mark.parametrize(
    "given", [np.zeros((3, 5)), np.zeros((5, 3), np.uint8), np.zeros(15, np.uint8), np.zeros((), np.uint8)]
)
def test_other_samples_are_refused(given: np.ndarray) -> None:
    for packed in (False, True):
        form = input_format((3, 5), 1, packed=packed)
        for what in (encoding.levels, encoding.encode):
            with pytest.raises(InputError, match=r"samples: .*; give uint8 \[3, 5\] or \[n, \*\[3, 5\]\]"):
                what(form, given)


def test_other_encoded_samples_are_refused() -> None:
    with pytest.raises(InputError, match=r"samples: uint8 \[15\]; give uint8 \[2\]"):
        encoding.decode(input_format((3, 5), 1, packed=True), np.zeros(15, np.uint8))
