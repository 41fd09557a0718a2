"""The samples that ``ebpfnn bench`` runs a network on: given, bundled or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..bench.inputs import Inputs, corner_inputs, dense_inputs, few_of, noise_inputs, sparse_inputs, takes_digits
from ..bench.measure import FEW
from ..datasets import mnist
from ..errors import printable
from ..network.model import LABEL, Model
from ..plugin import Plugins
from .measured import read_measured, read_unlabelled
from .messages import complain

_MOST_BYTES = 128 << 20  # of samples, which a few rows hold in the kernel's memory


@dataclass(frozen=True, eq=False)
class BenchInputs:
    """``kinds`` are what is run, the first with the most samples.

    ``samples`` and ``labels`` are all of the data; empty for drawn ones.
    """

    kinds: list[Inputs]
    samples: NDArray[np.uint8]
    labels: NDArray[Any]


def read(
    network: Model,
    data: str | None,
    label: str | None,
    images: int,
    plugins: Plugins,
    *,
    dense: bool = True,
    noise: bool = False,
) -> BenchInputs:
    """At most ``images`` samples for ``network``, the first :data:`FEW` of them once more, and as many ``dense`` and ``noise``.

    Without ``data``, the bundled digits if it takes 784 values, else drawn ones, which is reported, as is a lack of samples.
    Raises as :func:`read_measured`.
    """
    most = min(images, max(_MOST_BYTES // network.input.size, 1))
    if data is not None and network.result != LABEL:
        samples, labels = read_unlabelled(data, network, plugins), np.zeros(0, np.intp)
        given = Inputs("data", samples[:most])
    elif data is not None:
        found = read_measured(data, network, plugins, label)
        samples, labels = found.samples, found.labels
        given = Inputs("sparse" if takes_digits(network) else "data", samples[:most], labels[:most])
    elif takes_digits(network):
        samples, digits = mnist.read_test()
        labels = digits.astype(np.intp)
        given = sparse_inputs(network, samples[:most], digits[:most])
    else:
        complain(f"no --data given; samples of '{printable(network.name)}' are drawn: blank, sparse, dense and noise")
        nothing = np.zeros((0, *network.input_shape), np.uint8)
        return BenchInputs(corner_inputs(network, most, encoders=plugins.encoders), nothing, np.zeros(0, np.intp))
    count = len(given.samples)
    if count < images:
        remedy = "give more with --data" if count < most else f"more than {_MOST_BYTES >> 20} MB are not taken"
        complain(f"{count:,} samples of '{printable(network.name)}', not {images:,}: branch predictors learn few; {remedy}")
    kinds = [draw for draw, asked in ((dense_inputs, dense), (noise_inputs, noise)) if asked]
    drawn = [draw(network, count, encoders=plugins.encoders) for draw in kinds]
    return BenchInputs([given, *few_of(given, FEW), *drawn], samples.reshape(-1, *network.input_shape), labels)


def check_labels(inputs: dict[str, BenchInputs], option: str) -> None:
    """Raises :class:`click.UsageError` for a network whose samples are drawn: ``option`` needs its accuracy."""
    for name, given in inputs.items():
        if not len(given.labels):
            raise click.UsageError(f"{option} needs samples with labels for '{printable(name)}'; give some with --data")
