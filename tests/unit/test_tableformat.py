"""Tables and cascades in a model file: what is saved is loaded, rows of 0 are not stored, and what is bent is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from modelfiles import Described, Tensors, parts, refusal, write
from networks import network
from tablekinds import CASCADES, KINDS
from tablenets import cascade, table, table_network
from test_modelfile import values

from ebpfnn.bodies import modelfile
from ebpfnn.network import QuantizedNetwork, modelformat
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import LARGEST_SIZE, ByteLanes, Table


@pytest.mark.parametrize("net", [*KINDS.values(), *CASCADES.values()], ids=[*KINDS, *CASCADES])
def test_what_is_saved_is_loaded(tmp_path: Path, net: QuantizedNetwork) -> None:
    modelfile.save(net, tmp_path / "a")
    found = modelfile.load(tmp_path / "a")
    assert values(found) == values(net)
    assert modelfile.encode(found) == (tmp_path / "a").read_bytes()
    for stage in found.stages:
        assert not any(layer.tables.flags.writeable for layer in stage.layers if isinstance(layer, Table))


def tables() -> QuantizedNetwork:
    """A first layer of bytes in a group of 8 and one of 4, with a row that needs 16 bits, and a table of scores in 8."""
    first = table(1, 12, 9, sparse=0.5, requantization=ByteLanes(3, exact=False), occupied=np.array([[192], [64]], np.uint8))
    first.tables[1, 7, 2] = -129
    last = table(2, 9, 3, bits=5, members=1, sparse=0.5)
    return network([first, last], InputFormat((12,), 1, (7,), True, order=tuple(range(12))[::-1]))


def test_only_rows_that_are_not_0_are_stored() -> None:
    net = tables()
    tensors, described, _ = parts(net)
    for number, (layer, dtype) in enumerate(zip(net.layers, (np.int16, np.int8), strict=True)):
        assert isinstance(layer, Table)
        rows = layer.tables.reshape(-1, layer.outputs)
        stored = tensors[f"layers.{number}.rows"]
        assert stored.dtype == dtype
        assert stored.tolist() == [row for row in rows.tolist() if any(row)]
        assert 0 < len(stored) < len(rows)
        assert tensors[f"layers.{number}.present"].tolist() == np.packbits(rows.any(axis=1)).tolist()
    assert described["layers"][0] == {"type": "table", "bits": 1, "lowest": 0, "byte_lanes": {"shift": 3, "exact": False}}
    assert described["input"]["order"] == list(range(12))[::-1]
    assert "then" not in described


def test_a_table_of_nothing_but_0(tmp_path: Path) -> None:
    blank = table(1, 12, 3, largest=0)
    modelfile.save(network([blank], InputFormat((12,), 1, (7,))), tmp_path / "a")
    (found,) = modelfile.load(tmp_path / "a").layers
    assert values(found) == values(blank)
    assert parts(network([blank], InputFormat((12,), 1, (7,))))[0]["layers.0.rows"].shape == (0, 3)


def changed(name: str, change: Callable[[np.ndarray], Any]) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: np.ascontiguousarray(change(tensors[name]))})


def flip(place: int, bit: int) -> Callable[[np.ndarray], np.ndarray]:
    """A bit of ``present``, which has a byte for 8 rows."""

    def change(present: np.ndarray) -> np.ndarray:
        found = present.copy()
        found[place] ^= bit
        return found

    return change


@pytest.mark.parametrize(
    ("bend", "fact"),
    [
        *((lambda tensors, name=name: tensors.pop(f"layers.0.{name}"), f"layer 0: tensor 'layers.0.{name}' is missing")
          for name in ("rows", "present", "bias", "order", "occupied")),
        (lambda tensors: tensors.pop("layers.1.negative"), "layer 1: tensor 'layers.1.negative' is missing"),
        (lambda tensors: tensors.update({"layers.0.positive": np.ones(9, np.int32)}), "'layers.0.positive' is not expected"),
        (changed("layers.0.present", flip(3, 16)), "rows are stored, and"),
        (changed("layers.0.present", lambda present: present[:-1]), "layer 0: present must be uint8 [64]"),
        (changed("layers.0.present", lambda present: np.append(present, 0)), "layer 0: present must be uint8 [64]"),
        (changed("layers.0.present", lambda present: present.astype(np.int16)), "layer 0: present must be uint8 [64]"),
        (changed("layers.0.present", lambda present: present.reshape(8, 8)), "layer 0: present must be uint8 [64]"),
        (changed("layers.0.rows", lambda rows: rows[1:]), "rows are stored, and"),
        (changed("layers.0.rows", lambda rows: np.concatenate([rows, rows[:1]])), "rows are stored, and"),
        (changed("layers.0.rows", lambda rows: rows[:, :8]), "layer 0: bias must be int32 [8]"),
        (changed("layers.0.rows", lambda rows: rows[:, :0]), "layer 0: tables must be int16 [2, 256, outputs]"),
        (changed("layers.0.rows", np.ravel), "layer 0: rows must be int8 or int16 [stored rows, outputs]"),
        (changed("layers.0.rows", lambda rows: rows.astype(np.int32)), "layer 0: rows must be int8 or int16"),
        (changed("layers.0.rows", lambda rows: rows.astype(np.float32)), "layer 0: rows must be int8 or int16"),
        (changed("layers.0.order", lambda order: order.astype(np.int64)), "layer 0: order must be int32 [groups, members]"),
        (changed("layers.0.order", np.ravel), "layer 0: order must be int32 [groups, members]"),
        (changed("layers.0.order", lambda order: order[:0]), "layer 0: order must be int32 [groups, members]"),
        (changed("layers.0.order", lambda order: order[:, :0]), "layer 0: order must be int32 [groups, members]"),
        (changed("layers.0.order", lambda order: order[::-1] * 0), "layer 0: order must name each input exactly once"),
        (changed("layers.0.order", lambda order: order.reshape(1, 16)), "layer 0: has groups of 16 inputs of 1 bits, 16 bits"),
        (changed("layers.0.occupied", lambda occupied: occupied.astype(np.int8)), "layer 0: occupied must be uint8"),
        (changed("layers.0.occupied", lambda occupied: np.zeros((1025, 1), np.uint8)), "layer 0: occupied must be uint8"),
        (changed("layers.0.occupied", lambda occupied: np.zeros((3, 2), np.uint8)), "layer 0: occupied must be uint8"),
        (changed("layers.0.bias", lambda bias: bias.astype(np.int64)), "layer 0: bias must be int32 [9]"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit(tmp_path: Path, bend: Callable[[Tensors], object], fact: str) -> None:
    tensors, described, metadata = parts(tables())
    bend(tensors)
    write(tmp_path / "a", tensors, described, metadata)
    assert fact in refusal(tmp_path / "a")


def test_bits_behind_the_last_row(tmp_path: Path) -> None:
    """A table of four rows has half a byte of them."""
    tensors, described, metadata = parts(network([table(1, 1, 3, bits=2, members=1)], InputFormat((1,), 2, (1, 2, 3))))
    tensors["layers.0.present"] = tensors["layers.0.present"] | np.uint8(1)
    tensors["layers.0.rows"] = np.concatenate([tensors["layers.0.rows"], np.ones((1, 3), np.int8)])
    write(tmp_path / "a", tensors, described, metadata)
    assert "rows are stored, and" in refusal(tmp_path / "a")


@pytest.mark.parametrize(("members", "bits", "outputs"), [(1, 8, 20_000), (8, 1, 1 << 22), (1, 1, 1 << 24)])
def test_tables_that_would_be_huge_are_refused_before_they_are_made(
    tmp_path: Path, members: int, bits: int, outputs: int
) -> None:
    """A file of some bytes may tell of rows that are not stored, and would take gigabytes."""
    tensors, described, metadata = parts(tables())
    inputs = 12 - 12 % members
    tensors["layers.0.order"] = np.arange(inputs, dtype=np.int32).reshape(-1, members)
    tensors["layers.0.rows"] = np.zeros((0, outputs), np.int8)
    tensors["layers.0.present"] = np.zeros(max(1, (inputs // members << members * bits) // 8), np.uint8)
    described["layers"][0]["bits"] = bits
    write(tmp_path / "a", tensors, described, metadata)
    assert f"layer 0: tables must hold at most {LARGEST_SIZE} values" in refusal(tmp_path / "a")


def test_layers_that_are_small_in_the_file_and_huge_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = tables()
    first, last = (layer.tables.size for layer in net.layers if isinstance(layer, Table))
    modelfile.save(net, tmp_path / "a")
    monkeypatch.setattr(modelformat, "LARGEST_SIZE", first + last)
    modelfile.load(tmp_path / "a")
    monkeypatch.setattr(modelformat, "LARGEST_SIZE", first + last - 1)
    fact = f"layer 1: the tables so far hold {first + last} values; at most {first + last - 1} are taken"
    assert fact in refusal(tmp_path / "a")


@pytest.mark.parametrize("value", [None, True, "x", [], {}, 1.5, -1, 0, 9, 10**400])
def test_bits_of_another_type_or_range(tmp_path: Path, value: object) -> None:
    bent(tmp_path, lambda described: described["layers"][0].update({"bits": value}), "layer 0: ")


@pytest.mark.parametrize("value", [None, True, "x", [], {}, 1.5, 1, -128, 10**400])
def test_lowest_values_of_another_type_or_range(tmp_path: Path, value: object) -> None:
    bent(tmp_path, lambda described: described["layers"][0].update({"lowest": value}), "layer 0")


LANES: list[object] = [None, True, 1, "x", [], {}, {"shift": 1}, {"exact": True}]
LANES += [{"shift": shift, "exact": False} for shift in (None, True, "1", 1.0, -1, 8, 10**400)]
LANES += [{"shift": 1, "exact": exact} for exact in (None, 0, 1, "x", [])]


@pytest.mark.parametrize("value", LANES)
def test_byte_lanes_of_another_type_or_range(tmp_path: Path, value: object) -> None:
    bent(tmp_path, lambda described: described["layers"][0].update({"byte_lanes": value}), "layer 0: ")


def test_a_promise_that_is_not_kept(tmp_path: Path) -> None:
    def promise(described: Described) -> None:
        described["layers"][0]["byte_lanes"]["exact"] = True

    bent(tmp_path, promise, "layer 0 can reach |accumulator| ")


ORDERS: list[object] = [None, True, 1, "x", {}, [0], [*range(11), 10], [*range(1, 13)], [*range(11), 11.0], [*range(11), True]]


@pytest.mark.parametrize("value", ORDERS)
def test_orders_of_another_type_or_range(tmp_path: Path, value: object) -> None:
    bent(tmp_path, lambda described: described["input"].update({"order": value}), "input: ")


def bent(directory: Path, bend: Callable[[Described], object], fact: str, net: QuantizedNetwork | None = None) -> None:
    tensors, described, metadata = parts(net or tables())
    bend(described)
    write(directory / "a", tensors, described, metadata)
    assert fact in refusal(directory / "a")


def two() -> QuantizedNetwork:
    return cascade(table_network(1), table_network(2))


THEN = {
    "margin": [None, True, 1.0, "x", [], {}, 0, -1, 2**31, 10**400],
    "share": [None, True, "x", [], {}, -0.5, 1.5, 10**400, float("nan")],
    "network": [None, True, 1, "x", [], {}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, found in THEN.items() for value in found])
def test_cascades_of_another_type_or_range(tmp_path: Path, field: str, value: object) -> None:
    bent(tmp_path, lambda described: described["then"].update({field: value}), "next network: ", two())
    bent(tmp_path, lambda described: described["then"].pop(field), "next network: ", two())


@pytest.mark.parametrize("value", [None, True, 1, "x", [], {}])
def test_a_next_network_that_is_none(tmp_path: Path, value: object) -> None:
    bent(tmp_path, lambda described: described.update({"then": value}), "next network: ", two())


def test_tensors_of_networks_that_are_not_there(tmp_path: Path) -> None:
    bent(tmp_path, lambda described: described.pop("then"), "tensor 'then.layers.0.bias' is not expected", two())
    tensors, described, metadata = parts(two())
    tensors["then.more"] = tensors.pop("then.layers.1.bias")
    write(tmp_path / "a", tensors, described, metadata)
    assert "next network: layer 1: tensor 'layers.1.bias' is missing" in refusal(tmp_path / "a")


def test_networks_of_a_cascade_that_do_not_fit(tmp_path: Path) -> None:
    fact = "the next network, 'tables2', has other labels"
    bent(tmp_path, lambda described: described["then"]["network"].update({"labels": ["a", "b", "c", "d"]}), fact, two())
    bent(tmp_path, lambda described: described["then"]["network"]["input"].pop("order"), "takes other samples", two())


@pytest.mark.parametrize("depth", [4, 5, 1000, 100_000])
def test_cascades_without_end(tmp_path: Path, depth: int) -> None:
    """A network, and behind it ``depth`` that are not described any further."""
    tensors, described, metadata = parts(tables())
    begin, end = '{"margin": 1, "share": 1, "network": ', "}"
    nested = '"then": ' + (begin + '{"then": ') * (depth - 1) + begin + "{}" + end + ("}" + end) * (depth - 1)
    write(tmp_path / "a", tensors, json.dumps(described)[:-1] + f", {nested}}}", metadata)
    told = refusal(tmp_path / "a")
    assert "more than 4 networks in a cascade" in told or (depth >= 1000 and "not JSON" in told)
    assert len(told) < 1000


def test_the_last_network_of_four_is_read(tmp_path: Path) -> None:
    """And is the first of which something is missing."""
    four = cascade(*(table_network(seed) for seed in range(4)))
    modelfile.save(four, tmp_path / "a")
    assert len(modelfile.load(tmp_path / "a").stages) == 4

    def nameless(described: Described) -> None:
        described["then"]["network"]["then"]["network"]["then"]["network"].pop("name")

    bent(tmp_path, nameless, "next network: next network: next network: 'name' must be of type str", four)
