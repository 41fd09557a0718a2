"""A quantized network as one file.

The format is safetensors (https://huggingface.co/docs/safetensors): a length, a JSON header, then raw little-endian tensors.
Unlike a pickle it cannot carry code, unlike a zip of arrays it can be mapped as it lies, and public tools show what is in it.

Tensors are ``layers.N.weights``, ``.bias``, ``.positive`` and ``.negative``; the header's ``__metadata__`` holds ``format``,
``version`` and ``network``, which is JSON: all that a :class:`~ebpfnn.network.QuantizedNetwork` has besides tensors.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from .errors import ModelError
from .network import Dense, QuantizedNetwork

FORMAT, VERSION = "ebpfnn", "1"
SUFFIX = ".safetensors"
MAX_BYTES = 64 << 20
BUNDLED = Path(__file__).parent / "data"
"""Where the networks that ship with ebpfnn lie."""

_TENSORS = ("weights", "bias", "positive", "negative")
_REMEDY = "give a file that `ebpfnn train` wrote"


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that ``name_or_path`` means: a bundled network for a bare name such as ``mnist``, else a path.

    Raises :class:`ModelError` for a bare name that is neither bundled nor a file; a path need not exist.
    """
    text = os.fspath(name_or_path)
    names = sorted(path.stem for path in BUNDLED.glob("*" + SUFFIX))
    if text in names:
        return BUNDLED / (text + SUFFIX)
    path = Path(text)
    if "/" in text or text.endswith(SUFFIX) or path.is_file():
        return path
    raise ModelError(f"network {text!r} not found; give a path, or a bundled one: {', '.join(names) or '(none)'}")


def save(network: QuantizedNetwork, path: str | os.PathLike[str]) -> None:
    """Writes ``network`` to ``path``: all of it, or nothing, so that a failure leaves a former file as it was.

    Raises :class:`ModelError` where the file cannot be written or :func:`load` would not take it.
    """
    path = Path(path)
    data = _encode(network)
    _decode(data, path)
    try:
        _replace(path, data)
    except OSError as error:
        remedy = "give a path in a directory you may write to"
        raise ModelError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


