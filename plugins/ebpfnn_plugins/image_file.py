"""The input ``image-file``: a path to an image, of which every frame is one sample."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Sample, Wanted, hookimpl
from ebpfnn.preparation.formats import MAX_BYTES, NAMES

from .framing import begins_image


class ImageFile(InputSource):
    name = "image-file"
    summary = f"file with one image: {NAMES}"

    def accepts(self, uri: str, head: bytes) -> bool:
        """By its first bytes, or by its name: a file that only claims to be an image is to be told so."""
        return uri != "-" and (begins_image(head) or (mimetypes.guess_type(uri)[0] or "").startswith("image/"))

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error]:
        yield from samples(stream.read(MAX_BYTES + 1), uri, wanted)


def samples(data: bytes, source: str, wanted: Wanted) -> Iterator[Sample | Error]:
    """The samples of every frame of the image in ``data``, or why there is none."""
    from ebpfnn.preparation.decode import pictures  # late: Pillow takes longer to import than most commands take to run

    try:
        for picture in pictures(data, source):
            yield from wanted.samples(picture, picture.source)
    except InputError as error:
        yield error


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [ImageFile()]
