"""Splitting streams of images: what is whole is found, whatever stands between."""

from __future__ import annotations

import io
import struct
from functools import cache
from typing import BinaryIO

import numpy as np
import pytest
from ebpfnn_plugins import formats
from ebpfnn_plugins.framing import FORMATS, begins_image, split
from ebpfnn_plugins.image_file import ImageFile
from ebpfnn_plugins.window import CHUNK, Window
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from prepared import sample

from ebpfnn.errors import InputError
from ebpfnn.preparation.formats import NAMES

CODECS = {
    "png": ("PNG", "L"),
    "jpeg": ("JPEG", "L"),
    "progressive": ("JPEG", "RGB"),
    "gif": ("GIF", "P"),
    "bmp": ("BMP", "L"),
    "webp": ("WEBP", "RGB"),
    "lossless": ("WEBP", "RGBA"),
    "pgm": ("PPM", "L"),
    "ppm": ("PPM", "RGB"),
    "pbm": ("PPM", "1"),
}
WELL_MARKED = ("png", "jpeg", "progressive", "gif", "webp", "lossless")
"""Formats whose start cannot be taken for pixels: found after anything that was cut short."""


@cache
def encoded(codec: str, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(1, 40, 2)
    pixels = rng.integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    kind, mode = CODECS[codec]
    out = io.BytesIO()
    options = {"progressive": codec == "progressive"} if kind == "JPEG" else {"lossless": codec == "lossless"}
    Image.fromarray(pixels).convert(mode).save(out, kind, **(options if kind in ("JPEG", "WEBP") else {}))
    return out.getvalue()


PLAIN = [b"P1\n# a comment\n3 2\n010\n1 0 1\n", b"P2 2 2\n255\n0 10\n200 255\n", b"P3 1 1 255  1 2 3\n"]
images = st.one_of(st.builds(encoded, st.sampled_from(sorted(CODECS)), st.integers(0, 30)), st.sampled_from(PLAIN))
well_marked = st.builds(encoded, st.sampled_from(WELL_MARKED), st.integers(0, 30))


class Trickle(io.RawIOBase):
    """A pipe: each read gives one of the pieces, and reading past the last one is a failure of the test."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def read1(self, size: int) -> bytes:
        assert self.pieces, "read more than it needed"
        return self.pieces.pop(0)


def good(stream: BinaryIO) -> list[bytes]:
    return [piece for _, piece in split(stream, "s") if isinstance(piece, bytes)]


def faults(data: bytes, limit: int = 1 << 20) -> list[str]:
    return [str(piece) for _, piece in split(io.BytesIO(data), "s", limit) if isinstance(piece, InputError)]


@pytest.mark.parametrize("codec", CODECS)
def test_an_image_is_recognized_by_its_first_16_bytes(codec: str) -> None:
    assert begins_image(encoded(codec, 1)[:16])


@settings(deadline=None)
@given(st.lists(st.tuples(images, st.sampled_from([b"", b"\n", b"\0\0 \r\n"])), max_size=6))
def test_every_concatenation_comes_apart_where_it_was_joined(parts: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(image + padding for image, padding in parts)
    pieces = list(split(io.BytesIO(data), "s"))
    assert [name for name, _ in pieces] == [f"s:{number + 1}" for number in range(len(parts))]
    # Plain PNM ends at its last digit: the white space after it is padding.
    assert [piece.rstrip() if piece in [p.rstrip() for p in PLAIN] else piece for _, piece in pieces] == [
        image.rstrip() if image in PLAIN else image for image, _ in parts
    ]


@settings(deadline=None, max_examples=300)
@given(images, st.floats(0, 1), st.lists(well_marked, min_size=1, max_size=3))
def test_what_follows_a_truncated_image_is_found(cut: bytes, part: float, following: list[bytes]) -> None:
    stump = cut[: int(part * (len(cut) - 1))]
    found = good(io.BytesIO(stump + b"".join(following)))
    assert found[-len(following) :] == following


@settings(deadline=None)
@given(st.text("abcxyz \n.", min_size=20, max_size=200), images, images)
def test_text_between_images_loses_neither(text: str, first: bytes, second: bytes) -> None:
    found = good(io.BytesIO(first.rstrip() * (first in PLAIN) + first * (first not in PLAIN) + b"\n" + text.encode() + second))
    assert [piece.rstrip() for piece in found] == [first.rstrip(), second.rstrip()]


@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.one_of(st.binary(max_size=60), images, st.sampled_from([b"P2 ", b"BM", b"\xff\xd8\xff\xe0", b"RIFF"]))),
    st.data(),
)
def test_no_bytes_crash_it_and_no_chunking_matters(parts: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(parts)
    for piece in good(io.BytesIO(whole)):
        assert piece in whole
    size = data.draw(st.integers(1, 50))
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert sum(map(len, good(Trickle([*pieces, b""])))) <= len(whole)  # type: ignore[arg-type]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_image_in_a_pipe_is_given_once_its_last_byte_is_there(codec: str, size: int) -> None:
    data = encoded(codec, 3)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert next(split(Trickle(pieces), "s")) == ("s:1", data)  # type: ignore[arg-type]
    assert pieces == []


@pytest.mark.parametrize("codec", CODECS)
def test_an_image_larger_than_a_read_is_whole(codec: str) -> None:
    kind, mode = CODECS[codec]
    pixels = np.random.default_rng(0).integers(0, 256, (300, 1000, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, kind)
    data = out.getvalue()
    assert len(data) > CHUNK or codec == "pbm"
    assert good(io.BytesIO(data * 2)) == [data, data]


def test_a_tiff_without_an_end_takes_no_other_with_it() -> None:
    stream = encoded("gif", 1) + b"II*\0" + b"anything, even " + encoded("png", 1)
    assert good(io.BytesIO(stream)) == [encoded("gif", 1), encoded("png", 1)]
    assert faults(stream)[0].startswith("s:2: TIFF, larger than 1 MiB, begun at byte ")


def test_a_thumbnail_inside_a_jpeg_is_no_image_of_its_own() -> None:
    thumbnail, jpeg = encoded("jpeg", 1), encoded("jpeg", 2)
    with_thumbnail = jpeg[:2] + b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail + jpeg[2:]
    assert good(io.BytesIO(with_thumbnail)) == [with_thumbnail]


def test_faults_name_the_image_the_format_and_the_fact() -> None:
    png = encoded("png", 1)
    where = f"begun at byte {len(png)}"
    assert faults(png + png[:40]) == [f"s:2: PNG, cut short after 40 bytes, {where}; give whole images, one after another"]
    assert faults(b"some text, no image")[0].startswith("s:1: not a PNG, JPEG")


@pytest.mark.parametrize(
    "data",
    [
        b"P5 1000 1000 255\n" + bytes(1_000_000),
        b"P2 900 900 255\n" + b"0 " * 810_000,
        b"BM" + (2_000_000).to_bytes(4, "little") + bytes(4) + b"\x36\0\0\0\x28\0\0\0" + bytes(2_000_000),
        b"\x89PNG\r\n\x1a\n\x00\x20\x00\x00IDAT" + bytes(1 << 21),
        b"RIFF\x00\x00\x20\x00WEBPVP8 \x00\x00\x18\x00" + bytes(1 << 21),
        b"\xff\xd8\xff\xc4\0\2\xff\xda\0\2" + bytes(1 << 21),
        b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2" + (b"\xff" + bytes([1]) * 255) * 8192,
    ],
)
def test_no_image_may_be_larger_than_the_limit(data: bytes) -> None:
    following = encoded("png", 1)
    limit = 500_000
    assert "larger than 0 MiB" in faults(data, limit)[0]
    pieces = [piece for _, piece in split(io.BytesIO(data + following), "s", limit)]
    assert pieces[-1] == following or data.startswith(b"II")


@pytest.mark.parametrize(
    "header", [b"P5 0 5 255\n", b"P5 5 5 0\n", b"P5 5 5 65536\n", b"P2 5 x", b"P6 99999999999 1 255\n", b"P2 2 2 255 1 2 3"]
)
def test_a_pnm_that_makes_no_sense_is_refused(header: bytes) -> None:
    assert len(faults(header)) == 1
    assert good(io.BytesIO(header)) == []


def plain(kind: int, columns: int, rows: int, seed: int = 1) -> bytes:
    """A plain PNM with comments in it, without white space after its last number."""
    count = columns * rows * (3 if kind == 3 else 1)
    numbers = np.random.default_rng(seed).integers(0, 2 if kind == 1 else 256, count).tolist()
    words = [f"{number}\n# it is\n" if at % 100 == 7 else f"{number} " for at, number in enumerate(numbers)]
    return f"P{kind} {columns} {rows} {'' if kind == 1 else 255}\n{''.join(words)}".encode().rstrip()


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("step", [1, 7, 1000, CHUNK])
def test_a_plain_pnm_of_many_numbers_ends_at_its_last_one(kind: int, step: int) -> None:
    image = plain(kind, 37, 29)
    data = image + b"\n" + encoded("png", 1)
    stream = Trickle([data[at : at + step] for at in range(0, len(data), step)] + [b""])
    assert good(stream) == [image, encoded("png", 1)]


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_the_numbers_of_a_plain_pnm_are_not_looked_at_one_by_one(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    one = formats._word
    monkeypatch.setattr(formats, "_word", lambda window, at, *rest: looked.append(at) or one(window, at, *rest))
    image = plain(kind, 100, 100)
    assert good(io.BytesIO(image)) == [image]
    assert len(looked) < 2000


def test_a_pnm_of_too_many_pixels_is_refused_before_they_are_read() -> None:
    stream = Trickle([b"P2 99999 99999 255\n1 2 3", b""])
    ((_, fault),) = split(stream, "s")
    assert "99999x99999 pixels, more than 33554432" in str(fault)


def test_what_is_read_is_told_in_one_way_everywhere() -> None:
    assert NAMES == "PNG, JPEG, GIF, BMP, WebP, PNM, PAM, TIFF or JPEG 2000"
    assert ImageFile.summary.endswith(NAMES)
    assert f"not a {NAMES} image" in faults(b"hello, this is no image")[0]
    for data in (b"", b"hello", encoded("png", 1)[:40]):
        with pytest.raises(InputError, match=rf"{NAMES} file$"):
            sample(data, (4, 4), "a")


def test_there_is_a_test_image_of_every_format_whose_end_is_found() -> None:
    assert set(FORMATS) - {"PAM", "TIFF", "JPEG 2000"} == {"PNG", "JPEG", "GIF", "BMP", "WebP", "PNM"}


@pytest.mark.parametrize("codec", WELL_MARKED)
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
@pytest.mark.parametrize("lost", range(1, 20))
def test_an_image_that_lost_its_last_bytes_does_not_take_them_from_the_next(codec: str, seed: int, lost: int) -> None:
    assert good(io.BytesIO(encoded(codec, seed)[:-lost] + encoded("png", 1))) == [encoded("png", 1)]


def test_a_picture_behind_a_cut_png_is_found_wherever_that_was_cut() -> None:
    """Also where the last chunk took the head of the next image for its checksum, and the rest of that looked like a chunk."""
    cut, following = encoded("png", 1), encoded("webp", 0)
    lost = [size for size in range(8, len(cut)) if good(io.BytesIO(cut[:size] + following))[-1:] != [following]]
    assert lost == []


def test_a_tiff_whose_strips_lie_on_each_other_is_not_searched_strip_by_strip() -> None:
    count, size = 64, 1 << 15
    places = 8 + 2 + 2 * 12 + 4
    entries = ((273, 4, count, places), (279, 4, count, places + 4 * count))
    directory = struct.pack("<H", 2) + b"".join(struct.pack("<HHII", *each) for each in entries) + bytes(4)
    numbers = struct.pack(f"<{2 * count}I", *[places + 8 * count] * count, *[size] * count)
    stream = b"II*\0\x08\0\0\0" + directory + numbers + bytes([1]) * size
    assert "strips that declare more bytes than an image may have" in faults(stream)[0]


def test_the_segments_of_a_segment_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    big = Window.big
    monkeypatch.setattr(Window, "big", lambda window, start, size: read.append(start) or big(window, start, size))
    count = 200  # images that begin in a comment, each with a segment up to the next one
    comment = b"\xff\xd8" + b"\xff\xdd\0\x04\xff\xd8" * count + b"\xff\xdd\0\x09"
    stream = b"\xff\xd8\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + encoded("jpeg", 1)[2:]
    next(split(io.BytesIO(stream), "s"))
    assert max(map(read.count, read)) < 10
