"""The input ``image-file``: a file of images. Every frame is one sample."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import BinaryIO

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Sample, Wanted, hookimpl
from ebpfnn.preparation.formats import NAMES, SUFFIXES

from .framing import Piece, begins_image, fault, pieces

_OTHERS = (b"\x1f\x8b\x08", b"PK\3\4", b"\x93NUMPY", b"\0\0\x08")
"""Files that other inputs claim, whatever their names are."""


class ImageFile(InputSource):
    name = "image-file"
    summary = f"file of images, every frame of each: {NAMES}"

    def accepts(self, uri: str, head: bytes) -> bool:
        """Accepts a file by its first bytes or by its name. A broken file with an image's name then gets an error message."""
        return uri != "-" and (begins_image(head) or (_is_called_image(uri) and not head.startswith(_OTHERS)))

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error]:
        """Images are numbered if there are several. In a pipe they are always numbered, since the second one may come late."""
        found = pieces(stream)
        first = next(found, None)
        if first is None:
            yield InputError(f"{uri}: empty; give a {NAMES} file")
            return
        second = next(found, None) if stream.seekable() else first
        if second is None:
            yield from _alone(first, uri, wanted)
            return
        yield from answered(first, f"{uri}:1", wanted)
        if second is not first:
            yield from answered(second, f"{uri}:2", wanted)
        for number, piece in enumerate(found, 2 if second is first else 3):
            yield from answered(piece, f"{uri}:{number}", wanted)


def _is_called_image(uri: str) -> bool:
    return PurePath(uri).suffix.lower() in SUFFIXES or (mimetypes.guess_type(uri)[0] or "").startswith("image/")


def _alone(piece: Piece, source: str, wanted: Wanted) -> Iterator[Sample | Error]:
    if piece.fault and not piece.begun:
        yield InputError(f"{source}: not an image of a known format; give a {NAMES} file")
    else:
        yield from answered(piece, source, wanted)


def answered(piece: Piece, source: str, wanted: Wanted) -> Iterator[Sample | Error]:
    """The samples of all frames of the image in ``piece``, or the reason why there are none."""
    from ebpfnn.preparation.decode import pictures  # imported late: Pillow takes longer than most commands take to run

    if piece.fault:
        yield fault(piece, source)
        return
    try:
        for picture in pictures(piece.image, source):
            yield from wanted.samples(picture, picture.source)
    except InputError as error:
        yield error


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [ImageFile()]
