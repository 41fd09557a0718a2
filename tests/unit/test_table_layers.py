"""What layers of tables, byte lanes, orders of packing and cascades refuse to be, and the bound that they prove."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from networks import conv2d, dense, input_format, network, random_network, requantization
from tablenets import cascade, table, table_network

from ebpfnn.errors import ModelError
from ebpfnn.network import QuantizedNetwork, events, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import INT32_MAX, LARGEST_SIZE, ByteLanes, Layer, Table, Window, accumulator_bound
from ebpfnn.network.network import Next
from ebpfnn.network.preparation import Preparation

GOOD = table(1, 5, 3, bits=2, members=2)
"""Of three groups, 16 rows; the last group has one member."""


def bent(**changes: object) -> Table:
    return Table(**{**{field.name: getattr(GOOD, field.name) for field in fields(GOOD)}, **changes})


def order(*groups: Sequence[int]) -> np.ndarray:
    return np.array(groups, np.int32)


EVERY = "order must name each input exactly once, and -1 where a group has fewer members"


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"bits": 0}, "0 bits an input; a table takes 1 to 8"),
        ({"bits": 9}, "9 bits an input; a table takes 1 to 8"),
        ({"bits": 5}, "has groups of 2 inputs of 5 bits, 10 bits; a group has at most 8"),
        ({"order": order(range(5)), "bits": 2}, "has groups of 5 inputs of 2 bits, 10 bits; a group has at most 8"),
        ({"order": order(range(9)), "bits": 1}, "has groups of 9 inputs of 1 bits, 9 bits; a group has at most 8"),
        ({"order": GOOD.order.astype(np.int64)}, "order must be int32 [groups, members]"),
        ({"order": GOOD.order.ravel()}, "order must be int32 [groups, members]"),
        ({"order": np.zeros((0, 2), np.int32)}, "order must be int32 [groups, members]"),
        ({"order": order([0, 1], [2, 3], [3, -1])}, EVERY),
        ({"order": order([0, 1], [2, 3], [5, -1])}, EVERY),
        ({"order": order([0, 1], [2, 3], [4, -2])}, EVERY),
        ({"order": order([-1, -1], [-1, -1], [-1, -1])}, EVERY),
        ({"order": order([1, 2], [3, 4], [5, -1])}, EVERY),
        ({"tables": GOOD.tables.astype(np.int32)}, "tables must be int16 [3, 16, outputs]"),
        ({"tables": GOOD.tables.astype(np.int8)}, "tables must be int16 [3, 16, outputs]"),
        ({"tables": GOOD.tables[:2]}, "tables must be int16 [3, 16, outputs]"),
        ({"tables": GOOD.tables[:, :15]}, "tables must be int16 [3, 16, outputs]"),
        ({"tables": GOOD.tables[:, :, :0]}, "tables must be int16 [3, 16, outputs]"),
        ({"tables": GOOD.tables.reshape(48, 3)}, "tables must be int16 [3, 16, outputs]"),
        ({"bits": 1}, "tables must be int16 [3, 4, outputs]"),
        ({"bias": GOOD.bias.astype(np.int64)}, "bias must be int32 [3]"),
        ({"bias": GOOD.bias[:2]}, "bias must be int32 [3]"),
        ({"requantization": requantization(2)}, "multipliers must be int32 [3]"),
        ({"occupied": np.zeros((1, 1), np.int8)}, "occupied must be uint8 [0..1024, 1]"),
        ({"occupied": np.zeros((1, 2), np.uint8)}, "occupied must be uint8 [0..1024, 1]"),
        ({"occupied": np.zeros((1025, 1), np.uint8)}, "occupied must be uint8 [0..1024, 1]"),
        ({"occupied": np.zeros(3, np.uint8)}, "occupied must be uint8 [0..1024, 1]"),
    ],
)
def test_a_table_refuses(changes: dict[str, object], fact: str) -> None:
    assert refused(bent, **changes) == fact


def refused(make: Callable[..., object], *arguments: Any, **keywords: Any) -> str:
    with pytest.raises(ModelError) as caught:
        make(*arguments, **keywords)
    return str(caught.value)


def test_what_a_table_may_be() -> None:
    for changes in (
        {"order": order([4, 0], [-1, 3], [1, 2])},
        {"order": order([4, 3], [-1, -1], [1, 2], [-1, 0])[:, ::-1], "tables": np.zeros((4, 16, 3), np.int16)},
        {"occupied": np.zeros((1024, 1), np.uint8)},
        {"occupied": np.zeros((0, 7), np.uint8)},
        {"requantization": ByteLanes(7)},
    ):
        made = bent(**changes)
        assert (made.inputs, made.outputs, made.macs((5,))) == (5, 3, 0)
        assert made.output_shape((5, 1)) == (3,)


def test_tables_do_not_grow_without_end() -> None:
    wide = LARGEST_SIZE // 256 + 1
    fact = f"tables must hold at most {LARGEST_SIZE} values"
    entries = np.broadcast_to(np.int16(0), (1, 256, wide))
    assert refused(Table, entries, np.zeros(wide, np.int32), order([0]), ByteLanes(), 8) == fact
    long = np.arange(LARGEST_SIZE + 1, dtype=np.int32).reshape(-1, 1)
    assert refused(bent, order=long) == f"order must hold at most {LARGEST_SIZE} inputs"


@pytest.mark.parametrize("shift", [-1, 8])
def test_byte_lanes_refuse(shift: int) -> None:
    assert refused(ByteLanes, shift) == "shift of byte lanes must lie in 0..7"


@pytest.mark.parametrize(("shift", "high"), [(0, 255), (3, 31), (7, 1)])
def test_the_range_of_byte_lanes(shift: int, high: int) -> None:
    by = ByteLanes(shift)
    assert (by.low, by.high, by.one_byte) == (0, high, True)
    given = np.arange(-128, 128).reshape(-1, 1)
    assert reference.byte_lanes(by, given).ravel().tolist() == [(128 + value) >> shift for value in range(-128, 128)]


def test_the_bound_is_the_largest_row_of_each_group() -> None:
    entries = np.zeros((2, 4, 2), np.int16)
    entries[0, 1], entries[0, 3], entries[1, 0] = (5, -32768), (-7, 3), (100, 1)
    made = Table(entries, np.array([-20, 9], np.int32), order([0], [1]), requantization(2), 2)
    assert accumulator_bound(made, 0, 3) == 32768 + 1 + 9
    lanes = replace(made, tables=entries[:, :, :1], bias=made.bias[:1], requantization=ByteLanes())
    assert accumulator_bound(lanes, 0, 3) == 7 + 100 + 20


def lanes_of(most: int, exact: bool) -> Table:
    """Sums of up to ``most`` in magnitude: in the second output, a third of it by the bias."""
    entries = np.zeros((1, 2, 2), np.int16)
    entries[0, 1, 1] = -(most - most // 3)
    return Table(entries, np.array([0, -(most // 3)], np.int32), order([0]), ByteLanes(1, exact))


@pytest.mark.parametrize("first", [False, True])
def test_sums_that_leave_their_bytes_though_they_promise_not_to(first: bool) -> None:
    def made(most: int, exact: bool) -> QuantizedNetwork:
        before = [] if first else [dense([[1], [1]], [0, 0], low=0, high=1)]
        lanes = lanes_of(most, exact)
        lanes = lanes if first else replace(lanes, order=order([0], [1]), tables=np.repeat(lanes.tables, 2, axis=0) // 2)
        return network([*before, lanes, table(3, 2, 2, bits=7, members=1)], input_format((1,), 1))

    number = 0 if first else 1
    reached = made(400, False).layers[number]
    bound = accumulator_bound(reached, 0, 1)  # type: ignore[arg-type]
    fact = f"layer {number} can reach |accumulator| {bound}, and promises to stay within 127; make it not exact"
    assert refused(made, 400, True) == fact
    assert made(100, True).ranges[number + 1] == (0, 127)


def test_the_end_of_the_promise() -> None:
    last = table(3, 2, 2, bits=7, members=1)
    assert network([lanes_of(127, True), last], input_format((1,), 1))
    assert "|accumulator| 128" in refused(network, [lanes_of(128, True), last], input_format((1,), 1))


@pytest.mark.parametrize(
    ("layers", "fact"),
    [
        ([table(1, 4, 2, bits=7)], "layer 0 takes levels of 7 bits, but is given 0..255"),
        ([table(1, 4, 2, bits=8, low=-128)], "layer 0 takes values from -128 on, but is given 0..255"),
        ([table(1, 5, 2, bits=8)], "layer 0 takes 5 values but is given 4"),
        ([table(1, 4, 2, bits=8, requantization=ByteLanes())], "layer 0 is the last, whose scores are int32, and gives bytes"),
        (
            [dense(np.ones((3, 4)), np.zeros(3), low=-5, high=4), table(1, 3, 2, bits=4)],
            "layer 1 takes values from 0 on, but is given -5..4",
        ),
        (
            [dense(np.ones((3, 4)), np.zeros(3), low=-5, high=4), table(1, 3, 2, bits=3, low=-5)],
            "layer 1 takes levels of 3 bits, but is given -5..4",
        ),
        (
            [table(1, 4, 3, bits=8, requantization=ByteLanes(3)), table(1, 3, 2, bits=4)],
            "layer 1 takes levels of 4 bits, but is given 0..31",
        ),
        (
            [table(1, 4, 2, bits=8), table(1, 2, 2, bits=8)],
            "layer 0 is clipped to -2147483648..2147483647, which is not one byte",
        ),
        (
            [replace(table(1, 4, 2, bits=8, largest=0), bias=np.array([0, -(2**31)], np.int32))],
            "layer 0 can reach |accumulator| 2147483648, past int32; use smaller weights",
        ),
    ],
)
def test_a_network_refuses(layers: list[Layer], fact: str) -> None:
    labels = ("0", "1")
    assert refused(QuantizedNetwork, "test", InputFormat((4,)), labels, tuple(layers)) == fact


def test_lanes_are_held_to_int32_too() -> None:
    lanes = replace(table(1, 4, 2, bits=8, largest=0, requantization=ByteLanes()), bias=np.array([0, INT32_MAX], np.int32))
    last = table(1, 2, 2, bits=8)
    assert network([lanes, last])
    lanes.tables[0, 7, 1] = -1
    assert refused(network, [lanes, last]) == "layer 0 can reach |accumulator| 2147483648, past int32; use smaller weights"


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        ({"order": (0, 1, 2)}, "only packed samples have an order"),
        ({"order": (0, 1), "packed": True}, "order must name each of the 3 values exactly once"),
        ({"order": (0, 1, 1), "packed": True}, "order must name each of the 3 values exactly once"),
        ({"order": (0, 1, 2, 2), "packed": True}, "order must name each of the 3 values exactly once"),
        ({"order": (1, 2, 3), "packed": True}, "order must name each of the 3 values exactly once"),
        ({"order": (0, 2, -1), "packed": True}, "order must name each of the 3 values exactly once"),
    ],
)
def test_an_order_of_packing_refuses(fields: dict[str, Any], fact: str) -> None:
    assert refused(InputFormat, (3,), 1, (9,), **fields) == fact


@pytest.mark.parametrize("margin", [0, -1, INT32_MAX + 1])
def test_a_margin_out_of_range(margin: int) -> None:
    assert refused(Next, table_network(1), margin) == f"margin must lie in 1..{INT32_MAX}"


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range(share: float) -> None:
    assert refused(Next, table_network(1), 1, share) == "share must lie in 0..1"


PACKED, OPEN = table_network(1), table_network(1, packed=False)
NAMED = "the next network, 'tables1',"
LABELS = f"{NAMED} has other labels; the networks of a cascade share them"
SAMPLES = f"{NAMED} takes other samples; the networks of a cascade share them"


@pytest.mark.parametrize(
    ("first", "following", "fact"),
    [
        (PACKED, replace(PACKED, labels=("a", "b", "c", "d")), LABELS),
        (PACKED, table_network(1, widths=(5, 3)), LABELS),
        (PACKED, OPEN, SAMPLES),
        (OPEN, PACKED, SAMPLES),
        (PACKED, table_network(1, tile=None), SAMPLES),
        (PACKED, replace(PACKED, input=replace(PACKED.input, bit_order="little")), SAMPLES),
        (OPEN, replace(OPEN, input=replace(OPEN.input, shape=(1, 8, 8))), SAMPLES),
        (OPEN, replace(OPEN, input=replace(OPEN.input, prepared=Preparation("pixels", {}))), SAMPLES),
        (
            OPEN,
            replace(OPEN, events=events.carried({"key": "flow"}, "xdp")),
            f"{NAMED} carries a spec; the first network of a cascade carries it for all",
        ),
    ],
)
def test_a_cascade_refuses(first: QuantizedNetwork, following: QuantizedNetwork, fact: str) -> None:
    assert refused(replace, first, then=Next(following, 5)) == fact


def test_a_cascade_needs_two_labels() -> None:
    one = random_network([3, 1], 1)
    assert refused(cascade, one, one) == "a cascade needs two labels or more"


def test_at_most_four_stages() -> None:
    made = cascade(*(table_network(seed) for seed in range(4)))
    assert [stage.name for stage in made.stages] == ["tables0", "tables1", "tables2", "tables3"]
    assert made.architecture == " then ".join([made.stages[3].architecture] * 4)
    assert refused(cascade, table_network(9), *made.stages) == "more than 4 networks in a cascade"


def test_unpacked_networks_of_a_cascade_may_have_other_levels() -> None:
    image = network([conv2d(np.ones((4, 1, 8, 8)), np.zeros(4), Window((8, 8)))], InputFormat((8, 8)))
    assert len(cascade(OPEN, image, random_network("64-4", 1, (8, 8), bits=4)).stages) == 3
