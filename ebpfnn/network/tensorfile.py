"""A file of tensors and JSON that tells what they are: the container of networks, in integers and in floats.

The format is safetensors (https://huggingface.co/docs/safetensors): a length, a JSON header, then raw little-endian tensors.
Unlike a pickle it cannot carry code, unlike a zip of arrays it can be mapped as it lies, and public tools show what is in it.

The header's ``__metadata__`` holds ``format``, ``version`` and ``network``, which is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from ..errors import ModelError
from .layers import expect

MAX_HEADER = 8 << 20

Tensors = Mapping[str, NDArray[Any]]


class OtherVersion(ModelError):
    """A file of a version that this ebpfnn does not read; the message has the remedy."""


@dataclass(frozen=True)
class Container:
    """One kind of file: ``format`` and ``version`` as they are in it, and what people call its contents.

    ``readable`` are the versions that are read besides.
    """

    format: str
    version: str
    contents: str
    readable: tuple[str, ...] = ()

    def encode(self, described: Mapping[str, Any], tensors: Tensors) -> bytes:
        """The file's bytes; the same for the same arguments."""
        metadata = {"format": self.format, "version": self.version, "network": json.dumps(described, allow_nan=False)}
        return _in_order(safetensors.numpy.save(dict(tensors), metadata))

    def decode(self, data: bytes) -> tuple[dict[str, Any], Tensors]:
        """What :meth:`encode` was given; tensors are read-only.

        Raises :class:`ModelError` where ``data`` are malformed, or of another format, :class:`OtherVersion` for a version that
        is not read.
        """
        check_header(data)
        try:
            tensors = safetensors.numpy.load(data)
        except (SafetensorError, KeyError, ValueError, TypeError) as error:
            # KeyError, TypeError: a dtype that numpy lacks. The library's words span lines, and say nothing a user can act on.
            raise ModelError("not a safetensors file, or cut short") from error
        for array in tensors.values():
            array.setflags(write=False)
        return self._described(_header(data)[0].get("__metadata__", {})), tensors

    def _described(self, metadata: Mapping[str, str]) -> dict[str, Any]:
        expect(metadata.get("format") == self.format, f"a safetensors file, but not of {self.contents}")
        version = metadata.get("version")
        known = tuple(dict.fromkeys((*self.readable, self.version)))
        if version not in known:
            fact = f"version {version!r} of the format, but this ebpfnn reads {', '.join(known)}"
            raise OtherVersion(f"{fact}; install the ebpfnn that wrote it, or write it again with this one")
        return parse(metadata.get("network", ""))


def check_header(data: bytes) -> None:
    """Raises :class:`ModelError` where the header is over 8 MiB: in memory JSON takes 20 times as much."""
    size = int.from_bytes(data[:8], "little")
    expect(
        size <= MAX_HEADER or size > len(data),
        f"its header has {size} bytes, over {MAX_HEADER >> 20} MiB; give a smaller network",
    )


def parse(text: str | bytes) -> dict[str, Any]:
    """The JSON object that tells of a network. Raises :class:`ModelError` where ``text`` is none."""
    try:
        described = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError("the network's description is not JSON") from error
    expect(isinstance(described, dict), "the network's description is not a JSON object")
    return dict(described)


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