def _replace(path: Path, data: bytes) -> None:
    """Writes beside ``path``, under a name that nobody can have prepared, and renames; the directory is made to remember."""
    handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(handle, "wb") as file:
            os.fchmod(handle, 0o666 & ~_umask())
            file.write(data)
            file.flush()
            os.fsync(handle)
        os.replace(beside, path)  # noqa: PTH105
    except BaseException:
        os.unlink(beside)  # noqa: PTH108
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _umask() -> int:
    """There is no way to read it but to set it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> QuantizedNetwork:
    """Reads the network in ``path``; its arrays are read-only.

    Raises :class:`ModelError`, naming the file, where it is absent, malformed, of a later version, or over 64 MiB.
    """
    path = Path(path)
    return _decode(_read(path), path)


def _read(path: Path) -> bytes:
    try:
        # O_NONBLOCK: a FIFO that nobody writes to must not block the open.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ModelError(f"{path}: not a regular file; {_REMEDY}")
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    if len(data) > MAX_BYTES:
        raise ModelError(f"{path}: larger than {MAX_BYTES >> 20} MiB; {_REMEDY}")
    return data


def _encode(network: QuantizedNetwork) -> bytes:
    described = {
        "name": network.name,
        "input_shape": list(network.input_shape),
        "labels": list(network.labels),
        "layers": [
            {"type": "dense", "shift": layer.shift, "low": layer.low, "high": layer.high, "slope": layer.slope}
            for layer in network.layers
        ],
        "score_scale": network.score_scale,
        "card": dict(network.card),
    }
    tensors = {
        f"layers.{number}.{name}": np.ascontiguousarray(getattr(layer, name))
        for number, layer in enumerate(network.layers)
        for name in _TENSORS
    }
    metadata = {"format": FORMAT, "version": VERSION, "network": json.dumps(described)}
    return _in_order(safetensors.numpy.save(tensors, metadata))


def _in_order(data: bytes) -> bytes:
    """The same file with its header's keys sorted: the library shuffles them, and one network should make one file."""
    header, end = _header(data)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format's own padding, which keeps tensors aligned
    return len(text).to_bytes(8, "little") + text + data[end:]


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header, whose form (u64 length, JSON) the safetensors library made or has checked, and where it ends."""
    end = 8 + int.from_bytes(data[:8], "little")
    return dict(json.loads(data[8:end])), end


def _decode(data: bytes, path: Path) -> QuantizedNetwork:
    try:
        tensors = safetensors.numpy.load(data)
    except (SafetensorError, KeyError, ValueError) as error:
        # KeyError: a dtype that numpy lacks. The library's words can span lines, and say nothing a user can act on.
        raise ModelError(f"{path}: not a safetensors file, or cut short; {_REMEDY}") from error
    try:
        return _network(_metadata(data), tensors)
    except ModelError as error:
        raise ModelError(f"{path}: {error}; {_REMEDY}") from error


def _metadata(data: bytes) -> dict[str, Any]:
    """What the header says of the network."""
    metadata = _header(data)[0].get("__metadata__", {})
    _expect(metadata.get("format") == FORMAT, "a safetensors file, but not of a quantized network")
    version = metadata.get("version")
    _expect(version == VERSION, f"version {version!r} of the format, and this ebpfnn reads {VERSION}")
    try:
        network = json.loads(metadata.get("network", ""))
    except (ValueError, RecursionError) as error:
        raise ModelError("the network's description is not JSON") from error
    _expect(isinstance(network, dict), "the network's description is not a JSON object")
    return dict(network)


def _network(described: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> QuantizedNetwork:
    layers, shape, labels = (_get(described, name, list) for name in ("layers", "input_shape", "labels"))
    name, card, score_scale = _get(described, "name", str), _get(described, "card", dict), _number(described, "score_scale")
    _expect(all(type(size) is int for size in shape), "'input_shape' must hold integers")
    _expect(all(_is_text(label) for label in labels), "'labels' must hold printable strings")
    _expect(all(map(_is_text, (*card, *card.values()))), "'card' must map printable strings to printable strings")
    _expect(score_scale > 0, "'score_scale' must be positive")
    _expect(_is_text(name), "'name' must be printable")
    expected = {f"layers.{number}.{tensor}" for number in range(len(layers)) for tensor in _TENSORS}
    for wrong in sorted(expected ^ set(tensors)):
        raise ModelError(f"tensor {wrong!r} is {'missing' if wrong in expected else 'not expected'}")
    built = tuple(_dense(number, layer, tensors) for number, layer in enumerate(layers))
    return QuantizedNetwork(name, tuple(shape), tuple(labels), built, score_scale, card)


def _dense(number: int, described: object, tensors: Mapping[str, NDArray[Any]]) -> Dense:
    arrays = {name: tensors[f"layers.{number}.{name}"] for name in _TENSORS}
    for array in arrays.values():
        array.setflags(write=False)
    try:
        if not isinstance(described, dict):
            raise ModelError("is not described by a JSON object")
        kind = _get(described, "type", str)
        _expect(kind == "dense", f"is of type {kind!r}, and this ebpfnn knows 'dense'")
        shift, low, high = (_get(described, name, int) for name in ("shift", "low", "high"))
        return Dense(**arrays, shift=shift, low=low, high=high, slope=_number(described, "slope"))
    except ModelError as error:
        raise ModelError(f"layer {number}: {error}") from error


def _get(described: Mapping[str, Any], name: str, kind: type) -> Any:
    # The exact type: JSON's true is an int to isinstance.
    _expect(type(described.get(name)) is kind, f"{name!r} must be of type {kind.__name__}")
    return described[name]


def _number(described: Mapping[str, Any], name: str) -> float:
    value = described.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ModelError(f"{name!r} must be a number")
    _expect(abs(value) <= sys.float_info.max, f"{name!r} must be finite")  # NaN compares false
    return float(value)


def _is_text(value: object) -> bool:
    """Whether ``value`` can be shown on one line of a terminal as it is."""
    return isinstance(value, str) and value.isprintable()


def _expect(condition: bool, fact: str) -> None:
    if not condition:
        raise ModelError(fact)
