"""The inputs ``npy`` and ``idx``: files that hold one array. Each row is one sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import prod
from pathlib import PurePath
from typing import BinaryIO

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Sample, Wanted, hookimpl
from ebpfnn.preparation import Values
from ebpfnn.preparation.arrays import IDX, NPY, Array, read_idx, read_npy, rows


class Npy(InputSource):
    name = "npy"
    summary = ".npy file, every row a sample"

    def accepts(self, uri: str, head: bytes) -> bool:
        return head.startswith(NPY)

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error]:
        try:
            yield from _samples(read_npy(stream), stream, _name(uri), wanted)
        except InputError as error:
            yield InputError(f"{_name(uri)}: {error}")


class Idx(InputSource):
    name = "idx"
    summary = "idx file, every row a sample; those of emnist-* are turned upright"

    def accepts(self, uri: str, head: bytes) -> bool:
        return head.startswith(IDX) and len(head) > 3 and 1 <= head[3] <= 4

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error]:
        try:
            on_its_side = PurePath(uri).name.startswith("emnist-")
            yield from _samples(read_idx(stream), stream, _name(uri), wanted, transpose=on_its_side)
        except InputError as error:
            yield InputError(f"{_name(uri)}: {error}")


def _name(uri: str) -> str:
    return "stdin" if uri == "-" else uri


def _samples(array: Array, stream: BinaryIO, name: str, wanted: Wanted, *, transpose: bool = False) -> Iterator[Sample | Error]:
    """The array as one sample if it has as many values as a sample, else its rows. An error in the first row ends the file."""
    if prod(array.shape) == prod(wanted.form.shape):
        array = array._replace(shape=(1, *array.shape))
    if len(array.shape) < 2:
        raise InputError(f"{prod(array.shape)} single values, such as labels; give samples, [n, ...]")
    transpose = transpose and len(array.shape) == 3
    notes = ("turned upright, as EMNIST's lie on their side",) if transpose else ()
    for number, row in enumerate(rows(array, stream), 1):
        source = f"{name}:{number}" if array.shape[0] > 1 else name
        made = list(wanted.samples(Values(row.T if transpose else row, notes), source))
        yield from made
        if number == 1 and array.shape[0] > 1 and all(isinstance(each, Error) for each in made):
            yield InputError(f"{name}: its other {array.shape[0] - 1} rows are left out, for they have the same shape")
            return


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [Npy(), Idx()]
