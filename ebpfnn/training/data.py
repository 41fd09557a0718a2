"""The data of a training run: samples to learn from, to choose the best epoch by, and to measure on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import datasets
from ..datasets import tables
from ..errors import InputError, NotSupported, UsageError
from ..network import MAX_CLASSES
from ..network.preparation import Preparation
from ..plugin import Plugins
from ..preparation import Picture
from ..preparation.columns import BINS, THERMOMETER, listed, read
from . import columns, preparing, sessions, specs
from .options import DATASETS, Options, is_trees
from .splitting import divided, thirds

CACHE = Path("~/.cache/ebpfnn")
_PARTS = ("train", "test")

_Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Part:
    """``samples``, uint8 [n, *shape], and ``labels``, intp [n]."""

    samples: NDArray[np.uint8]
    labels: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Data:
    """Training samples, samples held out from them, and test samples, by which nothing is chosen.

    ``names`` are those of the classes. ``preparation`` says how the samples were made, and ``card`` is the entry in the model
    card. ``events`` has the spec that the rows were collected with, as a network carries it.
    """

    training: Part
    held_out: Part
    test: Part
    names: tuple[str, ...]
    preparation: Preparation
    card: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, Any] = field(default_factory=dict)


def load(options: Options, plugins: Plugins, tell: Callable[[str], object] = str) -> Data:
    """The data of ``options``, downloaded if no path is given, and prepared by the kinds of ``plugins``.

    ``tell`` is called with the choices that were made from the data.

    Raises :class:`InputError` if a file does not exist, is corrupt, cannot be downloaded, or has too few samples, and
    :class:`NotSupported` if a download needs torchvision and it is missing.
    """
    if options.data and (place := datasets.table(options.data, "train")):
        return _table(options, plugins, place, tell)
    if options.spec:
        raise UsageError("--spec: the data are no table; leave it out")
    parts, names, wanted = _read(options, plugins) if options.data else _download(options, plugins)
    whole, test = (Part(*part) for part in parts)
    # Data of one part is split, so that a network is not measured on its training samples.
    one_part = np.array_equal(whole.samples, test.samples)
    training, held_out, tested = thirds(len(whole.samples), testing=one_part)
    test = _subset(whole, tested) if one_part else test
    few = len(training) + len(held_out) < 2 or not len(test.samples)
    if whole.samples.shape[1:] != test.samples.shape[1:] or few:
        raise InputError("data: training and test samples differ in shape, or are too few; give both parts of one data set")
    classes = int(max(whole.labels.max(), test.labels.max())) + 1
    if classes > MAX_CLASSES:
        raise InputError(f"data: labels reach {classes - 1}, but a network tells {MAX_CLASSES} classes apart; give fewer")
    names = names if len(names) >= classes else tuple(map(str, range(classes)))
    return Data(_subset(whole, training), _subset(whole, held_out), test, names, wanted)


def _table(options: Options, plugins: Plugins, place: Path, tell: Callable[[str], object]) -> Data:
    """Rows of a table. Bounds are learned only from the training rows, and then every row is prepared."""
    by_column, bits = columns.asked(options.columns, plugins.encoders), options.precision.input_bits
    usual = columns.encoder(options.encode or (THERMOMETER if bits == 1 else BINS), plugins.encoders)
    other = datasets.table(options.data or place, "test")
    spec = specs.find(options.spec, [place, *([other] if other else [])], plugins)
    whole = tables.load(place, options.label, options.ignore, options.split_by)
    _check_classes(whole, place)
    spec.check(list(whole.columns), place)
    tell(f"labels: column '{whole.label}', {len(whole.classes)} classes" + ("" if options.label else "; --label names another"))
    training, held_out, tested, sides = _parts(
        whole, other == place, "" if options.split_by else "; --split-by names another", tell
    )
    if len(training) < 2 or (other == place and not len(tested)):
        raise InputError(f"{place}: {len(whole.labels)} rows are too few to learn from; give more")
    part = {name: values[training] for name, values in whole.columns.items()}
    given, finest = spec.encoders(), is_trees(options.architecture)
    described = columns.learn(part, whole.labels[training], by_column, usual, bits, given, plugins.encoders, finest=finest)
    if alike := columns.left_out(part, described):
        tell(f"left out, of one value: {', '.join(alike)}")
    wanted = preparing.for_columns(options, plugins, described)
    every = Part(np.stack([wanted.one(row) for row in whole.rows()]), whole.labels)
    test = _subset(every, tested)
    if other and other != place:
        test = Part(*datasets.read(other, "test", wanted.one, whole.classes, whole.label))
    preparation = wanted.form.preparation
    card = {"label": whole.label, "columns": listed(read(preparation.options, plugins.encoders))}
    card |= sessions.describe(whole.sessions)
    card |= {"split": f"by column '{whole.split_by}': {sides}"} if sides else {}
    return Data(_subset(every, training), _subset(every, held_out), test, whole.classes, preparation, card, spec.events)


def _parts(
    whole: tables.Labelled, testing: bool, remedy: str, tell: Callable[[str], object]
) -> tuple[_Rows, _Rows, _Rows, str]:
    """The rows to learn from, to hold out, and if ``testing`` to test; and how many groups each has, "" without groups."""
    training, held_out, tested = thirds(len(whole.labels), whole.groups, whole.labels, testing=testing)
    sides = divided(whole.groups, training, held_out, tested)
    for aside, told in ((held_out, "hold out"), (tested, "test")) if sides else ():
        if missing := [name for label, name in enumerate(whole.classes) if len(aside) and label not in whole.labels[aside]]:
            tell(f"no groups of {', '.join(missing)} to {told}; give each class in three groups or more")
    if sides:
        tell(f"split by column '{whole.split_by}': {sides}{remedy}")
    return training, held_out, tested, sides


def _check_classes(whole: tables.Labelled, place: Path) -> None:
    if not 2 <= len(whole.classes) <= MAX_CLASSES:
        fact = f"{place}: column '{whole.label}' has {len(whole.classes):,} classes"
        raise InputError(f"{fact}, and a network tells 2 to {MAX_CLASSES:,} apart; name another with --label")


Parts = list[datasets.Samples]
_Read = tuple[Parts, tuple[str, ...], Preparation]


def _read(options: Options, plugins: Plugins) -> _Read:
    path = options.data or Path()
    names, first = datasets.class_names(path, "train"), datasets.first(path, "train")
    if isinstance(first, Picture):
        wanted = preparing.for_pictures(options, plugins, first)
        return [datasets.read(path, part, wanted.one, names) for part in _PARTS], names, wanted.form.preparation
    return _as_arrays([datasets.read(path, part) for part in _PARTS], names, options, plugins)


def _as_arrays(parts: Parts, names: tuple[str, ...], options: Options, plugins: Plugins) -> _Read:
    """Arrays without preparation. The kind of preparation must leave them unchanged."""
    wanted = preparing.for_arrays(options, plugins, parts[0][0])
    prepared = [(datasets.prepared(samples, wanted.one, "data"), labels) for samples, labels in parts]
    return prepared, names, wanted.form.preparation


def _download(options: Options, plugins: Plugins) -> _Read:
    """Lets torchvision download and check the files that are missing in its cache."""
    name = options.dataset
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
    parts = [(_upright(_array(each.data), name), _array(each.targets).astype(np.intp)) for each in found]
    return _as_arrays(parts, _names(found[0]), options, plugins)


def _upright(images: NDArray[Any], name: str) -> NDArray[Any]:
    """The images upright: EMNIST's files have rows and columns swapped (Cohen et al. 2017, arXiv:1702.05373)."""
    return images.swapaxes(1, 2) if name == "EMNIST" else images


def _array(values: Any) -> NDArray[Any]:
    """The array of torchvision's data. It keeps tensors, arrays or lists; QMNIST's labels have several columns."""
    array = np.asarray(values)
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 8 else array


def _names(found: Any) -> tuple[str, ...]:
    """The names of the classes. MNIST writes "0 - zero" for 0."""
    return tuple(str(name).split(" - ")[0] for name in getattr(found, "classes", ()))


def _subset(part: Part, indices: NDArray[np.int64]) -> Part:
    return Part(part.samples[indices], part.labels[indices])
