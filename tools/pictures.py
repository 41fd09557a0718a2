"""How many pictures of digits the shipped networks read: by network and kind, and MNIST's own images in many forms.

    tools/pictures.py [FOLDER]            pictures named KIND-SOURCE+NUMBER-LABEL.ext; ../shared/pictures unless given
    tools/pictures.py --mnist FOLDER      MNIST's test images as PNG: as they are, inverted, padded, on a gradient, enlarged
    tools/pictures.py --held-out          parameters chosen by all sources but one, counted on that one

Scores are the numpy reference's, which the kernel equals bit for bit.
"""

from __future__ import annotations

import argparse
import io
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ebpfnn.bodies import modelfile
from ebpfnn.datasets import mnist
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.preparation import decode, glyph_ink, strokes
from ebpfnn.preparation.glyph import prepare_glyph

DATA = Path(__file__).parents[1] / "ebpfnn/data"
NETWORKS = ("mnist", "mnist-128", "mnist-cnn", "mnist-table-16", "mnist-table-32", "mnist-table-64")
GRID: Mapping[tuple[Any, str], Sequence[float]] = {
    (strokes, "LEAST"): (1.5, 1.7, 1.9, 2.1),
    (glyph_ink, "_SURE"): (0.3, 0.4, 0.5),
    (glyph_ink, "_FAINT"): (0.125, 0.2, 0.3),
}
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Case:
    """One picture, decoded."""

    name: str
    kind: str
    source: str
    label: int
    gray: Pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("../shared/pictures"))
    parser.add_argument("--mnist", type=Path, help="directory with MNIST's idx files")
    parser.add_argument("--count", type=int, default=10_000, help="of MNIST's test images, the first so many")
    parser.add_argument("--held-out", action="store_true")
    given = parser.parse_args()
    networks = {name: modelfile.load(DATA / f"{name}.safetensors") for name in NETWORKS}
    if given.mnist:
        variants(networks, given.mnist, given.count)
    elif given.held_out:
        held_out(networks, cases(given.folder))
    else:
        pictures(networks, cases(given.folder))


def cases(folder: Path) -> list[Case]:
    found = []
    for path in sorted(folder.glob("*-*-?.*")):
        kind, source, label = path.stem.split("-")
        found.append(Case(path.name, kind, source[0], int(label), decode.picture(path.read_bytes(), path.name).gray()))
    return found


def right(networks: Mapping[str, QuantizedNetwork], found: Sequence[Case]) -> NDArray[np.bool_]:
    """Which are read right, bool [networks, pictures]."""
    samples = np.stack([prepare_glyph(case.gray).pixels for case in found])
    wanted = np.array([case.label for case in found])
    return np.stack([reference.labels(network, samples) == wanted for network in networks.values()])


def pictures(networks: Mapping[str, QuantizedNetwork], found: Sequence[Case]) -> None:
    hits = right(networks, found)
    for by in ("kind", "source"):
        print(f"{by:12}{'of':>5}" + "".join(f"{name:>15}" for name in networks))
        for value in sorted({getattr(case, by) for case in found}):
            chosen = np.array([getattr(case, by) == value for case in found])
            print(f"{value:12}{chosen.sum():5}" + "".join(f"{count:15}" for count in hits[:, chosen].sum(axis=1)))
        print(f"{'all':12}{len(found):5}" + "".join(f"{count:15}" for count in hits.sum(axis=1)) + "\n")
    for name, row in zip(networks, hits, strict=True):
        print(f"{name} misses", *(case.name for case, hit in zip(found, row, strict=True) if not hit))


def held_out(networks: Mapping[str, QuantizedNetwork], found: Sequence[Case]) -> None:
    """Each source is counted with the parameters that did best on all others, of equal ones the first of the grid."""
    sources = np.array([case.source for case in found])
    grid = list(itertools.product(*GRID.values()))
    hits = np.stack([_with(values, lambda: right(networks, found)) for values in grid])
    total = np.zeros(len(networks), int)
    for source in sorted(set(sources)):
        apart = sources == source
        best = int(hits[:, :, ~apart].sum(axis=(1, 2)).argmax())
        counts = hits[best][:, apart].sum(axis=1)
        total += counts
        print(f"{source}  {apart.sum():3}", *(f"{count:4}" for count in counts), " chosen", *grid[best])
    print(f"all {len(found)}", *(f"{count:4}" for count in total))
    sums = hits.sum(axis=2)
    print("over the grid: least", *sums.min(axis=0), " most", *sums.max(axis=0))


def _with(values: Sequence[float], measure: Callable[[], NDArray[np.bool_]]) -> NDArray[np.bool_]:
    with _set(values):
        return measure()


@contextmanager
def _set(values: Sequence[float]) -> Iterator[None]:
    before = [getattr(module, name) for module, name in GRID]
    try:
        for (module, name), value in zip(GRID, values, strict=True):
            setattr(module, name, value)
        yield
    finally:
        for (module, name), value in zip(GRID, before, strict=True):
            setattr(module, name, value)


def variants(networks: Mapping[str, QuantizedNetwork], folder: Path, count: int) -> None:
    images, labels = (array[:count] for array in mnist.read_test(folder))
    direct = {name: reference.labels(network, images) == labels for name, network in networks.items()}
    print(f"{'points':16}" + "".join(f"{name:>15}" for name in networks))
    print(f"{'arrays':16}" + "".join(f"{100 * hits.mean():15.2f}" for hits in direct.values()))
    for name, change in VARIANTS.items():
        samples = np.stack([prepare_glyph(_through_png(change(image))).pixels for image in images])
        hits = {each: reference.labels(network, samples) == labels for each, network in networks.items()}
        print(
            f"{name:16}" + "".join(f"{100 * (hits[each].mean() - direct[each].mean()):+11.2f}" for each in networks), flush=True
        )


def _through_png(pixels: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return decode.picture(file.getvalue(), "png").gray()


def _enlarged(image: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((84, 84), Image.Resampling.BICUBIC))


def _ramp(image: Pixels) -> NDArray[np.float64]:
    rows, columns = image.shape
    ramp: NDArray[np.float64] = np.linspace(0, 0.5, rows)[:, None] + np.linspace(0, 0.5, columns)[None, :]
    return ramp


def _on_board(image: Pixels) -> Pixels:
    ground = 20 + 100 * _ramp(image)
    return np.asarray(ground + image / 255 * (255 - ground), np.uint8)


def _on_paper(image: Pixels) -> Pixels:
    return np.asarray((230 - 110 * _ramp(image)) * (1 - 0.85 * image / 255), np.uint8)


VARIANTS: Mapping[str, Callable[[Pixels], Pixels]] = {
    "as they are": lambda image: image,
    "inverted": lambda image: 255 - image,
    "padded": lambda image: np.pad(image, 10),
    "light, gradient": _on_board,
    "dark, gradient": _on_paper,
    "3x": _enlarged,
    "3x nearest": lambda image: np.kron(image, np.ones((3, 3), np.uint8)),
    "3x dark, grad.": lambda image: _on_paper(_enlarged(image)),
}

if __name__ == "__main__":
    main()
