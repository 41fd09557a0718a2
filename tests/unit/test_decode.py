"""Decoding: whatever the file, the pixels are those that it shows."""

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
from prepared import plugins, sample

from ebpfnn.errors import InputError
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.plugin import Sample
from ebpfnn.preparation.decode import picture, pictures

SHAPE = (28, 28)


def glyph() -> NDArray[np.uint8]:
    """A 7, light on black."""
    large = Image.new("L", (280, 280))
    draw = ImageDraw.Draw(large)
    draw.line([(75, 50), (205, 50), (120, 230)], fill=255, width=22, joint="curve")
    return np.asarray(large.reduce(10))


def encode(pixels: NDArray[Any], kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def gray(data: bytes) -> NDArray[np.uint8]:
    return picture(data, "digit.png").gray()


def fit(data: bytes, shape: tuple[int, ...] = SHAPE) -> Sample:
    return sample(data, shape, "digit.png")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16", "F"])
def test_modes_of_pixels(mode: str) -> None:
    pixels = (glyph() > 127).astype(np.uint8) * 255
    image = Image.fromarray(pixels.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    assert image.mode == mode
    out = io.BytesIO()
    image.save(out, "TIFF" if mode in ("CMYK", "F") else "PNG")
    assert np.array_equal(gray(out.getvalue()), pixels)
    assert np.array_equal(picture(out.getvalue(), "x").color(), np.repeat(pixels[..., None], 3, axis=2))


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_ink_on_a_transparent_ground_is_seen_whatever_its_color(ink: int, mode: str) -> None:
    """The ground is what lets it be seen: white under dark ink, black under light ink."""
    image = Image.new("L", SHAPE, ink).convert(mode)
    image.putalpha(Image.fromarray(glyph()))
    assert np.array_equal(gray(encode(np.array(image))), glyph() if ink else 255 - glyph())


def test_a_transparent_palette_color_is_ground() -> None:
    image = Image.fromarray((glyph() > 127).astype(np.uint8)).convert("P")
    image.putpalette([255, 255, 255, 255, 255, 255])
    out = io.BytesIO()
    image.save(out, "PNG", transparency=0)
    assert np.array_equal(gray(out.getvalue()) > 127, glyph() > 127)


def test_a_picture_without_one_opaque_pixel_is_blank() -> None:
    assert fit(encode(np.zeros((30, 30, 4), np.uint8))).warnings == ("blank or no digit",)


def test_several_digits_are_a_warning() -> None:
    two = np.zeros((40, 120), np.uint8)
    two[6:34, 10:38] = two[6:34, 70:98] = glyph()
    (warning,) = fit(encode(two)).warnings
    assert warning.startswith("several digits: 2")
    split = plugins().wanted(InputFormat(SHAPE), split=True)
    first, second = split.samples(picture(encode(two), "two.png"), "two.png")
    assert (first.source, second.source) == ("two.png#1", "two.png#2")
    assert np.array_equal(first.data, second.data)


def test_the_camera_was_held_sideways() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    assert np.array_equal(gray(encode(np.rot90(glyph()), exif=exif)), glyph())


def test_every_frame_of_an_animation_is_given_and_numbered() -> None:
    frames = [Image.fromarray(glyph()), Image.fromarray(255 - glyph())]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    found = [(frame.source, frame.gray().tolist()) for frame in pictures(out.getvalue(), "a.gif")]
    assert found == [("a.gif:1", glyph().tolist()), ("a.gif:2", (255 - glyph()).tolist())]


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
    damaged = bytearray(encode(np.kron(glyph(), np.ones((2, 2), np.uint8)), kind))
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
