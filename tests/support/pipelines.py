"""Files that skl2onnx made of scikit-learn's pipelines, and what onnxruntime makes of rows."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from ebpfnn import Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.network import QuantizedNetwork
from ebpfnn.preparation import Values

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
FILES = Path(__file__).parents[1] / "data" / "sklearn"


def quantize(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["quantize", *map(str, arguments)])


def rows(table: str) -> np.ndarray:
    """The numbers of a table, float32 [n, 4]."""
    return np.loadtxt(FILES / f"{table}.csv", np.float32, delimiter=",", skiprows=1, usecols=range(4))


def drawn(given: np.ndarray, count: int) -> np.ndarray:
    """``count`` rows near ``given``, float32, with normal noise of a quarter of each column's deviation."""
    random = np.random.default_rng(99)
    near = given[random.integers(0, len(given), count)]
    return (near + random.normal(0, 0.25, near.shape) * given.std(axis=0)).astype(np.float32)


def computed(name: str, given: np.ndarray) -> list[np.ndarray]:
    """The outputs of a file by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(FILES / f"{name}.onnx"))
    parts, place = {}, 0
    for each in session.get_inputs():
        kind = np.int64 if "int64" in each.type else np.float32
        parts[each.name] = given[:, place : place + each.shape[1]].astype(kind)
        place += each.shape[1]
    found: list[np.ndarray] = session.run(None, parts)
    return found


def made(path: str) -> QuantizedNetwork:
    network = modelfile.load(path)
    assert isinstance(network, QuantizedNetwork)
    return network


def samples(network: QuantizedNetwork, given: np.ndarray) -> np.ndarray:
    wanted = Plugins.installed().wanted(network.input)
    return np.stack([wanted.one(Values(row)) for row in given])
