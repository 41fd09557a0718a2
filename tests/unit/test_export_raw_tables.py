"""Plain files of networks of tables and of cascades: the bytes that are documented, and the same network back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import input_format, network, random_network
from tablenets import cascade, table, table_network

from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError
from ebpfnn.exporters import raw
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import Table

FIRST = {"layer0.tables16.bin", "layer0.bias32.bin", "layer0.order32.bin"}
LAST = {"layer1.tables16.bin", "layer1.bias32.bin", "layer1.order32.bin"}


def with_occupied(made: QuantizedNetwork) -> QuantizedNetwork:
    first, *others = made.layers
    assert isinstance(first, Table)
    occupied = np.random.default_rng(1).integers(0, 256, (5, 1)).astype(np.uint8)
    return replace(made, layers=(replace(first, occupied=occupied), *others))


def back(made: QuantizedNetwork, directory: Path) -> set[str]:
    """Exports and reads it again; the names of the files."""
    raw.export(made, directory)
    assert modelfile.encode(raw.load(directory)) == modelfile.encode(made)
    return {path.name for path in directory.iterdir()} - {"model.json"}


def test_tables(tmp_path: Path) -> None:
    made = table_network(1)
    assert back(made, tmp_path / "raw") == FIRST | LAST
    layer = made.layers[0]
    assert isinstance(layer, Table)
    read = np.fromfile(tmp_path / "raw" / "layer0.tables16.bin", "<i2").reshape(8, 256, 11)
    assert np.array_equal(read, layer.tables)
    assert np.array_equal(np.fromfile(tmp_path / "raw" / "layer0.order32.bin", "<i4").reshape(8, 8), layer.order)
    described = json.loads((tmp_path / "raw" / "model.json").read_text())
    assert described["layers"][0]["byte_lanes"] == {"shift": 1, "exact": False}
    assert described["layers"][0]["tables"] == {"file": "layer0.tables16.bin", "dtype": "int16", "shape": [8, 256, 11]}
    assert described["input"]["order"] == list(made.input.order)


def test_occupied_groups(tmp_path: Path) -> None:
    assert back(with_occupied(table_network(1)), tmp_path / "raw") == FIRST | LAST | {"layer0.occupied8.bin"}


def test_members_that_are_none_and_rows_of_16_bits(tmp_path: Path) -> None:
    made = table_network(1, (5, 3), tile=None, largest=300)
    assert back(made, tmp_path / "raw") == FIRST | LAST


def test_a_cascade(tmp_path: Path) -> None:
    made = cascade(with_occupied(table_network(1)), table_network(3), with_occupied(table_network(5)))
    own = {"layer0.occupied8.bin"}
    names = FIRST | LAST | own, FIRST | LAST, FIRST | LAST | own
    assert back(made, tmp_path / "raw") == {"then." * stage + name for stage, each in enumerate(names) for name in each}
    back(table_network(1), tmp_path / "raw")  # an export that is replaced


def test_a_cascade_of_dense_networks(tmp_path: Path) -> None:
    made = cascade(random_network((12, 5, 3), 1), random_network((12, 6, 7, 3), 2))
    names = {"hweights8.bin", "hbias32.bin", "outweights8.bin", "outbias32.bin"}
    deeper = {f"then.layer{n}.{kind}.bin" for n in range(3) for kind in ("weights8", "bias32")}
    assert back(made, tmp_path / "raw") == names | deeper


def lose_then(described: Any) -> None:
    described["then"] = []


def deepen(described: Any) -> None:
    for _ in range(4):
        described["then"] = {"margin": 1, "share": 1.0, "network": {**described}}


def flatten(described: Any) -> None:
    described["layers"][0]["tables"]["shape"] = [8 * 256, 11]


def widen(described: Any) -> None:
    described["layers"][0]["tables"]["shape"] = [1, 2048, 11]


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        (lose_then, "'then' must be of type dict"),
        (deepen, "more than 4 networks"),
        (flatten, r"tables must be int16 \[8, rows, outputs\]"),
        (widen, r"tables must be int16 \[8, rows, outputs\]"),
    ],
)
def test_damaged_descriptions(tmp_path: Path, change: Callable[[Any], None], fact: str) -> None:
    raw.export(cascade(table_network(1), table_network(3)), tmp_path / "raw")
    path = tmp_path / "raw" / "model.json"
    described = json.loads(path.read_text())
    change(described)
    path.write_text(json.dumps(described))
    with pytest.raises(ModelError, match=f"model.json: {fact}.*; give a directory"):
        raw.load(tmp_path / "raw")


def test_levels_of_more_bits(tmp_path: Path) -> None:
    back(network([table(1, 10, 3, bits=4)], input_format((10,), 4)), tmp_path / "raw")
