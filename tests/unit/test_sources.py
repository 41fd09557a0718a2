"""Directories, patterns, lists of paths, arrays, archives and raw frames, as ``infer`` and ``query`` read them."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ebpfnn_plugins import tar_file

from ebpfnn.bodies import modelfile
from ebpfnn.errors import Error
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.preparation import Preparation
from ebpfnn.plugin import Plugins, Sample
from ebpfnn.plugin.places import files, listed
from ebpfnn.plugin.reading import read

DATA = Path(__file__).parents[1] / "data"
DIGITS = DATA / "digits"
Told = Callable[..., list[str]]


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.installed()


@pytest.fixture(scope="module")
def expected(plugins: Plugins) -> dict[str, bytes]:
    wanted = plugins.wanted(modelfile.load(modelfile.resolve("mnist")).input)
    made = [next(read([str(DIGITS / f"{digit}.png")], plugins, wanted)) for digit in range(10)]
    return {str(digit): each.data.tobytes() for digit, each in enumerate(made) if isinstance(each, Sample)}


@pytest.fixture
def told(plugins: Plugins, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What is read: ``name=digit``, by the bytes that the digit's own file gives, or the error; names relative to tmp_path."""
    known = {data: digit for digit, data in expected.items()}
    wanted = plugins.wanted(modelfile.load(modelfile.resolve("mnist")).input)

    def answers(*uris: str | os.PathLike[str], source: str | None = None, stdin: bytes | None = None) -> list[str]:
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(Pipe(stdin))))
        given = read(map(os.fspath, uris or ("-",)), plugins, wanted, source)
        found = [
            f"{each.source}={known.get(each.data.tobytes(), '?')}" if isinstance(each, Sample) else str(each) for each in given
        ]
        return [each.replace(f"{tmp_path}/", "") for each in found]

    return answers


