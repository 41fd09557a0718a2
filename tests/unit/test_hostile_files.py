"""Small files that ask for much: each is refused in a line, or read, within the memory that the documentation tells."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hostile import Reader, number, numbers, pt, tensor
from PIL import Image

SIDE = 4096
"""Of an image of 2^24 pixels."""


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


def entries_of_one_name() -> bytes:
    """Thousands, of which the last is large: who reads each by its name reads that one each time."""
    file = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(file, "w") as made:
        for size in [0] * 9_000 + [60 << 20]:
            made.writestr("net/data.pkl", bytes(size))
    return file.getvalue()


def tensor_of_many_sizes() -> bytes:
    """Each is the same number of 2,000 bits; their product would have 800 million."""
    many = b"(" + number(2**2_000) + b"q\0" + b"h\0" * 400_000 + b"t"
    once = tensor([7], [7])
    body = zipfile.ZipFile(io.BytesIO(once)).read("net/data.pkl").replace(numbers([7]) * 2, many + many)
    return pt(body, s=bytes(4))


def keys_of_one_hash() -> bytes:
    """CPython's hash of an integer is its remainder by 2^61 - 1."""
    keys = (each * (2**61 - 1) for each in range(1, 150_000))
    return pt(b"\x80\x02}(" + b"".join(number(key) + b"N" for key in keys) + b"u.")


def member(name: str, data: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as made:
        made.writestr(name, data)
    return file.getvalue()


def pt2(described: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO(member("n/byteorder", b"little"))
    with zipfile.ZipFile(file, "a", method) as made:
        made.writestr("n/models/model.json", described)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(samples: np.ndarray, labels: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, samples=samples, labels=labels)
    return file.getvalue()


def lying_npz() -> bytes:
    """Entries that say they hold 200 bytes, and unpack to 100 MiB."""
    array = npy(np.zeros(100 << 20, np.uint8))
    data, size = member("samples.npy", array), struct.pack("<I", len(array))
    return data.replace(size, struct.pack("<I", 200))


def lying_pt2() -> bytes:
    return pt2(bytes(100 << 20)).replace(struct.pack("<I", 100 << 20), struct.pack("<I", 200))


def long_header() -> bytes:
    return member("samples.npy", b"\x93NUMPY\x02\x00" + struct.pack("<I", 100 << 20) + bytes(100 << 20))


def many_entries() -> bytes:
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    count = 400_000
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 65535, 65535, len(entry) * count, 0, 0)
    return entry * count + end


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def tags(count: int, size: int) -> bytes:
    """A TIFF's directory whose tags all refer to the same bytes."""
    entries = b"".join(struct.pack("<HHII", 40_000 + n, 7, size, 0) for n in range(count))
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4 + size)


def jpeg_with_tags() -> bytes:
    plain = encoded(Image.new("L", (8, 8)), "JPEG")
    payload = b"Exif\0\0" + tags(5_000, 5_000)[:65_000]
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + plain[2:]


def jpeg_of_segments() -> bytes:
    """EXIF of 5,000 tags, in a first segment and many short ones."""
    plain = encoded(Image.new("L", (8, 8)), "JPEG")
    exif = b"II*\0" + struct.pack("<IH", 8, 5_000) + struct.pack("<HHII", 40_000, 1, 1, 0) * 5_000 + bytes(4)
    parts = [b"Exif\0\0" + part for part in (exif, *[b"x"] * 60_000)]
    segments = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    return plain[:2] + segments + plain[2:]


def tiled() -> bytes:
    values = ((256, 8), (257, 8), (258, 8), (259, 8), (262, 1), (322, 32_768), (323, 32_768), (324, 8), (325, 16))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values)
    return b"II*\0" + struct.pack("<IH", 8, len(values)) + entries + bytes(4)


def wide_webp() -> bytes:
    header = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xfe\x3f\0" * 2
    return b"RIFF" + struct.pack("<I", len(header) + 4) + b"WEBP" + header


