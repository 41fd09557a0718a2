"""A quantized network as plain files: what any C program can read with fread(), and back.

A directory holds ``model.json``, which has all but the weights and biases, and two files for each layer that has any: weights
int8 in the order of :mod:`ebpfnn.network.layers`, biases int32, little-endian, no header. A network of one hidden and one
output dense layer has the names ``hweights8.bin``, ``hbias32.bin``, ``outweights8.bin`` and ``outbias32.bin``; any other
``layerN.weights8.bin`` and ``layerN.bias32.bin``, N counting all layers from 0. A layer of tables has ``layerN.tables16.bin``,
all rows, and ``layerN.order32.bin`` beside its bias; a sum of two layers has ``layerN.factors32.bin``. The files of a cascade's
next network begin with ``then.``.
docs/evaluation.md describes the bytes.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..errors import ModelError
from ..network import QuantizedNetwork, fields, modelformat, tableformat
from ..network.fields import Described
from ..network.layers import INT32_MAX, LARGEST_SIZE, Add, Concat, Layer, Requantization, Shape, Table, Unscaled, expect
from ..network.network import MOST_STAGES
from ..network.tensorfile import parse

FORMAT, VERSION = "ebpfnn-raw", 1
DESCRIPTION = "model.json"
THEN = "then."
"""In front of the names of the files of a cascade's next network, as of its tensors (:mod:`ebpfnn.network.modelformat`)."""
MAX_DESCRIPTION = 16 << 20

_DTYPES: dict[str, np.dtype[Any]] = {
    "weights": np.dtype("<i1"),
    "bias": np.dtype("<i4"),
    "factors": np.dtype("<i4"),
    "tables": np.dtype("<i2"),
    "order": np.dtype("<i4"),
    "occupied": np.dtype("<u1"),
}
_WEIGHTED, _TABLES = ("weights", "bias"), ("tables", "bias", "order", "occupied")
_OF_TYPE = {"table": _TABLES, "add": ("factors", "bias"), "concat": ("bias",)}
_TWO_LAYERS = {
    0: {"weights": "hweights8.bin", "bias": "hbias32.bin"},
    1: {"weights": "outweights8.bin", "bias": "outbias32.bin"},
}
_KNOWN = re.compile(
    r"model\.json|(then\.)*((h|out)(weights8|bias32)|layer\d+\.(weights8|bias32|factors32|tables16|order32|occupied8))\.bin",
    re.ASCII,
)
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
    described = modelformat.describe(network)
    contents = _contents(network, described, "")
    text = json.dumps({"format": FORMAT, "version": VERSION, **described}, indent=2, allow_nan=False)
    return {DESCRIPTION: _compact(text).encode(), **contents}


