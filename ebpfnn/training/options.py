"""What a training run is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

DATASETS = ("MNIST", "FashionMNIST", "EMNIST", "KMNIST", "QMNIST", "USPS")
"""The data sets that torchvision can download, by the names of its classes."""


@dataclass(frozen=True)
class Distortion:
    """How far each training image is moved at most: degrees, pixels, and shares of its size; and whether half are mirrored."""

    rotation: float = 8.0
    shift: float = 1.2
    scale: float = 0.08
    shear: float = 0.08
    mirror: bool = False


@dataclass(frozen=True)
class Precision:
    """What the network will compute in: bits of an input value, of the values between layers, and of a weight.

    ``thresholds`` are those of :class:`~ebpfnn.layers.InputFormat`, evenly spread where empty. ``aware`` trains with the
    rounding that quantization will do (:mod:`ebpfnn.training.rounding`); fewer than 8 bits want it.
    """

    input_bits: int = 8
    thresholds: tuple[int, ...] = ()
    packed: bool = False
    bit_order: str = "big"
    hidden_bits: int = 8
    weight_bits: int = 8
    aware: bool = False


@dataclass(frozen=True)
class Teaching:
    """A teacher: a float network whose logits the trained one learns to give (Hinton et al. 2015, arXiv:1503.02531).

    The loss is ``share`` of the divergence from the teacher's distribution at ``temperature``, the rest that from the labels.
    """

    network: Path
    temperature: float = 1.0
    share: float = 0.9


@dataclass(frozen=True)
class Options:
    """A training run. The same options, data, machine, PyTorch and number of threads give the same file.

    ``data`` is where samples lie (:func:`ebpfnn.datasets.read`), None to download ``dataset``. ``architecture`` is a string
    that :mod:`ebpfnn.architecture` knows, or ``module`` names a Python file and the function in it that returns an nn.Module:
    ``file.py:build``. ``views`` are the distorted copies of the training images that are made before training and shown in
    turn, 0 for new ones in every epoch; ``cache`` is a directory that keeps them for the next run. ``slope`` is the
    LeakyReLU's, 0 for ReLU. ``distortion`` None shows samples as they are. ``output`` is the file of the integer network; the
    float one lies beside it.
    """

    output: Path
    data: Path | None = None
    dataset: str = "MNIST"
    architecture: str = "784-32-10"
    module: str | None = None
    name: str = "mnist"
    epochs: int = 30
    batch_size: int = 128
    learning_rate: float = 3e-3
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
