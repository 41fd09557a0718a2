"""The input ``image-file``: a path to an image, of which the first frame is one sample."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Sample, hookimpl

from .framing import NAMES, begins_image
from .window import LIMIT


class ImageFile(InputSource):
    name = "image-file"
    summary = f"file with one image: {NAMES}"

    def accepts(self, uri: str, head: bytes) -> bool:
        """By its first bytes, or by its name: a file that only claims to be an image is to be told so."""
        return uri != "-" and (begins_image(head) or (mimetypes.guess_type(uri)[0] or "").startswith("image/"))

    def samples(self, uri: str, stream: BinaryIO, shape: tuple[int, ...]) -> Iterator[Sample | Error]:
        from . import raster  # late: Pillow takes longer to import than most commands take to run

        data = stream.read(LIMIT + 1)
        if len(data) > LIMIT:
            yield InputError(f"{uri}: larger than {LIMIT >> 20} MiB; give a smaller image")
            return
        try:
            yield raster.sample(data, shape, uri)
        except InputError as error:
            yield error


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [ImageFile()]
