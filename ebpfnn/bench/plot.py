"""Accuracy over latency: a point a network, where its fastest exact row lies, and the front of those that none beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import InputError, NotSupported
from .kernel_rows import COMPILED
from .rows import Row

FORMATS = (".svg", ".png")
_GIVEN = ("sparse", "data")  # the inputs that have labels
_PEERS = ("numpy", "onnxruntime", "ort-iobinding", "avx2-intrinsics", "avx2-maddubs", "avx512-vnni")
_TABLES_IN_C = ("avx2-tables", "avx512-tables")


def check(path: Path) -> None:
    """Raises :class:`InputError` for a name of another format, :class:`NotSupported` without matplotlib."""
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"{path}: a plot is written as {' or '.join(FORMATS)}; give such a name")
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise NotSupported(f"a plot: {error.name} is not installed; pip install 'ebpfnn[report]'") from error


def points(rows: Sequence[Row]) -> list[Row]:
    """The fastest exact row in the kernel of each network, over samples of data with warm caches, by time."""
    fastest: dict[str, Row] = {}
    for row in _of_data(rows):
        fits = row.exact and row.name.startswith(COMPILED)
        if fits and (row.network not in fastest or row.ns_min < fastest[row.network].ns_min):
            fastest[row.network] = row
    return sorted(fastest.values(), key=lambda row: row.ns_min)


def front(rows: Sequence[Row], accuracy: Mapping[str, float]) -> list[Row]:
    """Of rows by time, those that are more accurate than all before."""
    found: list[Row] = []
    for row in rows:
        if not found or accuracy[row.network] > accuracy[found[-1].network]:
            found.append(row)
    return found


def plot(rows: Sequence[Row], accuracy: Mapping[str, float], path: Path) -> None:
    """Writes the plot to ``path``, all of it or nothing; ``accuracy`` is each network's, 0..1.

    Raises as :func:`check`, and :class:`InputError` where the file cannot be written.
    """
    import io

    check(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    _draw(figure.add_subplot(), rows, accuracy)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:].lower())
    try:
        files.replace(path, drawn.getvalue())
    except OSError as error:
        remedy = "give a path in a directory you may write to"
        raise InputError(f"{path}: cannot be written ({error.strerror}); {remedy}") from error


def _of_data(rows: Sequence[Row]) -> list[Row]:
    """Those over samples of data with warm caches, where there are two numbers of samples, over more of them."""
    found = [row for row in rows if row.input in _GIVEN and row.cache == "warm"]
    most = {row.network: max(each.given for each in found if each.network == row.network) for row in found}
    return [row for row in found if row.given == most[row.network]]


def _draw(axes: Any, rows: Sequence[Row], accuracy: Mapping[str, float]) -> None:
    fastest = points(rows)
    axes.plot(*_places(front(fastest, accuracy), accuracy), "-", color="tab:blue")
    axes.plot(*_places(fastest, accuracy), "o", color="tab:blue", label="in the kernel")
    for row, *place in zip(fastest, *_places(fastest, accuracy), strict=True):
        axes.annotate(f"{row.network}\n{row.name}", place, xytext=(4, -4), textcoords="offset points", va="top", size=8)
    for name in (*_PEERS, *_TABLES_IN_C):
        beside = [row for row in _of_data(rows) if row.name == name]
        if beside:
            axes.plot(*_places(beside, accuracy), "x", label=name)
    axes.set_xscale("log")
    axes.margins(0.15)
    axes.set(xlabel="ns per inference (samples of the data, warm caches, minimum)", ylabel="accuracy, %")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize=8)


def _places(rows: Sequence[Row], accuracy: Mapping[str, float]) -> tuple[list[float], list[float]]:
    return [row.ns_min for row in rows], [100 * accuracy[row.network] for row in rows]
