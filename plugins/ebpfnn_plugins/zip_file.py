"""The input ``zip``: the files of a zip archive, in order, including the arrays of an .npz file. Nothing is written to disk."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Member, Sample, Wanted, hookimpl, take, zips

from .archives import MAX_MEMBER, member, shown, too_large

_SAMPLES, _LABELS = "samples.npy", "labels.npy"
"""What a data set has, of which labels are not inferred."""


class Zip(InputSource):
    name = "zip"
    summary = "zip archive or .npz file, each file in it read as if it were one"

    def accepts(self, uri: str, head: bytes) -> bool:
        return head.startswith((b"PK\3\4", b"PK\5\6"))

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error | Member]:
        """A pipe is read completely first, since a zip archive has its list of files at the end."""
        name = "stdin" if uri == "-" else uri
        try:
            with zips.opened(stream if stream.seekable() else _held(stream, name)) as archive:
                yield from _members(archive, name)
        except zips.DAMAGE as error:
            fact = f"over {zips.MAX_ENTRIES} files in it" if "entries" in str(error) else "cut short or damaged"
            raise InputError(f"{name}: {fact}; give a whole archive, or several") from error


def _held(stream: BinaryIO, name: str) -> BinaryIO:
    data = take(stream, MAX_MEMBER + 1)
    if len(data) > MAX_MEMBER:
        raise InputError(f"{name}: a zip archive over {MAX_MEMBER >> 20} MiB; give it as a file")
    return cast("BinaryIO", io.BytesIO(data))


def _members(archive: zipfile.ZipFile, name: str) -> Iterator[Error | Member]:
    infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
    files = [info for info in infos if not info.is_dir()]
    is_data_set = {_SAMPLES, _LABELS} <= {info.filename for info in files}
    for info in files:
        if not (is_data_set and info.filename == _LABELS):
            yield _member(archive, name, info)
    if not files:
        yield InputError(f"{name}: an archive without files; give one with images")


def _member(archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo) -> Error | Member:
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        kind = "a link" if stat.S_ISLNK(mode) else "a device or FIFO"
        return InputError(f"{shown(name, info.filename)}: {kind}, left out; archive what it stands for")
    if info.file_size > MAX_MEMBER:
        return too_large(name, info.filename, info.file_size)
    try:
        return member(name, info.filename, zips.read_entry(archive, info))
    except zips.DAMAGE as error:
        fact = "wants a password" if isinstance(error, RuntimeError) else "cannot be unpacked"
        return InputError(f"{shown(name, info.filename)}: {fact}; make the archive anew")


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [Zip()]
