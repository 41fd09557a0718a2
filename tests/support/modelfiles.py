"""A model file taken apart, to be bent and written again, and what is said of it then."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError
from ebpfnn.network import QuantizedNetwork

Tensors, Described, Metadata = dict[str, np.ndarray], dict[str, Any], dict[str, str]


def example() -> QuantizedNetwork:
    """A layer of each type, and an input of each kind of field: a convolution, a pool, and two dense layers."""
    net = random_network("conv4x3p1g1-pool2-5-3", 1, (1, 4, 5), bits=2, packed=True, bit_order="little")
    return replace(net, score_scale=0.25, density=(0.5, 1.0, 0.0, 0.125), card={"data": "none"})


def parts(network: QuantizedNetwork) -> tuple[Tensors, Described, Metadata]:
    """What the file of ``network`` holds, to be bent and written again."""
    data = modelfile.encode(network)
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return dict(safetensors.numpy.load(data)), json.loads(metadata["network"]), metadata


def write(path: Path, tensors: Tensors, described: Any, metadata: Metadata) -> None:
    text = described if isinstance(described, str) else json.dumps(described)
    path.write_bytes(safetensors.numpy.save(tensors, {**metadata, "network": text}))


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        modelfile.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert "; " in message
    return message
