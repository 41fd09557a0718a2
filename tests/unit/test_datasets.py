"""Data sets: each form is read as what it is, and whatever is none is refused in one line."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from prepared import wanted

from ebpfnn import datasets
from ebpfnn.datasets import imagefolder, npz
from ebpfnn.errors import InputError
from ebpfnn.preparation import decode

IMAGES = np.arange(5 * 6 * 4, dtype=np.uint8).reshape(5, 6, 4)
LABELS = np.array([2, 0, 1, 1, 0])


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_idx(directory: Path, part: str = "t10k", images: np.ndarray = IMAGES, labels: np.ndarray = LABELS) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
    (directory / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))


def write_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **{"samples": IMAGES, "labels": LABELS, **arrays})
    return path


def write_image(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def prepare(shape: tuple[int, ...] | None) -> datasets.Prepare | None:
    """As a network of that shape has its samples made: pictures resized, arrays as they lie."""
    return wanted(shape, "raw" if len(shape) == 1 else "picture").one if shape else None


def refusal(path: Path, shape: tuple[int, ...] | None = (6, 4), names: tuple[str, ...] = ()) -> str:
    with pytest.raises(InputError) as caught:
        datasets.read(path, "test", prepare(shape), names)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert "; " in message
    return message


def expect(found: datasets.Samples, samples: np.ndarray, labels: Any) -> None:
    assert (found[0].dtype, found[1].dtype) == (np.uint8, np.intp)
    assert found[0].tolist() == samples.tolist()
    assert found[1].tolist() == list(labels)


@pytest.mark.parametrize("inside", [".", "MNIST/raw", "FashionMNIST/raw", "raw"])
def test_idx_files(tmp_path: Path, inside: str) -> None:
    write_idx(tmp_path / inside)
    write_idx(tmp_path / inside, "train", IMAGES[:2] + 1, LABELS[:2])
    expect(datasets.read(tmp_path, "test", prepare((6, 4))), IMAGES, LABELS)
    expect(datasets.read(tmp_path, "train"), IMAGES[:2] + 1, LABELS[:2])


def test_two_trees_are_not_guessed_between(tmp_path: Path) -> None:
    write_idx(tmp_path / "KMNIST" / "raw")
    write_idx(tmp_path / "FashionMNIST" / "raw")
    assert "has no t10k-images" in refusal(tmp_path)
    expect(datasets.read(tmp_path / "KMNIST", "test"), IMAGES, LABELS)


@pytest.mark.parametrize("shape", [(6, 4), (1, 6, 4), (24,), None])
def test_a_channel_may_be_missing_and_images_may_become_flat(tmp_path: Path, shape: tuple[int, ...] | None) -> None:
    write_idx(tmp_path)
    expect(datasets.read(tmp_path, "test", prepare(shape)), IMAGES.reshape(5, *(shape or (6, 4))), LABELS)


def test_a_channel_that_the_network_lacks(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", samples=IMAGES[:, None])
    expect(datasets.read(path, "test", prepare((6, 4))), IMAGES, LABELS)


@pytest.mark.parametrize("shape", [(4, 6), (3, 6, 4), (23,)])
def test_another_shape_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    write_idx(tmp_path)
    assert "a sample of 6x4, but the network takes" in refusal(tmp_path, shape)


def test_idx_files_that_are_absent_or_corrupt(tmp_path: Path) -> None:
    assert "has no t10k-images-idx3-ubyte" in refusal(tmp_path)
    write_idx(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx(IMAGES)[:-1])
    assert "not the 120 bytes" in refusal(tmp_path)
    write_idx(tmp_path, labels=LABELS[:4])
    assert "give as many labels as images" in refusal(tmp_path)


def test_nothing_there(tmp_path: Path) -> None:
    assert "no such data" in refusal(tmp_path / "absent")
    (tmp_path / "a.txt").write_text("hello")
    assert "no data set that is known" in refusal(tmp_path / "a.txt")


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i8", ">u2", "f2", "<f4", ">f8"])
def test_npz_of_whole_numbers(tmp_path: Path, dtype: str) -> None:
    expect(datasets.read(write_npz(tmp_path / "a.npz", samples=IMAGES.astype(dtype)), "test", prepare((6, 4))), IMAGES, LABELS)


def test_npz_is_either_part_unless_there_are_two(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "train.npz")
    expect(datasets.read(path, "test"), IMAGES, LABELS)
    write_npz(tmp_path / "test.npz", samples=IMAGES[:1], labels=LABELS[:1])
    expect(datasets.read(tmp_path, "test"), IMAGES[:1], LABELS[:1])
    expect(datasets.read(tmp_path, "train"), IMAGES, LABELS)


def test_npz_in_the_order_of_columns_and_compressed(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", samples=np.asfortranarray(IMAGES), labels=LABELS.astype(np.uint8))
    expect(datasets.read(tmp_path / "a.npz", "test"), IMAGES, LABELS)


@pytest.mark.parametrize(
    ("arrays", "fact"),
    [
        ({"samples": IMAGES / 255}, "within 0..1, so scaled; multiply by 255"),
        ({"samples": IMAGES + 0.5}, "not all of them whole numbers in 0..255"),
        ({"samples": IMAGES - 1.0}, "not all of them whole numbers in 0..255"),
        ({"samples": IMAGES.astype(int) + 200}, "not all of them whole numbers in 0..255"),
        ({"samples": np.full((5, 6, 4), np.nan)}, "not all of them whole numbers in 0..255"),
        ({"samples": np.full((5, 6, 4), np.inf)}, "not all of them whole numbers in 0..255"),
        ({"samples": IMAGES.astype(complex)}, "samples are complex128"),
        ({"samples": IMAGES > 3}, "samples are bool"),
        ({"samples": np.full((5, 6, 4), "x")}, "samples are <U1"),
        ({"samples": IMAGES[:3]}, "3 samples and 5 labels"),
        ({"samples": IMAGES[:0], "labels": LABELS[:0]}, "0 samples and 0 labels"),
        ({"samples": np.zeros((5, 0), np.uint8)}, r"samples are [5, 0]"),
        ({"samples": np.zeros((5, 1, 1, 6, 4), np.uint8)}, "channels first"),
        ({"samples": np.zeros(5, np.uint8)}, "samples are [5]"),
        ({"labels": LABELS - 1}, "labels lie in -1..1; count the classes from 0"),
        ({"labels": np.full(5, 2**63, np.uint64)}, "count the classes from 0"),
        ({"labels": LABELS * 1.0}, "labels are float64 [5]; give integers"),
        ({"labels": LABELS[:, None]}, "labels are int64 [5, 1]"),
        ({"labels": np.array(3)}, "not an .npz file, or damaged"),
        ({"labels": np.array([None] * 5)}, "not an .npz file, or damaged"),
    ],
)
def test_npz_that_cannot_be_meant(tmp_path: Path, arrays: dict[str, Any], fact: str) -> None:
    assert fact in refusal(write_npz(tmp_path / "a.npz", **arrays))


def test_npz_without_the_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=IMAGES, y=LABELS)
    fact = "its arrays have the shapes [(5,), (5, 6, 4)]; give each column [n], all of one length, or samples and labels"
    assert fact in refusal(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", samples=IMAGES)
    assert "has no array 'labels', but 'samples'" in refusal(tmp_path / "a.npz")


def test_npz_never_unpickles(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "went off",)

    objects = np.empty(5, object)
    objects[:] = [Bomb() for _ in range(5)]
    assert "damaged" in refusal(write_npz(tmp_path / "a.npz", labels=objects))
    assert not (tmp_path / "went off").exists()


def npy(shape: tuple[int, ...], data: bytes) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.getvalue() + data


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 40, 1 << 40), (-1,), (6, 1)])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_whose_header_speaks_of_more_than_there_is(tmp_path: Path, shape: tuple[int, ...], method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("samples.npy", npy(shape, b"12345"))
        archive.writestr("labels.npy", npy((5,), b"\0" * 5))
    assert "damaged" in refusal(tmp_path / "a.npz")


def test_npz_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(npz, "MAX_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples.npy", npy((2 << 20,), bytes(2 << 20)))
    assert (tmp_path / "a.npz").stat().st_size < 1 << 14
    assert "over 1 MiB" in refusal(tmp_path / "a.npz")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_an_input_error_or_samples(tmp_path: Path, data: st.DataObject) -> None:
    path = write_npz(tmp_path / "a.npz")
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged[: data.draw(st.integers(len(damaged) // 2, len(damaged)))])
    try:
        samples, labels = datasets.read(path, "test")
    except InputError:
        refusal(path, None)
    else:
        assert len(samples) == len(labels) > 0


def test_image_folders(tmp_path: Path) -> None:
    for number, name in enumerate(("10", "9", "9")):
        write_image(tmp_path / name / f"{number}.png", IMAGES[number])
    (tmp_path / "9" / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    assert datasets.class_names(tmp_path, "test") == ("9", "10")
    expect(datasets.read(tmp_path, "test", prepare((6, 4))), IMAGES[[1, 2, 0]], [0, 0, 1])
    assert "nothing says how to prepare them; give --prepare" in refusal(tmp_path, None)
    expect(datasets.read(tmp_path, "test", prepare((1, 6, 4))), IMAGES[[1, 2, 0], None], [0, 0, 1])


def test_image_folders_have_the_labels_of_the_network(tmp_path: Path) -> None:
    write_image(tmp_path / "test" / "ant" / "a.png", IMAGES[0])
    write_image(tmp_path / "test" / "bee" / "b.png", IMAGES[1])
    names = ("wasp", "bee", "ant")
    expect(datasets.read(tmp_path, "test", prepare((6, 4)), names), IMAGES[:2], [2, 1])
    write_image(tmp_path / "test" / "fly" / "b.png", IMAGES[1])
    with pytest.raises(InputError, match="knows no class 'fly'; name the folders wasp, bee, ant"):
        datasets.read(tmp_path, "test", prepare((6, 4)), names)


def test_images_in_color_become_what_the_network_takes(tmp_path: Path) -> None:
    color = np.zeros((6, 4, 3), np.uint8)
    color[..., 0], color[2, 1] = 250, (10, 20, 30)
    write_image(tmp_path / "a" / "0.png", color)
    write_image(tmp_path / "b" / "0.png", IMAGES[0])
    samples, _ = datasets.read(tmp_path, "test", prepare((3, 6, 4)))
    assert samples[0].tolist() == color.transpose(2, 0, 1).tolist()
    assert samples[1].tolist() == [IMAGES[0].tolist()] * 3
    assert datasets.first(tmp_path, "test").color().tolist() == color.tolist()
    gray, _ = datasets.read(tmp_path, "test", prepare((6, 4)))
    assert gray[0, 0, 0] == round(0.299 * 250)


def test_images_of_another_size_are_scaled(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "0.png", np.repeat(np.repeat(IMAGES[0], 3, axis=0), 3, axis=1))
    expect(datasets.read(tmp_path, "test", prepare((6, 4))), IMAGES[:1], [0])


def test_images_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "0.png"
    write_image(path, IMAGES[0])
    assert f"{path}: a sample of 6x4, but the network takes 23" in refusal(tmp_path, (23,))
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    assert f"{path}: not an image of a known format" in refusal(tmp_path)
    path.write_bytes(whole)
    monkeypatch.setattr(decode, "MAX_PIXELS", 23)
    assert f"{path}: 4 x 6 pixels; 23 pixels are the limit" in refusal(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(imagefolder, "MAX_BYTES", 23)
    assert "its samples are over 0 MiB" in refusal(tmp_path)


def test_images_of_16_bits_are_taken_as_in_inference(tmp_path: Path) -> None:
    write_image(tmp_path / "a" / "0.png", IMAGES[0].astype(np.uint16) * 257)
    expect(datasets.read(tmp_path, "test", prepare((6, 4))), IMAGES[:1], [0])


def test_every_frame_of_an_image_is_a_sample(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    frames = [Image.fromarray(image) for image in IMAGES[:3]]
    frames[0].save(tmp_path / "a" / "0.tif", save_all=True, append_images=frames[1:])
    expect(datasets.read(tmp_path, "test", prepare((6, 4))), IMAGES[:3], [0, 0, 0])


def test_labels_outside_the_classes() -> None:
    datasets.check_labels(LABELS, 3, Path("a.npz"))
    with pytest.raises(InputError, match=r"a.npz: labels reach 2, but there are 2 classes; give data of classes 0..1"):
        datasets.check_labels(LABELS, 2, Path("a.npz"))


def test_the_bundled_digits() -> None:
    samples, labels = datasets.read(Path(datasets.mnist.BUNDLED), "test", prepare((28, 28)))
    assert (samples.shape, set(labels.tolist())) == ((512, 28, 28), set(range(10)))


def test_a_class_may_be_called_as_a_part_is(tmp_path: Path) -> None:
    for number, name in enumerate(("test", "train", "tram")):
        (tmp_path / name).mkdir()
        Image.fromarray(IMAGES[number]).save(tmp_path / name / "a.png")
    assert datasets.class_names(tmp_path, "test") == ("test", "train", "tram")
    expect(datasets.read(tmp_path, "train", prepare((6, 4))), IMAGES[:3], [0, 1, 2])
