"""What orders are called, and the order of tiles."""

from __future__ import annotations

import numpy as np
import pytest
from networks import input_format

from ebpfnn.network import orders
from ebpfnn.network.inputformat import InputFormat

TWO_BY_FOUR = [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
"""Of an image of 2 rows and 8 columns, by hand."""


def test_tiles_lie_from_left_to_right_then_down_channel_by_channel() -> None:
    assert list(orders.tiles((2, 8), (2, 4))) == TWO_BY_FOUR
    assert list(orders.tiles((4, 4), (2, 2))) == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    assert list(orders.tiles((2, 2, 2), (1, 2))) == list(range(8))
    assert list(orders.tiles((2, 2, 4), (2, 2))) == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]
    assert orders.tiles((3, 8), (2, 4)) == ()


@pytest.mark.parametrize(
    ("order", "shape", "members", "name"),
    [
        (TWO_BY_FOUR, (2, 8), 8, "2x4 tiles"),
        (range(16), (2, 8), 8, "rows"),
        (range(16), (16,), 8, "as they lie"),
        (TWO_BY_FOUR[::-1], (2, 8), 8, "own"),
        (TWO_BY_FOUR, (16,), 8, "own"),
        ([*TWO_BY_FOUR[:14], 15, 14], (2, 8), 8, "own"),
        (orders.tiles((28, 28), (4, 2)), (1, 28, 28), 8, "4x2 tiles"),
        ([1, 0, 2], (1, 3), 8, "own"),
    ],
)
def test_names(order: list[int], shape: tuple[int, ...], members: int, name: str) -> None:
    assert orders.name(np.array(order), shape, members) == name


def test_members_that_are_none_have_no_part_in_a_name() -> None:
    grouped = np.array([[0, 1], [2, -1]], np.int32)
    assert orders.name(grouped, (3,), 2) == "as they lie"


def test_packed_samples() -> None:
    assert orders.packed(input_format((2, 8))) == ""
    assert orders.packed(input_format((2, 8), 1, packed=True)) == "rows"
    assert orders.packed(InputFormat((2, 8), 1, (9,), True, order=tuple(TWO_BY_FOUR))) == "2x4 tiles"
