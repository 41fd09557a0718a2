"""The samples for the measurement of a network, from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..datasets import mnist
from ..network.layers import describe
from ..network.model import VECTOR, Model
from ..plugin import Plugins
from .messages import complain

BUNDLED = "bundled"
"""The value that stands for the bundled test digits."""
HELP = "Test samples: a directory of idx files, an .npz file, a table, folders of images, or `bundled`."
_DIGITS = tuple("0123456789")


@dataclass(frozen=True, eq=False)
class Measured:
    """``samples``, uint8 [n, *shape], their ``labels``, [n], and their name for messages."""

    samples: NDArray[np.uint8]
    labels: NDArray[np.intp]
    name: str


@dataclass(frozen=True, eq=False)
class Aimed:
    """``samples``, uint8 [n, *shape], their ``targets``, float64 [n, labels], and their name for messages."""

    samples: NDArray[np.uint8]
    targets: NDArray[np.float64]
    name: str


def read_aimed(data: str | None, network: Model, plugins: Plugins, label: str | None = None) -> Aimed:
    """The test part of ``data``, for a model whose results are numbers.

    ``label`` is the table column with the targets, for None the one that the model was trained on; of a vector, columns
    separated by commas, for None those that have the names of the components. Raises :class:`click.UsageError` without
    ``data``, and for as many columns as there are no components, else as :func:`datasets.read_targets` does.
    """
    if data is None or data == BUNDLED:
        raise click.UsageError(f"model '{network.name}' gives numbers, and no label; give samples with targets with --data")
    path, columns = Path(data), _targets(network, label)
    samples, targets = datasets.read_targets(
        path, "test", plugins.wanted(network.input).one, columns, rows=_takes_rows(network)
    )
    return Aimed(samples, targets, _counted(path, len(samples), network.card.get("data")))


def read_unlabelled(data: str, network: Model, plugins: Plugins) -> NDArray[np.uint8]:
    """As :func:`read_aimed`, the samples alone, uint8 [n, *shape]. Raises as :func:`datasets.read_samples`."""
    path = mnist.BUNDLED if data == BUNDLED else Path(data)
    return datasets.read_samples(path, "test", plugins.wanted(network.input).one, rows=_takes_rows(network))


def _takes_rows(network: Model) -> bool:
    return network.input.preparation.kind == "columns"


def _targets(network: Model, label: str | None) -> tuple[str, ...]:
    if network.result != VECTOR:
        return (network.card.get("label", "") if label is None else label,)
    columns = network.labels if label is None else tuple(label.split(","))
    if len(columns) != len(network.labels):
        fact = f"--label: {len(columns)} columns, but model '{network.name}' gives {len(network.labels)} numbers"
        raise click.UsageError(f"{fact}; give as many, separated by commas")
    return columns


def read_measured(data: str | None, network: Model, plugins: Plugins, label: str | None = None) -> Measured:
    """The test part of ``data``.

    For None, the bundled digits, if ``network`` may have been trained on them; this is reported. ``label`` is the table column
    with the classes, for None the one that the network was trained on. Raises :class:`click.UsageError` if the bundled digits
    do not fit, else as :func:`datasets.read` does.
    """
    if data is None:
        if network.input.size != 28 * 28 or network.labels != _DIGITS:
            takes = f"it takes {describe(network.input_shape)}, and its first label is '{network.labels[0]}'"
            raise click.UsageError(f"the bundled digits do not fit network '{network.name}': {takes}; give samples with --data")
        complain("no --data given; using the bundled digits")
    bundled = data in (None, BUNDLED)
    path = mnist.BUNDLED if data is None or bundled else Path(data)
    wanted = plugins.wanted(network.input)
    label = network.card.get("label", "") if label is None else label
    samples, labels = datasets.read(path, "test", wanted.one, network.labels, label, rows=_takes_rows(network))
    datasets.check_labels(labels, len(network.labels), path)
    name = f"the {len(samples)} bundled digits" if bundled else _counted(path, len(samples), network.card.get("data"))
    return Measured(samples, labels, name)


def _counted(path: Path, count: int, learned: str | None) -> str:
    """The name of the samples. Warns if `ebpfnn train` split the same data, which has no test part: then all samples count."""
    if learned != path.stem or datasets.is_divided(path):
        return f"{count:,} test samples of {path}"
    complain(f"{path} has no test part; measuring all {count:,} samples, including the 5 of every 6 used for training")
    return f"all {count:,} samples of {path}"