def commented_gif() -> bytes:
    plain = encoded(Image.new("P", (8, 8)), "GIF")
    at = 13 + (3 << (plain[10] & 7) + 1)
    return plain[:at] + b"!\xfe" + (b"\xff" + b"a" * 255) * 60_000 + b"\0" + plain[at:]


def png_of_text() -> bytes:
    plain = encoded(Image.new("L", (8, 8)), "PNG")
    body = b"zTXt" + b"a\0\0" + zlib.compress(bytes(100 << 20))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return plain[:33] + chunk + plain[33:]


def idx_of_zeros() -> bytes:
    return gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 256, 1024, 1024) + bytes(256 << 20), 1)


def wide(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def onnx_of_nodes() -> bytes:
    nodes = b"\x0a\x00" * 1_000_000
    return b"\x08\x08\x3a" + wide(len(nodes)) + nodes


BYTEARRAY = b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."
Made = tuple[str, str, Callable[[], bytes], str, int]
REFUSED: dict[str, Made] = {
    "a bytearray": ("network", "pt", lambda: pt(BYTEARRAY), "contains objects other than tensors (refused)", 90),
    "many lists": ("network", "pt", lambda: pt(b"\x80\x02" + b"]" * (60 << 20)), "other than tensors", 250),
    "tuples in a key": ("network", "pt", lambda: pt(b"\x80\x02})" + b"\x85" * (1 << 20) + b"Ns."), "other than tensors", 220),
    "a tuple of sizes": ("network", "pt", tensor_of_many_sizes, "other than tensors", 250),
    "a stride": ("network", "pt", lambda: tensor([1], [2**70]), "other than tensors", 90),
    "a start": ("network", "pt", lambda: tensor([1], [1], 2**70), "other than tensors", 90),
    "a storage": ("network", "pt", lambda: tensor([1], [1], held=2**70), "other than tensors", 90),
    "no values, of a size": ("network", "pt", lambda: tensor([0, 2**47, 2**47], [1, 1, 1]), "other than tensors", 90),
    "one value, many times": ("network", "pt", lambda: tensor([2**20, 2**20], [0, 0]), "brings the file to", 90),
    "keys of one hash": ("network", "pt", keys_of_one_hash, "other than tensors", 150),
    "entries of one name": ("network", "pt", entries_of_one_name, "has entries of the same name", 250),
    "entries": ("network", "pt", many_entries, "not a file that torch", 130),
    "a packed pt2": ("network", "pt2", lambda: pt2(bytes(63 << 20)), "of JSON, over 8 MiB", 130),
    "bzip2": ("network", "pt2", lambda: pt2(bytes(1 << 20), zipfile.ZIP_BZIP2), "not a .pt2", 90),
    "a lying pt2": ("network", "pt2", lying_pt2, "not a .pt2 archive, or damaged", 110),
    "nodes": ("network", "onnx", onnx_of_nodes, "has over 524,288 nodes", 170),
    "a header": ("network", "safetensors", lambda: struct.pack("<Q", 32 << 20) + b" " * (32 << 20), "header has 33554432", 160),
    "a lying npz": ("data", "npz", lying_npz, "not an .npz file, or damaged", 90),
    "a long npy header": ("data", "npz", long_header, "not an .npz file, or damaged", 90),
    "an npz of entries": ("data", "npz", many_entries, "not an .npz file, or damaged", 110),
    "labels": ("data", "npz", lambda: npz(np.zeros((1, 1), np.uint8), np.zeros(9 << 20)), "labels declares 75497600", 90),
    "a TIFF's tags": ("image", "tiff", lambda: tags(2_000, 1 << 18), "tags that declare more bytes", 90),
    "a TIFF's tiles": ("image", "tiff", tiled, "has tiles of 1073741824 pixels, over 16777216", 90),
    "a JPEG's EXIF": ("image", "jpg", jpeg_with_tags, "tags that declare more bytes", 90),
    "a WebP's canvas": ("image", "webp", wide_webp, "16,383 x 16,383 pixels; 16,777,216 pixels are the limit", 90),
    "a GIF's comment": ("image", "gif", commented_gif, "has over 1 MiB of comments", 110),
    "a PNG's text": ("image", "png", png_of_text, "cannot be decoded (Decompressed data too large", 90),
    "a wide PNG": ("image", "png", lambda: encoded(Image.new("1", (9_000, 9_000)), "PNG"), "33,554,432 pixels are the", 90),
}  # fmt: skip
READ: dict[str, tuple[str, str, Callable[[], bytes], int]] = {
    "TIFF, floats": ("image", "tiff", lambda: encoded(Image.new("F", (SIDE, SIDE)), "TIFF", compression="tiff_deflate"), 220),
    "TIFF, alpha": ("image", "tiff", lambda: encoded(Image.new("RGBA", (SIDE, SIDE)), "TIFF", compression="tiff_lzw"), 220),
    "WebP": ("image", "webp", lambda: encoded(Image.new("RGBA", (SIDE, SIDE)), "WEBP", lossless=True, method=0), 350),
    "PNG": ("image", "png", lambda: encoded(Image.new("RGBA", (8192, SIDE)), "PNG"), 260),
    "a JPEG's segments": ("image", "jpg", jpeg_of_segments, 90),
    "npz": ("data", "npz", lambda: npz(np.full((60, 1 << 20), 2, np.float32), np.zeros(60, int)), 420),
}


@pytest.mark.parametrize("what", REFUSED)
def test_small_files_that_ask_for_much_are_refused(what: str, reader: Reader, tmp_path: Path) -> None:
    kind, suffix, make, fact, most = REFUSED[what]
    (tmp_path / f"x.{suffix}").write_bytes(make())
    said, peak = reader.read(kind, tmp_path / f"x.{suffix}")
    assert fact in said
    assert "; " in said
    assert peak < most, said


@cache
def largest(what: str) -> bytes:
    return READ[what][2]()


@pytest.mark.parametrize("what", READ)
def test_the_largest_that_are_read_take_what_is_told(what: str, reader: Reader, tmp_path: Path) -> None:
    kind, suffix, _, most = READ[what]
    (tmp_path / f"x.{suffix}").write_bytes(largest(what))
    said, peak = reader.read(kind, tmp_path / f"x.{suffix}")
    assert said == "read"
    assert peak < most


@pytest.mark.parametrize("what", ["TIFF, floats", "WebP", "PNG", "npz"])
def test_less_memory_than_a_file_takes(what: str, reader: Reader, tmp_path: Path) -> None:
    kind, suffix, *_ = READ[what]
    (tmp_path / f"x.{suffix}").write_bytes(largest(what))
    said, _ = reader.read(kind, tmp_path / f"x.{suffix}", room=40 << 20)
    assert said.split(":")[0].endswith(f"x.{suffix}")
    assert "takes more memory than there is" in said or "could not create decoder" in said


@pytest.mark.parametrize("suffix", ["pt", "pt2", "onnx", "safetensors"])
def test_less_memory_than_a_network_takes(suffix: str, reader: Reader, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(bytes(60 << 20))
    said, _ = reader.read("network", path, room=20 << 20)
    assert said.startswith(f"{path}: takes more memory than there is; ")


def test_idx_files_take_what_their_header_says(reader: Reader, tmp_path: Path) -> None:
    zeros = idx_of_zeros()
    for part in ("images-idx3", "labels-idx1"):
        (tmp_path / f"t10k-{part}-ubyte.gz").write_bytes(zeros)
    said, peak = reader.read("data", tmp_path)
    assert "images and labels are" in said or "idx" in said
    assert peak < 256 * 2 + 60
    said, _ = reader.read("data", tmp_path, room=100 << 20)
    assert "takes more memory than there is; give fewer samples" in said


def test_a_pickle_is_looked_at_and_not_run(reader: Reader, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(pt(pickle.dumps({"a": Path}, 2)))
    said, _ = reader.read("network", tmp_path / "x.pt")
    assert "key 'a' is no plain tensor but Named" in said
