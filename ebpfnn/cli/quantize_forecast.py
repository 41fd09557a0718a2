"""The first lines of `ebpfnn quantize`: whether the network will load, before anything is calibrated."""

from __future__ import annotations

from contextlib import suppress

import click
import numpy as np

from ..errors import InputError, ModelError
from ..network.model import Model
from ..plugin import Plugins
from ..quantize.floats import Network
from ..quantize.quantization import quantize
from .forecast_text import forecast_lines

_DRAFTED = 4
"""Samples of noise, by which the ranges of a draft are chosen: in bytes they are as wide as any others."""


def tell_forecast(found: Model | Network, plugins: Plugins, kernel: str | None) -> None:
    """Prints whether ``kernel`` takes the model, or a draft of a network in floats, and what it takes there; None: this kernel.

    A network that cannot be drafted is told by its quantization.
    """
    from ..evaluation.forecast import forecast

    with suppress(ModelError, InputError):
        model = _draft(found) if isinstance(found, Network) else found
        for line in forecast_lines(forecast(model, plugins, kernel), kernel):
            click.echo(line)


def _draft(network: Network) -> Model:
    noise = np.random.default_rng(1).integers(0, 256, (_DRAFTED, *network.input.shape), np.uint8)
    return quantize(network, noise)
