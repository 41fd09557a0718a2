"""The options of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..errors import ModelError
from ..network.architecture import has_tables

DATASETS = ("MNIST", "FashionMNIST", "EMNIST", "KMNIST", "QMNIST", "USPS")
"""The data sets that torchvision can download, by the names of its classes."""
_FILES = (".csv", ".jsonl", ".ndjson", ".npz", ".parquet")
KINDS_OF_TREES = TREE, FOREST, BOOST = ("tree", "forest", "boost")
"""What the architecture of trees begins with, before a colon."""
INTERRUPTED = "interrupted"
"""The entry that only the card of an interrupted run has."""
INTERACTIONS = 2
"""How many of a group's inputs act together in a table, unless the options say otherwise."""


@dataclass(frozen=True)
class Distortion:
    """The maximum random change of each training image: degrees, pixels, shares of its size; and whether half are mirrored."""

    rotation: float = 8.0
    shift: float = 1.2
    scale: float = 0.08
    shear: float = 0.08
    mirror: bool = False


@dataclass(frozen=True)
class Precision:
    """The precision of the network: bits of an input value, of the values between layers, and of a weight.

    ``thresholds`` are those of :class:`~ebpfnn.network.inputformat.InputFormat`, evenly spaced if empty. ``aware`` simulates
    the rounding of quantization during training (:mod:`ebpfnn.training.rounding`). ``idle`` and ``shared_steps`` make the
    trained network lighter (:mod:`ebpfnn.quantize.trimming`): inputs that are above 0 in at most that share of the training
    samples lose their weights, and the outputs of a hidden layer get one step. In a table network groups get no table that are
    above 0 in at most the share ``idle``.

    Raises :class:`ModelError` for fewer than 8 hidden or weight bits without ``aware``, or weight bits with shared steps.
    """

    input_bits: int = 8
    thresholds: tuple[int, ...] = ()
    packed: bool = False
    bit_order: str = "big"
    hidden_bits: int = 8
    weight_bits: int = 8
    aware: bool = False
    idle: float | None = None
    shared_steps: bool = False

    def __post_init__(self) -> None:
        if not self.aware and min(self.hidden_bits, self.weight_bits) < 8:
            bits = f"{self.hidden_bits} hidden and {self.weight_bits} weight bits"
            raise ModelError(f"{bits}: fewer than 8 must be trained for; give --aware too")
        if self.shared_steps and self.weight_bits < 8:
            raise ModelError(
                f"{self.weight_bits} weight bits: their steps are learned, one an output; leave --shared-steps out"
            )


@dataclass(frozen=True)
class Teaching:
    """A teacher: a float network whose logits the trained network learns to reproduce (Hinton et al. 2015, arXiv:1503.02531).

    ``share`` weights the divergence from the teacher's distribution at ``temperature`` in the loss; the rest is the loss of the
    labels.
    """

    network: Path
    temperature: float = 1.0
    share: float = 0.9


@dataclass(frozen=True)
class Options:
    """A training run. On the CPU, the same options, data, machine, PyTorch and number of threads give the same file.

    ``data`` is the path of the samples (:func:`ebpfnn.datasets.read`), None to download ``dataset``. The default of ``dataset``
    is the name of ``data``, or MNIST if there is none. The default of ``name`` is the data set's name. ``prepare`` says how
    samples are made, as ``KIND:KEY=VALUE,...``, and ``input_shape`` their shape; the default of both is chosen from the data.
    ``architecture`` is a string that :mod:`ebpfnn.network.architecture` knows, "" for one hidden layer of 32, or ``module``
    names a Python file and the function in it that returns an nn.Module: ``file.py:build``. In a table network ``tiles`` are
    the rows and columns of an image that select a row together, and ``interactions`` is how many of a group's inputs act
    together (:mod:`ebpfnn.training.tables`), 2 if it is None. ``leaf_rows`` are the fewest samples in a leaf of a tree
    (:mod:`ebpfnn.training.ensembles`), 0 for 1, or 20 of boosted trees. 0 ``epochs`` means 30, or more for a small table, and
    0 as ``learning_rate`` 0.003, or 0.3 of boosted trees. ``views`` are
    the distorted copies of the training images that are made before training and used in turn, 0 to make new ones in every
    epoch; ``cache`` is a directory that keeps them for the next run. ``slope`` is that of LeakyReLU, 0 for ReLU. If
    ``distortion`` is None, samples are not changed. ``output`` is the file of the integer network; the file of the float
    network is beside it.

    For a table, ``label`` is the column of classes ("": found by its name), ``ignore`` are columns that are not used, and rows
    with one value of ``split_by`` stay together when rows are held out ("": the column ``group`` if there is one; ``none``: no
    column). ``columns`` and ``encode`` say how columns are encoded (:mod:`ebpfnn.training.columns`). ``spec`` names the spec of
    its rows, or the file of one, if the table does not have it itself. ``class_weights`` is ``balanced``, or weights in the
    loss by class, such as ``a=2,b=1``.

    Raises :class:`ModelError` for a name that cannot be printed, or a ``cache`` without ``views``.
    """

    output: Path
    data: Path | None = None
    dataset: str = ""
    prepare: str = ""
    input_shape: tuple[int, ...] | None = None
    label: str = ""
    ignore: tuple[str, ...] = ()
    split_by: str = ""
    columns: str = ""
    encode: str = ""
    spec: str = ""
    class_weights: str = ""
    architecture: str = ""
    tiles: tuple[int, int] | None = None
    interactions: int | None = None
    leaf_rows: int = 0
    module: str | None = None
    name: str = ""
    epochs: int = 0
    batch_size: int = 128
    learning_rate: float = 0.0
    optimizer: str = "adam"
    schedule: str = "cosine"
    weight_decay: float = 0.0
    dropout: float = 0.0
    slope: float = 0.125
    seed: int = 1
    distortion: Distortion | None = field(default_factory=Distortion)
    views: int = 0
    cache: Path | None = None
    teaching: Teaching | None = None
    precision: Precision = field(default_factory=Precision)
    device: str = "auto"
    threads: int = 0
    resume: bool = False

    def __post_init__(self) -> None:
        dataset = self.dataset or (_called(self.data) if self.data else "MNIST")
        own = self.data is not None and not self.dataset
        object.__setattr__(self, "dataset", dataset)
        object.__setattr__(self, "name", self.name or (dataset if own else dataset.lower()))
        if not dataset.isprintable():
            raise ModelError(f"data {dataset!r}: a name that cannot be printed; rename the file or directory")
        if not self.name.isprintable():
            raise ModelError(f"name {self.name!r}: cannot be printed; give another --name")
        for name in ("tiles", "interactions"):
            if getattr(self, name) and not has_tables(self.architecture):
                raise ModelError(f"--{name}: the network has no tables; give --arch, such as table32-10")
        if self.leaf_rows and not is_trees(self.architecture):
            raise ModelError("--leaf-rows: the network has no trees; give --arch, such as tree:8")
        if self.cache and not self.views:
            raise ModelError(f"{self.cache}: there are no views to keep; give --views too, or leave --cache out")


def is_trees(architecture: str) -> bool:
    """Whether ``architecture`` names trees; :mod:`ebpfnn.training.ensembles` tells whether it names them well."""
    return architecture.partition(":")[0] in KINDS_OF_TREES


def _called(data: Path) -> str:
    """The name of the file or directory."""
    path = data.resolve()
    return (path.stem if path.suffix in _FILES else path.name) or "data"
