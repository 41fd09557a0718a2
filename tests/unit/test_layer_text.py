"""Layers of tables and cascades as `ebpfnn inspect` prints them."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from networks import random_network
from tablenets import cascade, table_network

from ebpfnn.cli import layer_text
from ebpfnn.evaluation.layer_table import layer_rows
from ebpfnn.evaluation.network_facts import describe_stages
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import ByteLanes, Table


def text(made: QuantizedNetwork) -> list[str]:
    return list(layer_text.layers([asdict(row) for row in layer_rows(made)]))


def cells(lines: list[str], heading: str, column: str) -> list[str]:
    """The cells of ``column`` of the table whose heading has ``heading``, by their places."""
    first = next(number for number, line in enumerate(lines) if heading in line)
    rows = lines[first + 1 :]
    rows = rows[: rows.index("") if "" in rows else len(rows)]
    place = lines[first].index(column)
    return [row[place:].split("  ")[0].strip() for row in rows]


def lanes(made: QuantizedNetwork, **fields: Any) -> QuantizedNetwork:
    first, *others = made.layers
    assert isinstance(first, Table)
    return replace(made, layers=(replace(first, **fields), *others))


def test_tables() -> None:
    made = table_network(2)
    occupied = np.packbits(np.tile([1, 0], (5, 4)).astype(bool), axis=1)
    lines = text(lanes(made, occupied=occupied))
    assert cells(lines, "groups", "of") == ["8 x 1 bit", "1 x 7 bits"]
    assert cells(lines, "groups", "order") == ["2x4 tiles", "as they lie"]
    assert cells(lines, "groups", "blank") == ["50%", ""]
    assert cells(lines, "groups", "sums become") == ["bytes >> 1", "integers, requantized"]
    assert cells(lines, "groups", "fits the lane") == ["not proven; wraps", ""]
    assert cells(lines, "groups", "largest sum")[0].endswith(" of 127")
    stored = int(made.layers[0].tables.any(axis=2).sum())  # type: ignore[union-attr]
    assert cells(lines, "groups", "stored")[0] == f"{stored:,} ({stored / 2048:.0%})"


def test_sums_that_are_proven_to_fit() -> None:
    small = table_network(2, largest=1)
    assert cells(text(small), "groups", "fits the lane") == ["always", ""]
    exact = lanes(small, requantization=ByteLanes(1, exact=True))
    assert cells(text(exact), "groups", "sums become")[0] == "bytes >> 1, exact"


def test_facts_are_plain_data() -> None:
    made = table_network(2, largest=300)
    assert json.dumps([asdict(row) for row in layer_rows(made)])


def test_no_tables() -> None:
    assert not any("groups" in line for line in text(random_network((9, 4), 1)))


def test_a_cascade() -> None:
    made = cascade(table_network(1), table_network(3, score_scale=0.5), table_network(5), margin=30, share=0.2)
    lines = list(layer_text.cascade(describe_stages(made) or ()))
    assert lines[0].startswith("cascade of 3 networks: ")
    assert cells(lines, "margin  ", "name") == ["tables1", "tables3", "tables5"]
    assert cells(lines, "margin  ", "margin") == ["30", "30", ""]
    assert cells(lines, "margin  ", "in logits") == ["30", "15", ""]
    assert cells(lines, "margin  ", "goes on") == ["20.0%", "20.0%", ""]
    assert cells(lines, "margin  ", "of all") == ["20.0%", "4.0%", ""]
    assert describe_stages(table_network(1)) is None


def test_wraps() -> None:
    told = [{"layer": 0, "wrapped": 2, "sums": 1600}]
    assert list(layer_text.wraps(told, "the 50 bundled digits")) == [
        "layer 0: 2 of 1,600 sums wrapped on the 50 bundled digits"
    ]
