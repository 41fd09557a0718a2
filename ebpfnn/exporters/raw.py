"""A quantized network as plain files: what any C program can read with fread(), and back.

A directory holds ``model.json``, which has all but the weights and biases, and two files for each layer that has any: weights
int8 in the order of :mod:`ebpfnn.network.layers`, biases int32, little-endian, no header. A network of one hidden and one
output dense layer has the names ``hweights8.bin``, ``hbias32.bin``, ``outweights8.bin`` and ``outbias32.bin``; any other
``layerN.weights8.bin`` and ``layerN.bias32.bin``, N counting all layers from 0. docs/evaluation.md describes the bytes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..errors import ModelError
from ..network import QuantizedNetwork, fields, modelformat
from ..network.fields import Described
from ..network.layers import INT32_MAX, LARGEST_SIZE, Dense, MaxPool, Shape, expect
from ..network.tensorfile import parse

FORMAT, VERSION = "ebpfnn-raw", 1
DESCRIPTION = "model.json"
MAX_DESCRIPTION = 16 << 20

_DTYPES: dict[str, np.dtype[Any]] = {"weights": np.dtype("<i1"), "bias": np.dtype("<i4")}
_TWO_LAYERS = {
    0: {"weights": "hweights8.bin", "bias": "hbias32.bin"},
    1: {"weights": "outweights8.bin", "bias": "outbias32.bin"},
}
_KNOWN = re.compile(r"model\.json|(h|out)(weights8|bias32)\.bin|layer\d+\.(weights8|bias32)\.bin", re.ASCII)
_REMEDY = "give a directory that `ebpfnn export --raw` wrote"


def export(network: QuantizedNetwork, directory: str | os.PathLike[str]) -> None:
    """Makes ``directory`` the files of ``network``: all of them, or none. A former export there is replaced.

    Raises :class:`ModelError` where the directory holds anything else, or cannot be written.
    """
    directory = Path(directory)
    try:
        _check_free(directory)
        files.replace_directory(directory, encode(network))
    except OSError as error:
        remedy = "give a new name in a directory you may write to"
        raise ModelError(f"{directory}: cannot be written ({error.strerror}); {remedy}") from error


def encode(network: QuantizedNetwork) -> dict[str, bytes]:
    """The bytes of every file by its name."""
    contents: dict[str, bytes] = {}
    described = modelformat.describe(network)
    dense = all(isinstance(layer, Dense) for layer in network.layers)
    for number, layer in enumerate(network.layers):
        if isinstance(layer, MaxPool):
            continue
        about = described["layers"][number]
        for kind, name in _names(number, two_layers=dense and len(network.layers) == 2).items():
            array = getattr(layer, kind)
            contents[name] = np.ascontiguousarray(array, _DTYPES[kind]).tobytes()
            about[kind] = {"file": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        about |= {sign: getattr(layer.requantization, sign).tolist() for sign in ("positive", "negative")}
    text = json.dumps({"format": FORMAT, "version": VERSION, **described}, indent=2, allow_nan=False)
    return {DESCRIPTION: _compact(text).encode(), **contents}


def load(directory: str | os.PathLike[str]) -> QuantizedNetwork:
    """The network that :func:`export` wrote to ``directory``, bit for bit.

    Raises :class:`ModelError`, naming the file, where one is absent, malformed or not of the size that ``model.json`` says.
    """
    directory = Path(directory)
    path = directory / DESCRIPTION
    if os.path.isdir(directory) and not files.is_file(path):  # noqa: PTH112  # pathlib raises for names that cannot be
        raise ModelError(f"{directory}: has no {DESCRIPTION}, which has the shapes and multipliers; {_REMEDY}")
    described = _description(path)
    with _naming(path):
        layers = fields.get(described, "layers", list)
        parts = list(_parts(layers))
        arrays = dict(_multipliers(layers))
    arrays |= {part.tensor: part.read(directory) for part in parts}
    with _naming(path):
        return modelformat.build(described, arrays)


def _check_free(directory: Path) -> None:
    """Nothing but a former export may go."""
    for stranger in files.strangers(directory, _KNOWN):
        raise ModelError(f"{directory}: contains {stranger!r}, which is not part of an export; give another directory")
    if directory.is_dir() and any(directory.iterdir()):
        _description(directory / DESCRIPTION)


def _description(path: Path) -> dict[str, Any]:
    data = files.read(path, MAX_DESCRIPTION, _REMEDY)
    with _naming(path):
        described = parse(data)
        found = (described.get("format"), described.get("version"))
        expect(found == (FORMAT, VERSION), f"format and version {found}, and this ebpfnn reads {(FORMAT, VERSION)}")
    return described


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """What is refused meanwhile is in the file ``path``."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}; {_REMEDY}") from error


