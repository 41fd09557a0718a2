"""Files of every kind that is read, and damage to them: what readers must bear without harm."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from elves import shipped
from networks import random_network
from PIL import Image

from ebpfnn import datasets, importers
from ebpfnn.bodies import modelfile
from ebpfnn.datasets import idx, npz
from ebpfnn.importers import ImportOptions
from ebpfnn.obj.reader import read_object

EXTREME = (b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x80\x96\x98\0", b"\1\0\0\0", b"\0\0\0\1")
VALUES = (None, True, -1, 0, 1 << 40, 1e300, "x", [], [1], {}, {"as_int": [1]}, [[[]]])


def _image(kind: str, mode: str = "RGB", **how: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 4)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels, "RGBA").convert(mode).save(file, kind, **how)
    return file.getvalue()


def _module() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 5))


def _pt() -> bytes:
    import torch

    file = io.BytesIO()
    torch.save({"epoch": 1, "state_dict": _module().state_dict()}, file)
    return file.getvalue()


def _pt2() -> bytes:
    import torch

    file = io.BytesIO()
    torch.export.save(torch.export.export(_module(), (torch.zeros(2, 1, 12, 12),)), file)
    return file.getvalue()


def _onnx() -> bytes:
    from ebpfnn.exporters import onnx

    return onnx.build(random_network("conv4x3-pool2-5", 1, (1, 12, 12))).SerializeToString()


def _npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, samples=np.arange(90, dtype=np.uint8).reshape(5, 3, 6), labels=np.arange(5))
    return file.getvalue()


def _safetensors() -> bytes:
    shapes = {"a.weight": (16, 144), "a.bias": (16,), "b.weight": (5, 16), "b.bias": (5,)}
    return safetensors.numpy.save({key: np.ones(shape, np.float32) for key, shape in shapes.items()})


MADE: dict[str, Callable[[], bytes]] = {
    "net.pt": _pt,
    "net.pt2": _pt2,
    "net.onnx": _onnx,
    "net.safetensors": _safetensors,
    "own.safetensors": lambda: modelfile.encode(random_network("20-5-3", 1, (4, 5))),
    "data.npz": _npz,
    "data.idx": lambda: struct.pack(">4B3I", 0, 0, 8, 3, 5, 3, 6) + bytes(90),
    "data.idx.gz": lambda: gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 5, 3, 6) + bytes(range(90))),
    "kprobe.o": lambda: shipped("kprobe"),
    "x.png": lambda: _image("PNG", "RGBA"),
    "p.png": lambda: _image("PNG", "P", transparency=3),
    "x.jpg": lambda: _image("JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
    "x.gif": lambda: _image("GIF", "P", comment=b"made here"),
    "x.bmp": lambda: _image("BMP"),
    "x.ppm": lambda: _image("PPM"),
    "x.webp": lambda: _image("WEBP", "RGBA", lossless=True),
    "x.tiff": lambda: _image("TIFF", compression="tiff_lzw"),
    "f.tiff": lambda: _image("TIFF", "F"),
}


@cache
def made(name: str) -> bytes:
    """The whole file of that name."""
    return MADE[name]()


def read(path: Path) -> object:
    """Reads ``path`` as what its name says it is, for a network of 12x12."""
    suffix = path.suffix
    if path.name.startswith("own"):
        return modelfile.load(path)
    if suffix in importers.SUFFIXES:
        shape = None if suffix in (".onnx", ".pt2") else (12, 12)
        architecture = None if shape is None else "144-16-5"
        return importers.load(path, ImportOptions(shape=shape, architecture=architecture))
    if suffix == ".npz":
        return npz.read_npz(path), datasets.read(path, "test")
    if suffix in (".idx", ".gz"):
        return idx.read_idx(path)
    if suffix == ".o":
        return read_object(path.read_bytes(), path.name)
    return _images(path.read_bytes(), path.name)


def _images(data: bytes, name: str) -> object:
    """Both alone and as what a stream holds."""
    from ebpfnn_plugins.image_stream import ImageStream
    from prepared import sample, wanted

    list(ImageStream().samples("-", io.BytesIO(data + data), wanted((28, 28))))
    return sample(data, (28, 28), name)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """``data`` with a few bytes changed, cut out, doubled, or the rest of it cut off; of a zip, at times within an entry."""
    if data[:2] == b"PK" and chance.random() < 0.8:
        return _within_zip(data, chance)
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = int(chance.choice((len(changed), 200)) * chance.random() ** chance.choice((1, 3)))
        kind = chance.randrange(6)
        if kind == 0:
            del changed[at:]
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 9)]
        elif kind == 2:
            changed[at:at] = changed[at : at + chance.randrange(1, 64)]
        elif kind == 3:
            changed[at : at + 4] = chance.choice(EXTREME)
        else:
            changed[at : at + 1] = bytes((chance.randrange(256),))
    return bytes(changed)


def _within_zip(data: bytes, chance: random.Random) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        stored = archive.infolist()[0].compress_type
    name = chance.choice(sorted(members, key=lambda each: (each.endswith((".json", ".pkl", ".npy")), each))[-4:])
    if name.endswith(".json") and chance.random() < 0.9:
        members[name] = _json(members[name], chance)
    else:
        members[name] = damaged(members[name], chance)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", stored) as changed:
        for each, held in members.items():
            changed.writestr(each, held)
    return file.getvalue()


def _json(text: bytes, chance: random.Random) -> bytes:
    """With one value of it another."""
    described = json.loads(text)
    places = list(_places(described))
    if places:
        inside, key = chance.choice(places)
        if chance.random() < 0.2:
            del inside[key]
        else:
            inside[key] = chance.choice(VALUES)
    return json.dumps(described).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])
