"""What a training run learns from, is chosen by, and is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..errors import InputError, NotSupported
from ..network import MAX_CLASSES
from .options import DATASETS, Options

CACHE = Path("~/.cache/ebpfnn")
HELD_OUT = 5_000
"""Training samples that choose the epoch, and between seeds and recipes; a twelfth of those there are below 60,000."""
_TESTED = 6
"""One in so many samples is for testing, where data has no part for that."""
_SPLIT_SEED = 0
"""Not the run's own, so that runs of several seeds are compared on the same samples."""


@dataclass(frozen=True, eq=False)
class Part:
    """``samples``, uint8 [n, *shape], and ``labels``, intp [n]."""

    samples: NDArray[np.uint8]
    labels: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Data:
    """Training samples, those held out from them, and test samples, which nothing is chosen by; and the classes' names."""

    training: Part
    held_out: Part
    test: Part
    names: tuple[str, ...]


def load(options: Options) -> Data:
    """The data of ``options``, downloaded where none are given.

    Raises :class:`InputError` where a file is absent or corrupt, cannot be downloaded, or has too few samples, and
    :class:`NotSupported` without torchvision, which downloads.
    """
    parts, names = _read(options.data) if options.data else _download(options.dataset)
    training, test = _apart(*(Part(*part) for part in parts))
    if training.samples.shape[1:] != test.samples.shape[1:] or len(training.samples) < 2 or not len(test.samples):
        raise InputError("data: training and test samples differ in shape, or are too few; give both parts of one data set")
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(training.samples))
    held_out = min(HELD_OUT, max(1, len(order) // 12))
    classes = int(max(training.labels.max(), test.labels.max())) + 1
    if classes > MAX_CLASSES:
        raise InputError(f"data: labels reach {classes - 1}, but a network tells {MAX_CLASSES} classes apart; give fewer")
    names = names if len(names) >= classes else tuple(map(str, range(classes)))
    return Data(_subset(training, order[held_out:]), _subset(training, order[:held_out]), test, names)


def _apart(training: Part, test: Part) -> tuple[Part, Part]:
    """Data that lies in one part is split, lest a network be measured on what it learned."""
    if not np.array_equal(training.samples, test.samples):
        return training, test
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(training.samples))
    tested = len(order) // _TESTED
    return _subset(training, order[tested:]), _subset(training, order[:tested])


Parts = list[datasets.Samples]


def _read(path: Path) -> tuple[Parts, tuple[str, ...]]:
    names = datasets.class_names(path, "train")
    return [datasets.read(path, part, names=names) for part in ("train", "test")], names


def _download(name: str) -> tuple[Parts, tuple[str, ...]]:
    """Has torchvision fetch and check what its cache lacks."""
    try:
        from torchvision import datasets as known
    except ImportError as error:
        remedy = "pip install 'ebpfnn[train]', or give the data with --data"
        raise NotSupported(f"{name}: downloading needs torchvision; {remedy}") from error
    if name not in DATASETS:
        raise InputError(f"data set {name!r} is not known; give one of {', '.join(DATASETS)}, or your own with --data")
    root = CACHE.expanduser() / name
    make: Callable[..., Any] = getattr(known, name)
    more = {"split": "balanced"} if name == "EMNIST" else {}
    try:
        found = [make(str(root), train=train, download=True, **more) for train in (True, False)]
    except (OSError, RuntimeError) as error:
        raise InputError(f"{name}: cannot be downloaded to {root}; give a directory that has it with --data") from error
    return [(_array(each.data), _array(each.targets).astype(np.intp)) for each in found], _names(found[0])


def _array(values: Any) -> NDArray[Any]:
    """What torchvision keeps: tensors, arrays or lists; QMNIST's labels have columns."""
    array = np.asarray(values)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 8 else array


def _names(found: Any) -> tuple[str, ...]:
    """The classes; "0 - zero" is MNIST's way to say 0."""
    return tuple(str(name).split(" - ")[0] for name in getattr(found, "classes", ()))


def _subset(part: Part, indices: NDArray[np.int64]) -> Part:
    return Part(part.samples[indices], part.labels[indices])
