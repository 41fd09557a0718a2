"""The samples that ``ebpfnn bench`` runs a network on: given, bundled or drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ..bench.inputs import Inputs, corner_inputs, dense_inputs, sparse_inputs, takes_digits
from ..datasets import mnist
from ..errors import printable
from ..network import QuantizedNetwork
from ..plugin import Plugins
from .measured import read_measured
from .messages import complain


@dataclass(frozen=True, eq=False)
class BenchInputs:
    """``kinds`` are what is run, as many samples each. ``samples`` and ``labels`` are all of the data; empty for drawn ones."""

    kinds: list[Inputs]
    samples: NDArray[np.uint8]
    labels: NDArray[Any]


def read(network: QuantizedNetwork, data: str | None, label: str | None, images: int, plugins: Plugins) -> BenchInputs:
    """At most ``images`` samples of each kind for ``network``.

    Without ``data``, the bundled digits if it takes 784 values, else drawn ones, which is reported. Raises as
    :func:`read_measured`.
    """
    if data is not None:
        found = read_measured(data, network, plugins, label)
        samples, labels = found.samples, found.labels
        given = Inputs("sparse" if takes_digits(network) else "data", samples[:images], labels[:images])
    elif takes_digits(network):
        samples, digits = mnist.read_test()
        labels = digits.astype(np.intp)
        given = sparse_inputs(network, samples[:images], digits[:images])
    else:
        complain(f"no --data given; samples of '{printable(network.name)}' are drawn: blank, sparse, dense and noise")
        nothing = np.zeros((0, *network.input_shape), np.uint8)
        return BenchInputs(corner_inputs(network, images, encoders=plugins.encoders), nothing, np.zeros(0, np.intp))
    whole = samples.reshape(-1, *network.input_shape)
    return BenchInputs([given, dense_inputs(network, len(given.samples), encoders=plugins.encoders)], whole, labels)


def check_labels(inputs: dict[str, BenchInputs]) -> None:
    """Raises :class:`click.UsageError` for a network whose samples are drawn: a plot needs its accuracy."""
    for name, given in inputs.items():
        if not len(given.labels):
            raise click.UsageError(f"--plot needs samples with labels for '{printable(name)}'; give some with --data")
