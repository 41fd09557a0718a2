"""The input ``raw-frames``: consecutive samples as bytes. Each has as many bytes as the network takes values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from typing import BinaryIO

import numpy as np

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Sample, Wanted, hookimpl, take
from ebpfnn.preparation import Values


class RawFrames(InputSource):
    name = "raw-frames"
    summary = "samples as bytes, a byte a value, without header (--raw)"

    def accepts(self, uri: str, head: bytes) -> bool:
        """Accepts nothing, since any data could be raw. The user has to name this input."""
        return False

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error]:
        name, size, number = "stdin" if uri == "-" else uri, prod(wanted.form.shape), 0
        while data := take(stream, size):
            number += 1
            if len(data) < size:
                at = (number - 1) * size
                yield InputError(
                    f"{name}:{number}: cut short after {len(data)} of {size} bytes, begun at byte {at}; give whole samples"
                )
                return
            yield from wanted.samples(Values(np.frombuffer(data, np.uint8).reshape(wanted.form.shape)), f"{name}:{number}")
        if not number:
            yield InputError(f"{name}: empty; give samples of {size} bytes")


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [RawFrames()]