def _contents(network: QuantizedNetwork, described: dict[str, Any], prefix: str) -> dict[str, bytes]:
    """The arrays of ``network``. What ``described`` says of it gets the names of their files, which begin with ``prefix``."""
    contents: dict[str, bytes] = {}
    two_layers = _two_layers(described["layers"])
    for number, layer in enumerate(network.layers):
        if isinstance(layer, Unscaled):
            continue
        about = described["layers"][number]
        for kind in _kinds(layer):
            name, array = prefix + _name(number, kind, two_layers=two_layers), getattr(layer, kind)
            contents[name] = np.ascontiguousarray(array, _DTYPES[kind]).tobytes()
            about[kind] = {"file": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        if isinstance(layer.requantization, Requantization):
            about |= {sign: getattr(layer.requantization, sign).tolist() for sign in ("positive", "negative")}
            table = layer.requantization.activation
            about |= {} if table is None else {"activation": table.tolist()}
    if network.then:
        contents |= _contents(network.then.network, described["then"]["network"], prefix + THEN)
    return contents


def _kinds(layer: Layer) -> tuple[str, ...]:
    if isinstance(layer, Add | Concat):
        return _OF_TYPE["add" if isinstance(layer, Add) else "concat"]
    if not isinstance(layer, Table):
        return _WEIGHTED
    return _TABLES if len(layer.occupied) else _TABLES[:-1]


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
        networks = list(_networks(described))
        parts = [part for prefix, layers in networks for part in _parts(layers, prefix)]
        arrays = {name: array for prefix, layers in networks for name, array in _multipliers(layers, prefix)}
    arrays |= {part.tensor: part.read(directory) for part in parts}
    with _naming(path):
        return modelformat.build(described, _sparse(arrays))


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


def _networks(described: Described) -> Iterator[tuple[str, list[object]]]:
    """The layers of each network of a cascade, with what the names of its tensors and files begin with."""
    for stage in range(MOST_STAGES):
        yield THEN * stage, fields.get(described, "layers", list)
        if "then" not in described:
            return
        described = fields.get(fields.get(described, "then", dict), "network", dict)
    raise ModelError(f"more than {MOST_STAGES} networks in a cascade")


def _parts(layers: list[object], prefix: str) -> Iterator[_Part]:
    """The files that the layers speak of, their shapes bounded."""
    two_layers = _two_layers(layers)
    for number, layer in _weighted(layers):
        kind = layer.get("type")
        known = _OF_TYPE.get(kind, _WEIGHTED) if isinstance(kind, str) else _WEIGHTED
        for kind in (kind for kind in known if kind in layer or kind != "occupied"):
            name = prefix + _name(number, kind, two_layers=two_layers)
            about = fields.within(f"layer {number}", fields.get, layer, kind, dict)
            shape = fields.within(f"layer {number}", fields.integers, about, "shape")
            expect(min(shape, default=0) > 0 and prod(shape) <= LARGEST_SIZE, f"layer {number}: {kind} of {list(shape)}")
            expect(about.get("file") == name, f"layer {number}: {kind} must be in {name!r}, not {about.get('file')!r}")
            yield _Part(f"{prefix}layers.{number}.{kind}", name, _DTYPES[kind], shape)


def _sparse(arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """``arrays`` as a model file has them: of tables those rows that are not all 0; and the occupied groups of no samples."""
    found: dict[str, NDArray[Any]] = {}
    for name, array in arrays.items():
        layer, _, kind = name.rpartition(".")
        if kind != "tables":
            found[name] = array
            continue
        groups = len(arrays[f"{layer}.order"])
        expect(array.ndim == 3 and len(array) == groups, f"tables must be int16 [{groups}, rows, outputs]")
        found |= {f"{layer}.{part}": each for part, each in tableformat.stored(array).items()}
        found.setdefault(f"{layer}.occupied", np.zeros((0, 0), np.uint8))
    return found


def _multipliers(layers: list[object], prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for number, layer in _weighted(layers):
        if "byte_lanes" in layer:
            continue
        for sign in ("positive", "negative"):
            values = fields.within(f"layer {number}", fields.integers, layer, sign)
            expect(all(value <= INT32_MAX for value in values), f"layer {number}: {sign!r} must fit int32")
            yield f"{prefix}layers.{number}.{sign}", np.array(values, np.int32)
        if "activation" in layer:
            values = fields.within(f"layer {number}", fields.integers, layer, "activation")
            expect(all(-128 <= value <= 255 for value in values), f"layer {number}: 'activation' must hold bytes")
            yield f"{prefix}layers.{number}.activation", np.array(values, np.int16)


def _weighted(layers: list[object]) -> Iterator[tuple[int, Described]]:
    """The layers with weights; :func:`modelformat.build` tells whether they are of a type that has any."""
    for number, layer in enumerate(layers):
        if not isinstance(layer, dict):
            raise ModelError(f"layer {number} is not described by a JSON object")
        if layer.get("type") not in ("max_pool", "squared_error"):
            yield number, layer


def _two_layers(layers: list[Any]) -> bool:
    """Whether the layers are two, both dense, whose files have shorter names."""
    return len(layers) == 2 and all(isinstance(layer, dict) and layer.get("type") == "dense" for layer in layers)


def _name(number: int, kind: str, *, two_layers: bool) -> str:
    """The file of an array of a layer."""
    if two_layers:
        return _TWO_LAYERS[number][kind]
    return f"layer{number}.{kind}{8 * _DTYPES[kind].itemsize}.bin"


def _compact(text: str) -> str:
    """``text`` with a list of numbers on one line: thousands of multipliers, one a line, hide the rest.

    Such a list is told from a string that looks like one by its line breaks, which JSON's strings cannot hold.
    """
    return re.sub(r"\[\n[-+\d.e,\s]*\]", lambda numbers: f"[{' '.join(numbers[0][1:-1].split())}]", text)