class Pipe(io.RawIOBase):
    """Bytes that cannot be sought, and come a few at a time."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), 100, len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


def pixels(digit: int) -> np.ndarray:
    return np.fromfile(DATA / "streams" / f"{digit}.pgm", np.uint8)[-784:].reshape(28, 28)


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def png(digit: int) -> bytes:
    return (DIGITS / f"{digit}.png").read_bytes()


def test_a_directory_is_all_files_below_it_and_what_is_left_out_is_told(told: Told, tmp_path: Path) -> None:
    (tmp_path / "d" / "sub").mkdir(parents=True)
    for name, digit in (("2.png", 2), ("1.png", 1), ("sub/3.png", 3), (".hidden.png", 4)):
        (tmp_path / "d" / name).write_bytes(png(digit))
    (tmp_path / "d" / "loop").symlink_to(tmp_path / "d")
    (tmp_path / "d" / "link.png").symlink_to(tmp_path / "d" / "2.png")
    os.mkfifo(tmp_path / "d" / "p")
    (tmp_path / "d" / "z.txt").write_text("text")
    answers = told(tmp_path / "d")
    assert [each for each in answers if "=" in each] == ["d/1.png=1", "d/2.png=2", "d/link.png=2", "d/sub/3.png=3"]
    assert [each.split(";")[0].split(" (")[0] for each in answers if "=" not in each] == [
        "d/loop: a link to a directory, or to nothing, left out of its directory",
        "d/p: a device, FIFO or socket, left out of its directory",
        "d/z.txt: not in a format that an installed input reads",
    ]
    (tmp_path / "empty").mkdir()
    assert told(tmp_path / "empty") == ["empty: a directory without files; give one with images"]


def test_a_pattern_that_the_shell_left_alone_is_what_matches_sorted(told: Told, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name, digit in (("b.png", 2), ("a.png", 1), ("[x].png", 4), ("sub/c.png", 3)):
        (tmp_path / name).write_bytes(png(digit))
    assert told(tmp_path / "?.png") == ["a.png=1", "b.png=2"]
    assert told(tmp_path / "**" / "*.png") == ["[x].png=4", "a.png=1", "b.png=2", "sub/c.png=3"]
    assert told(tmp_path / "[x].png") == ["[x].png=4"]
    assert told(tmp_path / "s*") == ["sub/c.png=3"]
    assert told(tmp_path / "*.gif") == ["*.gif: no file matches; give another pattern"]


def test_a_list_of_paths_is_read_as_it_comes() -> None:
    assert list(listed(io.BytesIO(b"a.png\n\nb c.png\n-\nlast"), b"\n")) == ["a.png", "b c.png", "./-", "last"]
    assert list(listed(io.BytesIO(b"a\nb\0\xff\0"), b"\0")) == ["a\nb", "\udcff"]
    [error] = listed(io.BytesIO(bytes([65]) * 200_000), b"\n")
    assert "without the end of a path" in str(error)
    assert list(files("-")) == ["-"]


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">i8", np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_row_of_an_npy_file_is_a_sample(told: Told, tmp_path: Path, dtype: type, order: str) -> None:
    two = np.asarray(np.stack([pixels(3), pixels(4)]), dtype, order)
    (tmp_path / "two.npy").write_bytes(saved(two))
    assert told(tmp_path / "two.npy") == ["two.npy:1=3", "two.npy:2=4"]
    assert told(stdin=saved(two)) == ["stdin:1=3", "stdin:2=4"]
    (tmp_path / "one.npy").write_bytes(saved(two[0]))
    assert told(tmp_path / "one.npy") == ["one.npy=3"]


def test_arrays_that_hold_no_samples_are_told_once(told: Told) -> None:
    two = np.stack([pixels(3), pixels(4)])
    assert told(stdin=saved(two / 255)) == [
        "stdin: values of float64 within 0..1, so scaled; multiply by 255, round, and give uint8"
    ]
    assert told(stdin=saved(two + 300.5))[0].startswith("stdin: values of float64, not all of them whole numbers in 0..255")
    assert told(stdin=saved(np.arange(5)))[0].startswith("stdin: 5 single values, such as labels")
    assert told(stdin=saved(two.astype(complex)))[0].startswith("stdin: an array of complex128")
    refused = told(stdin=saved(np.zeros((9, 5, 5), np.uint8)))
    assert refused[0].startswith("stdin:1: a sample of 5x5")
    assert refused[1:] == ["stdin: its other 8 rows are left out, for they have the same shape"]
    assert told(stdin=saved(two)[:-1])[1].startswith("stdin: cut short at byte 1695, in row 2 of 2")
    assert told(stdin=saved(two) + b"x")[2].startswith("stdin: has more bytes behind its 2 rows")
    assert told(stdin=saved(two)[:50])[0].startswith("stdin: not a .npy file, or damaged")


def test_idx_files_gzipped_or_not_and_those_of_emnist_upright(told: Told, tmp_path: Path) -> None:
    two = np.stack([pixels(3), pixels(4)])
    (tmp_path / "images-idx3-ubyte").write_bytes(idx(two))
    (tmp_path / "emnist-x-idx3-ubyte.gz").write_bytes(gzip.compress(idx(two.transpose(0, 2, 1).copy())))
    assert told(tmp_path / "images-idx3-ubyte") == ["images-idx3-ubyte:1=3", "images-idx3-ubyte:2=4"]
    assert told(tmp_path / "emnist-x-idx3-ubyte.gz") == ["emnist-x-idx3-ubyte.gz:1=3", "emnist-x-idx3-ubyte.gz:2=4"]
    assert told(stdin=gzip.compress(idx(two))[:-300])[-1].startswith(
        "standard input: cannot be read (its gzip data is cut short or corrupt)"
    )
    assert told(stdin=idx(np.zeros(5, np.uint8)))[0].startswith("stdin: 5 single values, such as labels")
    assert told(stdin=idx(two)[:9])[0].startswith("stdin: no idx file of unsigned bytes, or cut short")


def test_what_numpy_zips_is_read_and_the_labels_of_a_data_set_are_not(told: Told, tmp_path: Path) -> None:
    two = np.stack([pixels(3), pixels(4)])
    np.savez(tmp_path / "set.npz", samples=two, labels=[3, 4])
    np.savez_compressed(tmp_path / "other.npz", x=two, y=[3, 4])
    assert told(tmp_path / "set.npz") == ["set.npz:samples.npy:1=3", "set.npz:samples.npy:2=4"]
    assert told(tmp_path / "other.npz")[:2] == ["other.npz:x.npy:1=3", "other.npz:x.npy:2=4"]
    assert told(tmp_path / "other.npz")[2].startswith("other.npz:y.npy: 2 single values, such as labels")


def test_raw_frames_are_samples_of_fixed_size(told: Told, tmp_path: Path) -> None:
    data = pixels(3).tobytes() + pixels(4).tobytes()
    assert told(stdin=data, source="raw-frames") == ["stdin:1=3", "stdin:2=4"]
    (tmp_path / "raw").write_bytes(data + b"xyz")
    assert told(tmp_path / "raw", source="raw-frames") == [
        "raw:1=3",
        "raw:2=4",
        "raw:3: cut short after 3 of 784 bytes, begun at byte 1568; give whole samples",
    ]
    assert told(stdin=b"", source="raw-frames") == ["stdin: empty; give samples of 784 bytes"]


@pytest.mark.parametrize("name", ["digits.tar", "digits.zip"])
def test_archives_of_tar_and_zip_are_read_in_order(told: Told, name: str) -> None:
    first, second = ("1", "2") if name == "digits.tar" else ("3", "4")
    data = (DATA / "streams" / name).read_bytes()
    assert told(stdin=data) == [f"stdin:{first}.png={first}", f"stdin:{second}.png={second}"]
    assert [each.rpartition(":")[2] for each in told(DATA / "streams" / name)] == [
        f"{first}.png={first}",
        f"{second}.png={second}",
    ]
    assert told(stdin=gzip.compress(data)) == told(stdin=data)


@pytest.mark.parametrize("form", ["ustar", "gnu", "pax", "v7"])
def test_tar_of_every_format_with_long_names_links_and_devices(told: Told, tmp_path: Path, form: str) -> None:
    name = "n" * 90 + ".png" if form in ("ustar", "v7") else "é" * 120 + ".png"
    (tmp_path / name).write_bytes(png(1))
    (tmp_path / "link.png").symlink_to(name)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "last.png").write_bytes(png(2))
    (tmp_path / "hard.png").hardlink_to(tmp_path / "last.png")
    members = [name, "link.png", *(["pipe"] if form != "v7" else []), "last.png", "hard.png"]
    ran = subprocess.run(["tar", f"--format={form}", "-C", tmp_path, "-cf", "-", *members], capture_output=True, check=True)
    answers = told(stdin=ran.stdout)
    assert [each for each in answers if "=" in each] == [f"stdin:{name}=1", "stdin:last.png=2"]
    left = ["stdin:link.png: a link", "stdin:hard.png: a link", *(["stdin:pipe: a device or FIFO"] if form != "v7" else [])]
    assert sorted(each.split(",")[0] for each in answers if "=" not in each) == sorted(left)


def test_a_tar_archive_that_was_cut_is_one_error_with_its_offset(told: Told) -> None:
    data = (DATA / "streams" / "digits.tar").read_bytes()
    for size in range(530, len(data) - 1100, 97):
        answers = told(stdin=data[:size])
        assert [each for each in answers if "=" in each] == ["stdin:1.png=1"][: size >= 1024]
        [error] = [each for each in answers if "=" not in each] or [None]
        assert (error or "").startswith("stdin: cut short") or size == 1024


def test_members_are_bounded_and_read_in_pieces(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_file, "MAX_MEMBER", 300)
    monkeypatch.setattr(tar_file, "_PIECE", 512)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in (("large.pgm", (DATA / "streams" / "3.pgm").read_bytes()), ("small.png", png(1))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    answers = told(stdin=out.getvalue())
    assert answers[0].startswith("stdin:large.pgm: 797 bytes, over ")
    assert answers[1:] == ["stdin:small.png=1"]


def test_zip_archives_within_each_other_links_and_damage(told: Told) -> None:
    def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in entries:
                archive.writestr(name, data)
        return out.getvalue()

    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    data = zipped(("a.png", png(1)), (link, b"a.png"), ("two.bin", png(2) + png(3)), ("in.zip", zipped(("b.png", png(4)))))
    assert told(stdin=data) == [
        "stdin:a.png=1",
        "stdin:link.png: a link, left out; archive what it stands for",
        "stdin:two.bin:1=2",
        "stdin:two.bin:2=3",
        "stdin:in.zip:b.png=4",
    ]
    at = data.index(b"a.png") + 40
    damaged = told(stdin=data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :])
    assert damaged[0] == "stdin:a.png: cannot be unpacked; make the archive anew"
    assert damaged[4] == "stdin:in.zip:b.png=4"
    assert told(stdin=data[:-30])[0].startswith("stdin: cut short or damaged")
    deep = png(1)
    for depth in range(5):
        deep = zipped((f"{depth}", deep))
    assert told(stdin=deep) == ["stdin:4:3:2:1: inside of 4 other files; unpack some of them"]


def test_a_file_that_is_called_an_image_is_what_its_bytes_are(told: Told, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(gzip.compress(png(1)))
    (tmp_path / "y.png").write_bytes((DATA / "streams" / "digits.zip").read_bytes())
    (tmp_path / "z.jp2").write_bytes(b"nothing")
    assert told(tmp_path / "x.png") == ["x.png:1=1"]
    assert told(tmp_path / "y.png") == ["y.png:3.png=3", "y.png:4.png=4"]
    assert told(tmp_path / "z.jp2")[0].startswith("z.jp2: not an image of a known format; give a PNG")


def test_an_error_in_a_list_of_files_is_passed_on(plugins: Plugins) -> None:
    wanted = plugins.wanted(modelfile.load(modelfile.resolve("mnist")).input)
    error = Error("one")
    assert list(read([error], plugins, wanted)) == [error]


def test_directories_lie_deeper_than_calls_may(tmp_path: Path) -> None:
    here, depth = tmp_path, 60
    for _ in range(depth):
        here = here / "d"
    here.mkdir(parents=True)
    (here / "x.png").write_bytes(png(1))
    script = "import sys; from ebpfnn.plugin.places import files; sys.setrecursionlimit(50); print(*files(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.strip() == str(here / "x.png"), done.stderr


def test_a_pattern_with_a_nul_byte_matches_nothing(told: Told) -> None:
    assert [each.partition(": ")[2] for each in told("d\0/*.png")] == ["no file matches; give another pattern"]


def test_a_value_in_a_tar_header_may_look_like_another_record(told: Told) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, digit in (("\u00e9\n10 size=0\n.png", 1), ("2.png", 2)):
            info = tarfile.TarInfo(name)
            info.size = len(png(digit))
            archive.addfile(info, io.BytesIO(png(digit)))
    assert told(stdin=out.getvalue()) == ["stdin:\u00e9\n10 size=0\n.png=1", "stdin:2.png=2"]


def test_tables_in_archives_and_gzipped_ones_are_read(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a file of the member's whole name lies on the disk: that is not the archive's."""
    monkeypatch.chdir(tmp_path)
    columns = [{"name": name, "type": "integer", "encode": "bins", "bounds": [1, 2, 3]} for name in "ab"]
    wanted = plugins.wanted(InputFormat((2,), prepared=Preparation("columns", {"columns": columns})))
    held = io.BytesIO()
    np.savez(held, a=np.array([1]), b=np.array([2]))
    np.savez("t.tar:t.npz", a=np.array([3]), b=np.array([3]))
    with tarfile.open("t.tar", "w") as archive:
        for name, data in (("t.npz", held.getvalue()), ("t.csv.gz", gzip.compress(b"a,b\n2,3\n"))):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    made = [
        (each.source, each.data.tolist()) if isinstance(each, Sample) else str(each)
        for each in read(["t.tar"], plugins, wanted)
    ]
    assert made == [("t.tar:t.npz:1", [1, 2]), ("t.tar:t.csv.gz:1", [2, 3])]
