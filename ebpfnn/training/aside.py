"""The samples that `ebpfnn train` holds out, and those it measures on, for what is chosen and measured afterwards."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..datasets import tables
from ..errors import InputError
from ..network import QuantizedNetwork
from ..plugin import Plugins
from .data import Part
from .splitting import thirds

_SPLIT = re.compile(r"by column '(.+)': ")


def held_out_and_test(path: Path, network: QuantizedNetwork, plugins: Plugins, label: str | None = None) -> tuple[Part, Part]:
    """The samples at ``path`` that a training of ``network`` holds out, and those that it measures on.

    They are as `ebpfnn train` splits them by default, and rows of a table by the column that the card of ``network`` names.
    ``label`` is the table column with the classes, for None the one that the network was trained on.

    Raises :class:`InputError` for data that does not exist, does not fit, or has too few samples.
    """
    make, label = plugins.wanted(network.input).one, network.card.get("label", "") if label is None else label
    whole, test = (Part(*datasets.read(path, part, make, network.labels, label)) for part in ("train", "test"))
    for part in (whole, test):
        datasets.check_labels(part.labels, len(network.labels), path)
    one_part = np.array_equal(whole.samples, test.samples)
    groups = _groups(path, network, len(whole.samples))
    _, held_out, tested = thirds(len(whole.samples), groups, whole.labels, testing=one_part)
    if one_part:
        test = Part(whole.samples[tested], whole.labels[tested])
    if len(whole.samples) < 2 or not len(test.samples):
        raise InputError(f"{path}: {len(whole.samples)} samples are too few to choose and to measure by; give more")
    return Part(whole.samples[held_out], whole.labels[held_out]), test


def _groups(path: Path, network: QuantizedNetwork, count: int) -> NDArray[np.intp] | None:
    """The number of the group of each row, [count], if the network was trained with groups."""
    place, split = datasets.table(path, "train"), _SPLIT.match(network.card.get("split", ""))
    if place is None or split is None:
        return None
    groups = tables.groups(place, split[1])
    if len(groups) != count:
        raise InputError(f"{path}: changed while it was read; read it again")
    return groups
