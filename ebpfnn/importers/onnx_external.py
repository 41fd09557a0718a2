"""Weights of an ONNX model in other files, as torch.onnx.export writes them by default (``m.onnx.data``).

The paths in a model are anybody's, so only regular files in the folder of the model, or below it, are read, and no symbolic
link is followed. Source: https://onnx.ai/onnx/repo-docs/ExternalData.html.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..errors import ModelError
from ..network.layers import expect

if TYPE_CHECKING:
    import onnx

MAX_BYTES = 64 << 20
"""The most bytes in other files, all tensors together."""
_BESIDE = "put the file that was exported with the model beside it"
_SAVE = "save the model with external_data=False"


def take_in(tensors: Iterable[onnx.TensorProto], folder: Path) -> None:
    """Puts into each of ``tensors`` that lies in another file what it has there. ``folder`` is that of the model.

    Raises :class:`ModelError`, naming tensor and file, for a path that leaves ``folder``, a file that is absent, no regular
    file or too short, and for more than 64 MiB in all. Nothing is read before its size is known.
    """
    left = MAX_BYTES
    for tensor in tensors:
        if tensor.data_location == tensor.EXTERNAL:
            try:
                data = _read(tensor, folder, left)
            except ModelError as error:
                raise ModelError(f"tensor {tensor.name!r} {error}") from None
            left -= len(data)
            tensor.raw_data = data
            tensor.data_location = tensor.DEFAULT
            del tensor.external_data[:]


def _read(tensor: onnx.TensorProto, folder: Path, most: int) -> bytes:
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    with ExitStack() as held:
        descriptor = _open(held, folder, location)
        size = os.fstat(descriptor).st_size
        offset = _number(told.get("offset") or "0", location)
        length = _number(told["length"], location) if told.get("length") else max(0, size - offset)
        fact = f"is bytes {offset} to {offset + length} of {location!r}, which has {size}"
        expect(offset + length <= size, f"{fact}; copy or export both files again")
        expect(length <= most, f"in {location!r} exceeds the {MAX_BYTES >> 20} MiB of all tensors; give a smaller network")
        data = os.pread(descriptor, length, offset)
        expect(len(data) == length, f"{fact}, and could not be read whole; copy or export both files again")
        return data


def _open(held: ExitStack, folder: Path, location: str) -> int:
    """A descriptor of the regular file at ``location``, opened folder by folder so that no link can lead elsewhere."""
    parts = PurePosixPath(location).parts
    inside = bool(parts) and location.isprintable() and not location.startswith("/") and ".." not in parts
    expect(inside, f"lies at {location!r}, outside the folder of the model, which is not read; {_SAVE}")
    at = _opened(held, str(folder), os.O_DIRECTORY, None, location)
    for part in parts[:-1]:
        at = _opened(held, part, os.O_DIRECTORY | os.O_NOFOLLOW, at, location)
    found = _opened(held, parts[-1], os.O_NOFOLLOW | os.O_NONBLOCK, at, location)
    expect(stat.S_ISREG(os.fstat(found).st_mode), f"lies in {location!r}, which is no regular file; {_BESIDE}")
    return found


def _opened(held: ExitStack, name: str, flags: int, at: int | None, location: str) -> int:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=at)
    except OSError as error:
        fact = "a symbolic link is not followed" if _is_link(name, at) else error.strerror
        raise ModelError(f"lies in {location!r}, which cannot be read ({fact}); {_BESIDE}") from None
    held.callback(os.close, descriptor)
    return descriptor


def _is_link(name: str, at: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _number(text: str, location: str) -> int:
    expect(text.isascii() and text.isdigit() and len(text) < 20, f"has the place {text!r} in {location!r}; export it again")
    return int(text)
