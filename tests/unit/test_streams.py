"""Streams of images that other programs made: every image and frame is answered, and no answer mixes two."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
from ebpfnn_plugins.framing import Piece, pieces
from ebpfnn_plugins.image_file import ImageFile
from ebpfnn_plugins.image_stream import ImageStream
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ebpfnn.bodies import modelfile
from ebpfnn.errors import InputError
from ebpfnn.network.reference import scores
from ebpfnn.plugin import Plugins, Sample
from ebpfnn.plugin.reading import read
from ebpfnn.preparation.decode import pictures

DATA = Path(__file__).parents[1] / "data"
SHOWN = {
    "1-plain.pgm": "1", "2.bmp": "2", "3.pgm": "3", "3.webp": "3", "4.pgm": "4", "5.pam": "5", "6-ffmpeg.jpg": "6",
    "6.jpg": "6", "7.pbm": "7", "7.ppm": "7", "8.j2k": "8", "8.jp2": "8", "9.tif": "9",
    "animated.gif": "012", "animated.png": "678", "animated.webp": "45", "camera.mjpeg": "123", "pages.tif": "012",
    "thumbnail.jpg": "7", "two.mpo": "89",
}  # fmt: skip
"""The digits that each file shows, by what it was made of."""
ONE_IMAGE = sorted(SHOWN.keys() - {"camera.mjpeg"})
UNDECIDABLE = {"thumbnail.jpg": {30, 202}, "two.mpo": {28}}
"""Where a file holds the start of another image, cutting it there and appending one gives what looks the same."""


@cache
def contents(name: str) -> bytes:
    return (DATA / "streams" / name).read_bytes()


def split(data: bytes) -> list[Piece]:
    return list(pieces(io.BytesIO(data)))


def is_whole(image: bytes, name: str) -> bool:
    """Plain PNM ends at its last digit; the white space behind it is padding."""
    return image == (contents(name).rstrip() if name == "1-plain.pgm" else contents(name))


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.installed()


@pytest.fixture
def told(plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """What ``ebpfnn infer`` tells of paths, or of bytes on standard input: names with labels, or errors."""
    network = modelfile.load(modelfile.resolve("mnist"))

    def answers(*uris: str, stdin: object = None) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin) if stdin else None)  # type: ignore[arg-type]
        made = read(uris or ("-",), plugins, plugins.wanted(network.input))
        return [
            f"{each.source}={int(np.argmax(scores(network, each.data)))}" if isinstance(each, Sample) else str(each)
            for each in made
        ]

    return answers


def digits(answers: list[str]) -> str:
    return "".join(each.rpartition("=")[2] for each in answers)


@pytest.mark.parametrize("name", SHOWN)
def test_every_image_and_frame_is_answered_and_numbered(name: str, told: Callable[..., list[str]]) -> None:
    path = str(DATA / "streams" / name)
    answers = told(path)
    assert digits(answers) == SHOWN[name]
    several = [f"{path}:{number}={digit}" for number, digit in enumerate(SHOWN[name], 1)]
    assert answers == (several if len(SHOWN[name]) > 1 else [f"{path}={SHOWN[name]}"])


@pytest.mark.parametrize("name", SHOWN)
def test_a_pipe_gives_what_the_file_gives(name: str, told: Callable[..., list[str]], tmp_path: Path) -> None:
    fifo, data = tmp_path / "fifo", (DATA / "streams" / name).read_bytes()
    os.mkfifo(fifo)
    writer = threading.Thread(target=fifo.write_bytes, args=(data * 2,))
    writer.start()
    from_fifo = told(str(fifo))
    writer.join()
    from_stdin = told(stdin=io.BytesIO(data * 2))
    (tmp_path / "file").write_bytes(data * 2)
    from_file = told(str(tmp_path / "file"))
    assert digits(from_fifo) == digits(from_stdin) == digits(from_file) == SHOWN[name] * 2
    named = [[each.replace(uri, "x", 1) for each in told] for uri, told in
             ((str(fifo), from_fifo), ("stdin", from_stdin), (str(tmp_path / "file"), from_file))]  # fmt: skip
    assert named[0] == named[1] == named[2]


def test_what_was_cut_is_an_error_with_its_number_and_offset_and_takes_no_other_with_it(told: Callable[..., list[str]]) -> None:
    parts = [
        contents("3.pgm"),
        contents("4.pgm"),
        contents("7.pbm"),
        contents("4.pgm")[:400],
        contents("4.pgm"),
        contents("7.ppm"),
    ]
    answers = told(stdin=io.BytesIO(b"".join(parts)))
    assert [each for each in answers if "=" in each] == ["stdin:1=3", "stdin:2=4", "stdin:3=7", "stdin:5=4", "stdin:6=7"]
    assert answers[3] == "stdin:4: PNM, cut short after 400 bytes, begun at byte 1715; give whole images, one after another"


@settings(deadline=None, max_examples=1500)
@given(st.sampled_from(ONE_IMAGE), st.sampled_from(ONE_IMAGE), st.floats(0, 1))
def test_a_cut_at_any_byte_is_one_error_and_the_next_image_whole(cut: str, following: str, part: float) -> None:
    whole, after = contents(cut), contents(following)
    size = 1 + int(part * (len(whole.rstrip()) - 2))
    stump = whole[:size]
    padding = len(stump) - len(stump.lstrip(b" \t\r\n\0"))
    if size in UNDECIDABLE.get(cut, ()) or padding == size:  # which is passed over
        return
    first, second = split(stump + after)
    assert is_whole(second.image, following)
    if cut == "two.mpo" and not first.fault:  # its first picture may be whole, and is answered
        assert first.image == stump
        with pytest.raises(InputError, match=r"^x:2: "):
            list(pictures(first.image, "x"))
    else:
        assert first.fault.endswith((", begun at byte 0", f", at byte {padding}", ", at byte 0"))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(ONE_IMAGE), st.floats(0.05, 1)), min_size=1, max_size=6), st.integers(1, 4000))
def test_answers_and_errors_are_as_many_as_images_whatever_a_pipe_gives_at_once(
    parts: list[tuple[str, float]], step: int
) -> None:
    cuts = [(name, contents(name)[: max(64, int(2 * part * len(contents(name))))]) for name, part in parts]
    cuts = [(name, data) for name, data in cuts if len(data) not in UNDECIDABLE.get(name, ())]
    reading, writing = os.pipe()
    writer = threading.Thread(target=_trickle, args=(writing, b"".join(data for _, data in cuts), step))
    writer.start()
    with open(reading, "rb") as pipe:
        found = list(pieces(pipe))
    writer.join()
    assert len(found) == len(cuts)
    for piece, (name, data) in zip(found, cuts, strict=True):
        if data == contents(name):
            assert is_whole(piece.image, name)
        else:
            assert piece.fault or data.startswith(piece.image)


def _trickle(writing: int, data: bytes, step: int) -> None:
    with open(writing, "wb", buffering=0) as pipe:
        for at in range(0, len(data), step):
            pipe.write(data[at : at + step])


def test_a_png_with_another_checksum_is_an_error() -> None:
    png = (DATA / "digits" / "3.png").read_bytes()
    at = png.index(b"IDAT") + 20
    changed = png[:at] + bytes([png[at] ^ 1]) + png[at + 1 :]
    first, second = split(changed + png)
    assert "its chunk IDAT at byte 33 has another checksum" in first.fault
    assert second.image == png


@pytest.fixture
def open_pipe() -> Iterator[Callable[[bytes], BinaryIO]]:
    """A pipe that holds some bytes and gives no end, unless nobody reads them within 20 seconds: then it ends, marked."""
    ends: list[int] = []

    def end() -> None:
        os.write(ends[1], b"late")
        os.close(ends.pop())

    def made(data: bytes) -> BinaryIO:
        ends.extend(os.pipe())
        os.write(ends[1], data)
        return open(ends[0], "rb")

    timer = threading.Timer(20, end)
    timer.start()
    yield made
    timer.cancel()
    assert len(ends) == 2, "waited for the next image"
    os.close(ends[1])


def test_an_image_in_a_pipe_is_answered_before_the_next_one_comes(open_pipe: Callable[[bytes], BinaryIO]) -> None:
    """Also where its last byte could be the first of another one: that is waited for a moment only."""
    image = b"P5 2 2 255\n\0\1\2P"
    with open_pipe(image) as pipe:
        assert next(pieces(pipe)).image == image


def test_an_image_in_a_fifo_is_answered_before_the_next_one_comes(
    open_pipe: Callable[[bytes], BinaryIO], plugins: Plugins
) -> None:
    wanted = plugins.wanted(modelfile.load(modelfile.resolve("mnist")).input)
    with open_pipe(contents("3.pgm")) as pipe:
        sample = next(iter(ImageFile().samples("fifo", pipe, wanted)))
    assert isinstance(sample, Sample)
    assert sample.source == "fifo:1"


def test_no_end_of_the_stream_takes_more_memory() -> None:
    program = (
        "import sys, resource; from ebpfnn_plugins.framing import pieces\n"
        "for number, piece in enumerate(pieces(sys.stdin.buffer), 1):\n"
        "    if number == 2000: base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    if number == 60000: break\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)"
    )
    images = [str(DATA / "streams" / name) for name in ("3.pgm", "3.pgm", "6.jpg", "3.pgm")]
    endless = ["sh", "-c", 'while cat "$@"; do :; done', "sh", *images * 500]
    with subprocess.Popen(endless, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
        ran = subprocess.run([sys.executable, "-c", program], stdin=writer.stdout, capture_output=True, text=True, check=True)
        writer.terminate()
        writer.stdout.close()  # type: ignore[union-attr]
    assert int(ran.stdout) < 4096


def gain_mapped() -> bytes:
    """As phones write them: an XMP segment that speaks of a gain map, which lies behind as the second picture."""
    out = io.BytesIO()
    one, two = (Image.open(DATA / "digits" / f"{digit}.png") for digit in (8, 9))
    one.save(out, "MPO", save_all=True, append_images=[two], quality=90)
    mpo = out.getvalue()
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x hdrgm:Version="1.0"/>'
    at = mpo.index(b"\xff\xe2")
    return mpo[:at] + b"\xff\xe1" + (2 + len(xmp)).to_bytes(2, "big") + xmp + mpo[at:]


def test_a_gain_map_is_left_out_and_told(plugins: Plugins) -> None:
    wanted = plugins.wanted(modelfile.load(modelfile.resolve("mnist")).input)
    for source in (ImageFile(), ImageStream()):
        uri = "x.jpg" if isinstance(source, ImageFile) else "-"
        [sample] = source.samples(uri, io.BytesIO(gain_mapped()), wanted)
        assert isinstance(sample, Sample)
        assert sample.notes[0] == "its gain map is left out"


def test_frames_that_a_file_promises_and_does_not_have_are_errors() -> None:
    png = contents("animated.png")
    at = png.index(b"acTL")
    promise = b"acTL" + (5).to_bytes(4, "big") + png[at + 8 : at + 12]
    made = pictures(png[:at] + promise + zlib.crc32(promise).to_bytes(4, "big") + png[at + 16 :], "x")
    assert [next(made).source for _ in range(3)] == ["x:1", "x:2", "x:3"]
    with pytest.raises(InputError, match=r"^x:4: "):
        next(made)


def test_multipart_headers_are_no_images_and_a_cut_one_is_an_error() -> None:
    stream = contents("camera.mjpeg")
    assert len(split(stream)) == 3
    second = stream.index(b"\xff\xd8", stream.index(b"\xff\xd9"))
    found = split(stream[: second + 300] + stream[stream.index(b"\xff\xd9", second) + 2 :])
    assert [bool(piece.fault) for piece in found] == [False, True, False]


def test_a_pam_of_16_bits_and_with_alpha_is_what_it_says() -> None:
    header = b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH %d\nMAXVAL %d\nTUPLTYPE X\n# a comment\nENDHDR\n"
    [wide] = pictures(header % (1, 65535) + b"\xff\xff\x80\x80", "x")
    assert wide.gray().tolist() == [[255, 128]]
    [bits] = pictures(header % (1, 1) + b"\1\0", "x")
    assert bits.gray().tolist() == [[255, 0]]
    [color] = pictures(header % (3, 255) + bytes(range(6)), "x")
    assert color.color().tolist() == [[[0, 1, 2], [3, 4, 5]]]
    with pytest.raises(InputError, match="a PAM of depth 7"):
        list(pictures(header % (7, 255) + bytes(14), "x"))
