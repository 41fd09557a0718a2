"""What ``ebpfnn quantize`` does with every network in floats: fewer bits, and two files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..bodies import modelfile
from ..network import QuantizedNetwork
from ..quantize import floatfile
from ..quantize.floats import FloatConv2d, FloatDense, Network


def with_bits(network: Network, hidden: int, weights: int) -> Network:
    """``network`` with ``hidden`` bits a value between layers and ``weights`` bits a weight."""
    layers = tuple(
        replace(layer, activation=replace(layer.activation, bits=hidden), weight_bits=weights)
        if isinstance(layer, (FloatDense, FloatConv2d))
        else layer
        for layer in network.layers
    )
    return replace(network, layers=layers)


def save(integers: QuantizedNetwork, floats: Network | None, output: Path) -> None:
    """Writes the file, and the float form beside it. A float form of another network is removed."""
    if floats is not None:
        floatfile.save(replace(floats, card=integers.card), floatfile.beside(output))
    try:
        modelfile.save(integers, output)
    except BaseException:
        floatfile.beside(output).unlink(missing_ok=True)
        raise
    if floats is None:
        floatfile.beside(output).unlink(missing_ok=True)
