"""The input ``image-stream``: every image on standard input, in order, each as soon as it is complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from ebpfnn.errors import Error, InputError
from ebpfnn.plugin import InputSource, Sample, Wanted, hookimpl

from .framing import begins_image, pieces
from .image_file import answered

STDIN = "-"


class ImageStream(InputSource):
    name = "image-stream"
    summary = "images on standard input, one after another, or as a camera's multipart MJPEG"

    def accepts(self, uri: str, head: bytes) -> bool:
        """Accepts an empty stream too, to report that it is empty and what to give."""
        return uri == STDIN and (not head or begins_image(head))

    def samples(self, uri: str, stream: BinaryIO, wanted: Wanted) -> Iterator[Sample | Error]:
        name, number = "stdin" if uri == STDIN else uri, 0
        for number, piece in enumerate(pieces(stream), 1):
            yield from answered(piece, f"{name}:{number}", wanted)
        if not number:
            name = "standard input" if uri == STDIN else uri
            yield InputError(f"{name}: empty; give an image, e.g. ebpfnn infer < digit.png")


@hookimpl
def ebpfnn_inputs() -> Iterable[InputSource]:
    return [ImageStream()]
