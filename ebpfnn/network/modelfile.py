"""A quantized network as one file.

:mod:`ebpfnn.network.tensorfile` is the container; :mod:`ebpfnn.network.modelformat` has the tensors' names and the form of the
rest.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from .. import abi, files
from ..errors import ModelError, nearest
from . import modelformat
from .network import QuantizedNetwork
from .tensorfile import Container, OtherVersion

SUFFIX = ".safetensors"
MAX_BYTES = 64 << 20
BUNDLED = Path(__file__).parents[1] / "data"
"""Where the networks that ship with ebpfnn lie."""

_LOG = logging.getLogger(__name__)
_READABLE = ("2",)  # with whatever comes between: what was written once stays readable
_CONTAINER = Container("ebpfnn", str(abi.VERSION), "a quantized network", _READABLE)
_REMEDY = "give a file that `ebpfnn train` wrote"


def resolve(name_or_path: str | os.PathLike[str]) -> Path:
    """The file that ``name_or_path`` means: a bundled network for a bare name such as ``mnist``, else a path.

    Raises :class:`ModelError` for a bare name that is neither bundled nor a file; a path need not exist.
    """
    text = os.fspath(name_or_path)
    names = bundled()
    if text in names:
        return BUNDLED / (text + SUFFIX)
    path = Path(text)
    if "/" in text or text.endswith(SUFFIX) or files.is_file(path):
        return path
    remedy = nearest(text, names) or f"; give a path, or a bundled one: {', '.join(names) or '(none)'}"
    raise ModelError(f"network {text!r} not found{remedy}")


def bundled() -> list[str]:
    """The names of the networks that ship with ebpfnn, sorted."""
    return sorted(path.stem for path in BUNDLED.glob("*" + SUFFIX) if not path.stem.endswith(".float"))


def save(network: QuantizedNetwork, path: str | os.PathLike[str]) -> None:
    """Writes ``network`` to ``path``: all of it, or nothing, so that a failure leaves a former file as it was.

    One network makes one file, byte for byte. Raises :class:`ModelError` where the file cannot be written or :func:`load`
    would not take it.
    """
    path = Path(path)
    data = encode(network)
    _decode(data, path)
    try:
        files.replace(path, data)
    except OSError as error:
        remedy = "give a path in a directory you may write to"
        raise ModelError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


def load(path: str | os.PathLike[str]) -> QuantizedNetwork:
    """Reads the network in ``path``; its arrays are read-only.

    Raises :class:`ModelError`, naming the file, where it is absent, malformed, of another version, or over 64 MiB.
    """
    path = Path(path)
    network = _decode(files.read(path, MAX_BYTES, _REMEDY), path)
    _LOG.info("network '%s' (%s) read from %s", network.name, network.architecture, path)
    return network


def load_named(name_or_path: str | os.PathLike[str]) -> QuantizedNetwork:
    """The bundled network of that name, else the one in the file: ``ebpfnn.load``.

    Raises :class:`ModelError` as :func:`resolve` and :func:`load`.
    """
    return load(resolve(name_or_path))


def encode(network: QuantizedNetwork) -> bytes:
    """The bytes of the file that :func:`save` writes."""
    return _CONTAINER.encode(modelformat.describe(network), modelformat.tensors(network))


def _decode(data: bytes, path: Path) -> QuantizedNetwork:
    try:
        return modelformat.build(*_CONTAINER.decode(data))
    except OtherVersion as error:
        raise ModelError(f"{path}: {error}") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}; {_REMEDY}") from error
