"""Decoding and fitting: whatever the file, a glyph comes out as MNIST would have drawn it."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFile
from prepared import sample

from ebpfnn.errors import InputError
from ebpfnn.plugin import Sample

SHAPE = (28, 28)


def glyph() -> NDArray[np.uint8]:
    """A 7 as MNIST has them: 20 rows, its center of mass in the middle."""
    large = Image.new("L", (280, 280))
    draw = ImageDraw.Draw(large)
    draw.line([(75, 50), (205, 50), (120, 230)], fill=255, width=22, joint="curve")
    return sample(encode(np.array(large)), SHAPE, "glyph").data


def encode(pixels: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def enlarged(pixels: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    return np.kron(pixels, np.ones((times, times), np.uint8))


def fit(data: bytes, shape: tuple[int, ...] = SHAPE) -> Sample:
    return sample(data, shape, "digit.png")


def near(fitted: NDArray[np.uint8], expected: NDArray[np.uint8]) -> bool:
    """The same ink at the same place: strokes may be a shade softer."""
    a, b = fitted.astype(float).ravel(), expected.astype(float).ravel()
    return float(a @ b / np.sqrt((a @ a) * (b @ b))) > 0.95


def test_a_picture_of_the_networks_shape_is_taken_pixel_for_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
    pixels[0] = pixels[-1] = 0
    pixels[:, 0] = pixels[:, -1] = 0
    fitted = fit(encode(pixels))
    assert np.array_equal(fitted.data, pixels)
    assert fitted.data.dtype == np.uint8
    assert fitted.data.flags.c_contiguous
    assert fitted.notes == ()


def test_dark_ink_on_light_paper_is_inverted_and_said_to_be() -> None:
    fitted = fit(encode(255 - glyph()))
    assert np.array_equal(fitted.data, glyph())
    assert fitted.notes == ("inverted (dark on light)",)


@pytest.mark.parametrize("times", [2, 3, 10, 40])
@pytest.mark.parametrize("inverted", [False, True])
def test_an_enlarged_glyph_comes_back_as_it_was(times: int, inverted: bool) -> None:
    large = enlarged(glyph(), times)
    fitted = fit(encode(255 - large if inverted else large))
    assert np.abs(fitted.data.astype(int) - glyph()).max() <= 1
    size = 28 * times
    assert (
        fitted.notes[-1] == f"{size}x{size} cropped to ink, scaled to {np.ptp(np.flatnonzero(glyph().any(0))) + 1}x20, centered"
    )


@pytest.mark.parametrize(("row", "column"), [(0, 0), (5, 130), (92, 172)])
def test_where_the_glyph_stands_does_not_matter(row: int, column: int) -> None:
    page = np.zeros((120, 200), np.uint8)
    page[row : row + 28, column : column + 28] = glyph()
    assert np.array_equal(fit(encode(page)).data, glyph())


def test_a_photograph_of_ink_on_paper_is_read() -> None:
    rng = np.random.default_rng(0)
    ink = np.zeros((600, 800))
    ink[60:508, 200:648] = enlarged(glyph(), 16) / 255
    paper = 190 + np.linspace(-20, 20, 800) + rng.normal(0, 8, ink.shape)
    photograph = np.clip(paper * (1 - ink) + 45 * ink, 0, 255).astype(np.uint8)
    fitted = fit(encode(photograph, "JPEG", quality=80))
    assert near(fitted.data, glyph())
    assert any(note.startswith("contrast stretched from ") for note in fitted.notes)


def test_a_grey_scan_is_stretched_to_full_contrast() -> None:
    fitted = fit(encode((100 + enlarged(glyph(), 10) / 255 * 60).astype(np.uint8)))
    assert near(fitted.data, glyph())
    assert fitted.data.max() > 240


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (20, 40)])
def test_other_shapes_are_filled_in_the_same_proportion(shape: tuple[int, int]) -> None:
    fitted = fit(encode(enlarged(glyph(), 10)), shape)
    assert fitted.data.shape == shape
    assert np.ptp(np.flatnonzero(fitted.data.any(axis=1))) + 1 == pytest.approx(min(shape) * 20 / 28, abs=1)


@pytest.mark.parametrize("level", [0, 100, 255])
@pytest.mark.parametrize("size", [28, 1, 300])
def test_a_blank_picture_is_all_zeros(level: int, size: int) -> None:
    fitted = fit(encode(np.full((size, size), level, np.uint8)))
    assert not fitted.data.any()
    assert fitted.warnings == ("blank",)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16", "F"])
def test_modes_of_pixels(mode: str) -> None:
    large = enlarged((glyph() > 127).astype(np.uint8) * 255, 10)
    image = Image.fromarray(large.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(large).convert(mode)
    assert image.mode == mode
    out = io.BytesIO()
    image.save(out, "TIFF" if mode in ("CMYK", "F") else "PNG")
    assert np.array_equal(fit(out.getvalue()).data, fit(encode(large)).data)


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_ink_on_a_transparent_ground_is_seen_whatever_its_color(ink: int, mode: str) -> None:
    image = Image.new("L", SHAPE, ink).convert(mode)
    image.putalpha(Image.fromarray(glyph()))
    assert np.array_equal(fit(encode(np.array(image))).data, glyph())


def test_a_transparent_palette_color_is_ground() -> None:
    image = Image.fromarray((glyph() > 127).astype(np.uint8)).convert("P")
    image.putpalette([255, 255, 255, 255, 255, 255])
    out = io.BytesIO()
    image.save(out, "PNG", transparency=0)
    assert np.array_equal(fit(out.getvalue()).data > 127, glyph() > 127)


def test_a_picture_without_one_opaque_pixel_is_blank() -> None:
    assert fit(encode(np.zeros((30, 30, 4), np.uint8))).warnings == ("blank",)


def test_the_camera_was_held_sideways() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    assert np.array_equal(fit(encode(np.rot90(glyph()), exif=exif)).data, glyph())


def test_the_first_frame_of_an_animation_is_read() -> None:
    frames = [Image.fromarray(glyph()), Image.fromarray(255 - glyph())]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(fit(out.getvalue()).data, glyph())


def png_that_claims(columns: int, rows: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, body)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + b"\0\0\0\0IEND\xaeB`\x82"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("columns", "rows", "told"), [(50000, 50000, "50,000 x 50,000"), (10000, 9500, "10,000 x 9,500")])
def test_a_picture_too_large_to_decode_is_refused_by_its_size(columns: int, rows: int, told: str) -> None:
    with pytest.raises(InputError, match=f"^digit.png: {told} pixels; 33,554,432 pixels are the limit, so scale it down$"):
        fit(png_that_claims(columns, rows))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF"])
@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_picture_is_refused(kind: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), dtype=np.uint8)
    data = encode(noise, kind)
    with pytest.raises(InputError, match=r"^digit.png: [^\n]*; give a "):
        fit(data[: int(len(data) * part)])


@pytest.mark.parametrize("data", [b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", b"\x89PNG\r\n\x1a\n"])
def test_what_pillow_does_not_know_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^digit\.png: not an image of a known format; give a PNG"):
        fit(data)


def test_an_empty_file_is_told_to_be_empty() -> None:
    with pytest.raises(InputError, match=r"^digit\.png: empty; give a PNG"):
        fit(b"")


@pytest.mark.parametrize("shape", [(783,), (2, 28, 28)])
def test_a_network_that_takes_no_picture_is_told_so(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"^digit\.png: a sample of 28x28, but the network takes "):
        fit(encode(glyph()), shape)


def test_pillows_settings_are_left_as_they_were() -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    fit(encode(glyph()))
    with pytest.raises(InputError):
        fit(b"no image")
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(["PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF"]), st.data())
def test_damaged_files_are_fitted_or_refused_and_nothing_else(kind: str, data: st.DataObject) -> None:
    damaged = bytearray(encode(enlarged(glyph(), 2), kind))
    for at in data.draw(st.lists(st.integers(0, min(len(damaged), 200) - 1), max_size=5)):
        damaged[at] = data.draw(st.integers(0, 255))
    try:
        outcome = str(fit(bytes(damaged)).data.shape)
    except InputError as error:
        outcome = str(error)
    assert outcome == "(28, 28)" or (outcome.startswith("digit.png: ") and "\n" not in outcome)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1), st.integers(0, 255))
@settings(deadline=None)
def test_any_pixels_fit(rows: int, columns: int, seed: int, threshold: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (rows, columns), dtype=np.uint8) * (rng.integers(0, 256, (rows, columns)) > threshold)
    assert fit(encode(pixels.astype(np.uint8))).data.shape == SHAPE


def test_the_center_of_mass_comes_to_the_center() -> None:
    page = np.zeros((100, 140), np.uint8)
    page[10:50, 20:30] = page[40:50, 20:50] = 255
    ink = fit(encode(page)).data.astype(float)
    for axis in (0, 1):
        assert abs((ink.sum(axis=1 - axis) * np.arange(28)).sum() / ink.sum() - 14) <= 0.5


def test_specks_on_noisy_paper_are_no_ink() -> None:
    rng = np.random.default_rng(0)
    page = rng.normal(200, 3, (280, 280)) - enlarged(glyph(), 10) / 255 * 160
    page[5, 5] = page[270, 8] = page[9, 262] = 0
    assert near(fit(encode(page.astype(np.uint8))).data, glyph())