@dataclass(frozen=True)
class _Part:
    """One file: the array that it holds, by the name that :mod:`ebpfnn.network.modelformat` has for it."""

    tensor: str
    name: str
    dtype: np.dtype[Any]
    shape: Shape

    def read(self, directory: Path) -> NDArray[Any]:
        size = prod(self.shape) * self.dtype.itemsize
        wanted = f"{list(self.shape)} of {self.dtype.name} are {size}"
        data = files.read(directory / self.name, size, f"{wanted}, so export the network again")
        if len(data) != size:
            raise ModelError(f"{directory / self.name}: {len(data)} bytes, but {wanted}; export the network again")
        # In the machine's own byte order, as the network's arrays have it; nothing to do where that is little-endian.
        return np.frombuffer(data, self.dtype).astype(self.dtype.newbyteorder("="), copy=False).reshape(self.shape)


def _parts(layers: list[object]) -> Iterator[_Part]:
    """The files that the layers speak of, their shapes bounded."""
    dense = all(isinstance(layer, dict) and layer.get("type") == "dense" for layer in layers)
    for number, layer in _weighted(layers):
        for kind, name in _names(number, two_layers=dense and len(layers) == 2).items():
            about = fields.within(f"layer {number}", fields.get, layer, kind, dict)
            shape = fields.within(f"layer {number}", fields.integers, about, "shape")
            expect(min(shape, default=0) > 0 and prod(shape) <= LARGEST_SIZE, f"layer {number}: {kind} of {list(shape)}")
            expect(about.get("file") == name, f"layer {number}: {kind} must be in {name!r}, not {about.get('file')!r}")
            yield _Part(f"layers.{number}.{kind}", name, _DTYPES[kind], shape)


def _multipliers(layers: list[object]) -> Iterator[tuple[str, NDArray[np.int32]]]:
    for number, layer in _weighted(layers):
        for sign in ("positive", "negative"):
            values = fields.within(f"layer {number}", fields.integers, layer, sign)
            expect(all(value <= INT32_MAX for value in values), f"layer {number}: {sign!r} must fit int32")
            yield f"layers.{number}.{sign}", np.array(values, np.int32)


def _weighted(layers: list[object]) -> Iterator[tuple[int, Described]]:
    """The layers with weights; :func:`modelformat.build` tells whether they are of a type that has any."""
    for number, layer in enumerate(layers):
        if not isinstance(layer, dict):
            raise ModelError(f"layer {number} is not described by a JSON object")
        if layer.get("type") != "max_pool":
            yield number, layer


def _names(number: int, *, two_layers: bool) -> Mapping[str, str]:
    """The files of a layer's weights and biases."""
    deeper = {"weights": f"layer{number}.weights8.bin", "bias": f"layer{number}.bias32.bin"}
    return _TWO_LAYERS[number] if two_layers else deeper


def _compact(text: str) -> str:
    """``text`` with a list of numbers on one line: thousands of multipliers, one a line, hide the rest.

    Such a list is told from a string that looks like one by its line breaks, which JSON's strings cannot hold.
    """
    return re.sub(r"\[\n[-+\d.e,\s]*\]", lambda numbers: f"[{' '.join(numbers[0][1:-1].split())}]", text)
