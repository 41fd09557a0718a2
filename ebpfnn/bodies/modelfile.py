"""A model as one file.

:mod:`ebpfnn.network.tensorfile` is the container. The kind of the model has the tensors' names and the form of the rest
(:class:`~ebpfnn.compiler.BodyKind`): :mod:`ebpfnn.network.modelformat`, :mod:`ebpfnn.trees.forestformat`.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from .. import abi, files
from ..errors import ModelError, nearest
from ..network import fields
from ..network.model import Model
from ..network.tensorfile import Container, OtherVersion
from ..plugin import Plugins
from .kinds import UnknownKind, kind_named, kind_of

SUFFIX = ".safetensors"
MAX_BYTES = 64 << 20
BUNDLED = Path(__file__).parents[1] / "data"
"""Where the networks that ship with ebpfnn lie."""

_LOG = logging.getLogger(__name__)
_FIRST = "network"
"""The kind of a file that names none."""
_READABLE = ("2",)  # with whatever comes between: what was written once stays readable
_CONTAINER = Container("ebpfnn", str(abi.VERSION), "a model", _READABLE)
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


def save(network: Model, path: str | os.PathLike[str], plugins: Plugins | None = None) -> None:
    """Writes ``network`` to ``path``: all of it, or nothing, so that a failure leaves a former file as it was.

    One network makes one file, byte for byte. Raises :class:`ModelError` where the file cannot be written or :func:`load`
    would not take it.
    """
    path = Path(path)
    data = encode(network, plugins)
    _decode(data, path, plugins)
    try:
        files.replace(path, data)
    except OSError as error:
        remedy = "give a path in a directory you may write to"
        raise ModelError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


def load(path: str | os.PathLike[str], plugins: Plugins | None = None) -> Model:
    """Reads the network in ``path``; its arrays are read-only.

    Kinds of models that are not built in are those of ``plugins``, or of the installed ones if that is None. Raises
    :class:`ModelError`, naming the file, where it is absent, malformed, of another version or kind, or over 64 MiB.
    """
    path = Path(path)
    network = _decode(files.read(path, MAX_BYTES, _REMEDY), path, plugins)
    _LOG.info("network '%s' (%s) read from %s", network.name, network.architecture, path)
    return network


def load_named(name_or_path: str | os.PathLike[str], plugins: Plugins | None = None) -> Model:
    """The bundled network of that name, else the one in the file: ``ebpfnn.load``.

    Raises :class:`ModelError` as :func:`resolve` and :func:`load`.
    """
    return load(resolve(name_or_path), plugins)


def encode(network: Model, plugins: Plugins | None = None) -> bytes:
    """The bytes of the file that :func:`save` writes. Of a network, they are those from before there were other kinds."""
    kind = kind_of(network, plugins)
    named = {} if kind.name == _FIRST else {"kind": kind.name}
    return _CONTAINER.encode({**named, **kind.describe(network)}, kind.tensors(network))


def _decode(data: bytes, path: Path, plugins: Plugins | None) -> Model:
    try:
        described, tensors = _CONTAINER.decode(data)
        name = fields.text(described, "kind") if "kind" in described else _FIRST
        rest = {key: value for key, value in described.items() if key != "kind"}
        built: Model = kind_named(name, plugins).build(rest, tensors)
        return built
    except (OtherVersion, UnknownKind) as error:
        raise ModelError(f"{path}: {error}") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}; {_REMEDY}") from error
