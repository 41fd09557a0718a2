"""A digit however it was taken comes out as MNIST would have drawn it. Pictures are drawn here, with Pillow."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ebpfnn.datasets import mnist
from ebpfnn.errors import InputError
from ebpfnn.preparation import strokes
from ebpfnn.preparation.components import components
from ebpfnn.preparation.glyph import Glyph, GlyphOptions, prepare_glyph, split_glyphs

Gray = NDArray[np.uint8]
SEVEN = [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]
TWO = [(0.25, 0.3), (0.4, 0.15), (0.65, 0.2), (0.65, 0.4), (0.25, 0.85), (0.75, 0.85)]


def ink(points: list[tuple[float, float]], size: int = 280, width: int = 26) -> NDArray[np.float64]:
    """Ink 0..1 [size, size], of a line through ``points``, as shares of the size."""
    large = Image.new("L", (4 * size, 4 * size))
    place = [(4 * size * x, 4 * size * y) for x, y in points]
    ImageDraw.Draw(large).line(place, fill=255, width=4 * width, joint="curve")
    return np.asarray(large.resize((size, size), Image.Resampling.BOX)) / 255


def on(ground: Any, strength: NDArray[np.float64], mark: float) -> Gray:
    """Ink of gray level ``mark`` on ``ground``."""
    marked: Gray = np.rint(ground * (1 - strength) + mark * strength).astype(np.uint8)
    return marked


def alike(one: Glyph, other: Glyph) -> float:
    """The cosine between two samples: 1 for the same ink at the same place."""
    a, b = one.pixels.astype(float).ravel(), other.pixels.astype(float).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


PLAIN = prepare_glyph(on(0, ink(SEVEN), 255))


def test_a_glyph_fills_20_pixels_and_has_its_mass_in_the_middle() -> None:
    rows, columns = (np.flatnonzero(PLAIN.pixels.max(axis=axis) > 50) for axis in (1, 0))
    assert rows[-1] - rows[0] + 1 == 20
    assert columns[-1] - columns[0] + 1 < 20
    for axis in (0, 1):
        weights = PLAIN.pixels.sum(axis=1 - axis, dtype=float)
        assert abs(weights @ np.arange(28) / weights.sum() - 14) <= 0.5


@pytest.mark.parametrize("size", [100, 280, 2000])
def test_sizes_are_told_in_pixels_of_the_picture(size: int) -> None:
    """SEVEN spans 0.5 by 0.65 of the picture, and its line adds a tenth."""
    (told,) = (note for note in prepare_glyph(on(255, ink(SEVEN, size, size // 10), 0)).notes if note.startswith("cropped"))
    width, height, columns, rows = map(int, re.findall("[0-9]+", told))
    assert (columns, rows) == (size, size)
    assert 0.5 * size < width < 0.7 * size
    assert 0.65 * size < height < 0.85 * size


def test_dark_ink_on_light_paper_is_inverted_and_said_to_be() -> None:
    made = prepare_glyph(on(255, ink(SEVEN), 0))
    assert alike(made, PLAIN) > 0.99
    assert "inverted (dark on light)" in made.notes
    assert "inverted (dark on light)" not in PLAIN.notes


@pytest.mark.parametrize(("ground", "mark"), [((230, 90), 20), ((20, 150), 255)], ids=["paper", "board"])
def test_a_gradient_is_taken_away(ground: tuple[int, int], mark: int) -> None:
    slope = np.linspace(*ground, 280)[None, :].repeat(280, axis=0)
    assert alike(prepare_glyph(on(slope, ink(SEVEN), mark)), PLAIN) > 0.97


def test_a_shadow_over_half_the_paper_is_taken_away() -> None:
    shadow = np.interp(np.arange(280) - np.arange(280)[:, None] * 0.3, [90, 110], [1, 0.6])
    made = prepare_glyph(on(220, ink(SEVEN), 30) * shadow.astype(np.float32) / 255)
    assert alike(made, PLAIN) > 0.95
    assert made.digits == 1


def test_noise_is_no_ink() -> None:
    noise = np.random.default_rng(0).normal(0, 20, (280, 280))
    made = prepare_glyph(np.clip(on(200, ink(SEVEN), 60) + noise, 0, 255).astype(np.uint8))
    assert alike(made, PLAIN) > 0.95
    assert "smoothed" in made.notes


def test_thin_strokes_become_as_wide_and_as_strong_as_mnists() -> None:
    thin = on(255, ink(SEVEN, width=3), 0)
    made, left = prepare_glyph(thin), prepare_glyph(thin, GlyphOptions(widen=False))
    assert strokes.width(made.pixels / np.float32(255)) == pytest.approx(strokes.LEAST, abs=0.4)
    assert np.percentile(made.pixels[made.pixels > 0], 75) > 200 > np.percentile(left.pixels[left.pixels > 0], 75)
    assert "strokes widened" in made.notes
    assert "strokes widened" not in left.notes


def test_a_marker_becomes_as_narrow_as_mnists() -> None:
    made = prepare_glyph(on(255, ink(SEVEN, width=60), 0))
    assert strokes.width(made.pixels / np.float32(255)) == pytest.approx(strokes.MOST, abs=0.5)
    assert "strokes narrowed" in made.notes


@pytest.mark.parametrize("width", [2, 5, 12, 30])
def test_the_width_of_a_bar_is_measured(width: int) -> None:
    bar = np.zeros((400, 60), np.float32)
    bar[20:380, 15 : 15 + width] = 1
    assert strokes.width(bar) == pytest.approx(width, rel=0.12)


@pytest.mark.parametrize("drawn", ["frame", "panel", "axes"])
def test_what_is_around_a_glyph_is_dropped(drawn: str) -> None:
    page = Image.fromarray(np.pad(on(255, ink(SEVEN), 0), 60, constant_values=255))
    pen = ImageDraw.Draw(page)
    if drawn == "panel":
        page.paste(Image.fromarray(on(0, ink(SEVEN), 255)), (60, 60))
    else:
        pen.rectangle((40, 40, 360, 360), outline=0, width=3)
    if drawn == "axes":
        for place in range(60, 360, 60):
            pen.line((place, 360, place, 366), fill=0, width=2)
            pen.text((place, 372), str(place), fill=0)
    made = prepare_glyph(np.asarray(page))
    assert alike(made, PLAIN) > 0.97
    assert "frame dropped" in made.notes


def test_specks_and_scratches_are_dropped_and_counted() -> None:
    picture = on(255, ink(SEVEN), 0)
    picture[20:25, 30:35] = picture[120:134, 85:99] = picture[200:202, 75:115] = 0
    made = prepare_glyph(picture)
    assert alike(made, PLAIN) > 0.99
    assert "3 pieces dropped" in made.notes


def test_a_bar_that_the_pen_left_apart_stays_with_its_digit() -> None:
    body, bar = ink([(0.3, 0.35), (0.3, 0.5), (0.6, 0.55), (0.6, 0.8), (0.3, 0.85)]), ink([(0.35, 0.2), (0.7, 0.2)])
    made = prepare_glyph(on(255, np.maximum(body, bar), 0))
    assert made.digits == 1
    assert made.pixels[:9].max() > 200
    assert not any("dropped" in note for note in made.notes)


def test_a_glyph_that_fills_its_picture_is_found() -> None:
    strength = ink(SEVEN)
    rows, columns = (np.flatnonzero(strength.max(axis=axis) > 0.5) for axis in (1, 0))
    made = prepare_glyph(on(255, strength[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 0))
    assert alike(made, PLAIN) > 0.95


def test_several_digits_are_said_and_split_in_reading_order() -> None:
    seven, two = ink(SEVEN), ink(TWO)
    page = on(255, np.block([[seven, two], [two, seven]]), 0)
    made = prepare_glyph(page)
    assert made.digits == 4
    assert "several digits: 4, of which the main one is taken" in made.notes
    found = split_glyphs(page)
    apart = [prepare_glyph(on(255, each, 0)) for each in (seven, two, two, seven)]
    assert len(found) == 4
    assert all(alike(each, wanted) > 0.98 for each, wanted in zip(found, apart, strict=True))
    assert [each.notes[1] for each in found] == [f"digit {number} of 4" for number in (1, 2, 3, 4)]


@pytest.mark.parametrize("picture", ["white", "black", "noise", "gradient"])
def test_a_picture_without_ink_is_blank(picture: str) -> None:
    noise = np.random.default_rng(1).normal(180, 6, (200, 200))
    slope = np.linspace(100, 200, 200)[None, :].repeat(200, axis=0)
    level = {"white": np.full((200, 200), 255), "black": np.zeros((200, 200)), "noise": noise, "gradient": slope}[picture]
    made = prepare_glyph(level.astype(np.uint8))
    assert made.digits == 0
    assert made.notes[-1] == "blank or no digit"
    assert made.pixels.shape == (28, 28)
    assert not made.pixels.any()
    assert split_glyphs(level.astype(np.uint8)) == []


def test_samples_of_mnist_are_taken_byte_for_byte_inverted_or_not() -> None:
    images, _ = mnist.read_test()
    same = [np.array_equal(prepare_glyph(image).pixels, image) for image in images]
    assert np.mean(same) > 0.97
    assert [np.array_equal(prepare_glyph(255 - image).pixels, image) for image in images] == same


def test_drawings_of_mnists_size_are_treated_like_any_other() -> None:
    line = np.full((28, 28), 255, np.uint8)
    line[4:24, 14] = 0
    made = prepare_glyph(line)
    assert strokes.width(made.pixels / np.float32(255)) == pytest.approx(strokes.LEAST, abs=0.4)


def test_a_given_polarity_is_not_guessed() -> None:
    square = np.zeros((60, 60), np.uint8)
    square[10:50, 25:32] = 255
    dark = prepare_glyph(255 - square, GlyphOptions(polarity="dark-on-light"))
    assert np.array_equal(dark.pixels, prepare_glyph(square, GlyphOptions(polarity="light-on-dark")).pixels)
    assert not np.array_equal(dark.pixels, prepare_glyph(255 - square, GlyphOptions(polarity="light-on-dark")).pixels)


def test_the_whole_picture_is_kept_where_cropping_is_off() -> None:
    corner = np.zeros((280, 280), np.uint8)
    corner[20:120, 40:60] = 255
    rows, columns = np.nonzero(prepare_glyph(corner, GlyphOptions(crop=False, center="box", widen=False)).pixels > 100)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 11, 4, 5)


@pytest.mark.parametrize("shape", [(28, 28), (14, 14), (32, 20), (8, 8)])
def test_a_sample_has_the_shape_that_is_asked_for(shape: tuple[int, int]) -> None:
    made = prepare_glyph(on(255, ink(SEVEN), 0), GlyphOptions(*shape))
    assert made.pixels.shape == shape
    assert made.pixels.dtype == np.uint8
    assert made.pixels.max() > 200


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_any_picture_gives_a_sample(picture: Gray) -> None:
    made = prepare_glyph(picture)
    assert made.pixels.shape == (28, 28)
    assert (made.digits == 0) == (not made.pixels.any())
    assert np.array_equal(made.pixels, prepare_glyph(picture).pixels)


def test_floats_from_0_to_1_are_as_bytes() -> None:
    picture = on(255, ink(SEVEN), 0)
    assert np.array_equal(prepare_glyph(picture / 255).pixels, prepare_glyph(picture).pixels)


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4), np.int64),
        np.full((4, 4), 2.0),
        np.full((4, 4), np.nan),
    ],
)
def test_what_is_no_picture_is_refused(picture: NDArray[Any]) -> None:
    with pytest.raises(InputError, match=r"^picture: "):
        prepare_glyph(picture)


def flooded(mask: NDArray[np.bool_]) -> list[set[tuple[int, int]]]:
    """The 8-connected pieces of a mask, by flood filling."""
    left, pieces = {(int(row), int(column)) for row, column in zip(*np.nonzero(mask), strict=True)}, []
    for start in sorted(left):
        if start not in left:
            continue
        piece, queue = {start}, deque([start])
        left.remove(start)
        while queue:
            row, column = queue.popleft()
            near = {(row + down, column + across) for down in (-1, 0, 1) for across in (-1, 0, 1)} & left
            left -= near
            piece |= near
            queue.extend(near)
        pieces.append(piece)
    return pieces


@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=16), elements=st.booleans()))
def test_pieces_are_those_that_flood_filling_finds(mask: NDArray[np.bool_]) -> None:
    found, wanted = components(mask), flooded(mask)
    assert found.count == len(wanted)
    for number, piece in enumerate(wanted):
        rows, columns = zip(*piece, strict=True)
        alone = found.mask(np.arange(found.count) == number)
        assert {(int(row), int(column)) for row, column in zip(*np.nonzero(alone), strict=True)} == piece
        assert found.areas[number] == len(piece)
        box = found.boxes[number]
        assert (box.top, box.left, box.bottom, box.right) == (min(rows), min(columns), max(rows) + 1, max(columns) + 1)
