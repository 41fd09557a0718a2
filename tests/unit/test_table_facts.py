"""What is told of tables: by hand, in `inspect`, and in pictures."""

from __future__ import annotations

import numpy as np
import pytest
from networks import input_format, network, requantization, samples
from tablenets import table, table_network

from ebpfnn.evaluation import pictures
from ebpfnn.evaluation.layer_table import layer_rows
from ebpfnn.evaluation.table_facts import facts, wraps
from ebpfnn.network.layers import ByteLanes, Table


def by_hand(**fields: object) -> Table:
    """Three inputs of a bit in two groups, two outputs."""
    rows = np.zeros((2, 4, 2), np.int16)
    rows[0, 1], rows[0, 2], rows[0, 3] = (1, -5), (100, 0), (7, 7)
    rows[1, 2] = (-90, 200)
    order = np.array([[2, 0], [1, -1]], np.int32)
    occupied = np.packbits(np.array([[1, 0], [0, 0], [1, 1]], bool), axis=1)
    given: dict[str, object] = {"requantization": ByteLanes(1), "occupied": occupied, **fields}
    return Table(rows, np.array([-3, 4], np.int32), order, **given)  # type: ignore[arg-type]


def test_facts_by_hand() -> None:
    told = facts(by_hand(), (3,))
    assert (told.groups, told.members, told.bits, told.rows, told.stored) == (2, 2, 1, 8, 4)
    assert (told.order, told.shift, told.exact, told.fits) == ("own", 1, False, False)
    assert (told.samples, told.blank) == (3, 0.5)
    requantized = facts(by_hand(requantization=requantization(2), occupied=np.zeros((0, 0), np.uint8)), (3,))
    assert (requantized.shift, requantized.exact, requantized.fits, requantized.blank) == (None, None, None, None)


def test_a_row_of_the_table_of_layers() -> None:
    made = network([by_hand(), table(1, 2, 2, bits=7, members=1)], input_format((3,), 1))
    first, last = layer_rows(made)
    assert (first.kind, first.given, first.gives, first.macs, first.values) == ("tables", "3", "2", 0, "0 to 127")
    assert first.bound == max(3 + 100 + 90, 4 + 7 + 200)
    assert first.parameters == 4 * 2 + 2
    assert first.size == 4 * 2 * 2 + 4 * 2  # int16, since one is 200; and biases
    assert last.values == "int32"
    assert last.size == last.tables.stored * 2 + 2 * 4 * 3  # type: ignore[union-attr]


def test_sums_that_leave_their_byte_are_counted() -> None:
    made = network([by_hand(), table(1, 2, 2, bits=7, members=1)], input_format((3,), 1))
    # Sums: (-3, 4); (-2, -1), input 0; (97, 4), input 2; (-93, 204), input 1.
    given = 255 * np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]], np.uint8)
    (told,) = wraps(made, given)
    assert (told.layer, told.wrapped, told.sums) == (0, 1, 8)
    assert wraps(network([table(3, 3, 2)], input_format((3,), 1)), given) == []


@pytest.mark.parametrize("seed", [0, 3])
def test_only_the_sums_of_byte_lanes_are_counted(seed: int) -> None:
    made = table_network(seed, largest=200)
    given = np.concatenate([samples((8, 8), number) for number in range(20)])
    (told,) = wraps(made, given)
    assert told.sums == len(given) * 11
    assert 0 < told.wrapped < told.sums


def test_effects_of_single_inputs() -> None:
    rows = pictures.single_effects(by_hand())
    assert rows.tolist() == [[1, -90, 100], [-5, 200, 0]]
    levels = table(5, 4, 1, bits=4)
    lone = levels.tables.astype(int)[..., 0]
    wanted = [lone[0, 0xF0] - lone[0, 0], lone[0, 0x0F] - lone[0, 0], lone[1, 0xF0] - lone[1, 0], lone[1, 0x0F] - lone[1, 0]]
    assert pictures.single_effects(levels).tolist() == [wanted]


def test_pictures_of_a_network_of_tables() -> None:
    made = table_network(1)
    shown = list(pictures.weight_images(made))
    assert len(shown) == 11
    assert {picture.size for picture in shown} == {(8, 8)}
    layer = made.layers[0]
    assert isinstance(layer, Table)
    effects = pictures.single_effects(layer)[0].reshape(8, 8)
    blue = (np.asarray(shown[0])[..., :3] == pictures.POSITIVE).all(axis=2)
    assert np.array_equal(blue, effects > 0)
    flat = network([table(3, 3, 2)], input_format((3,), 1))
    assert list(pictures.weight_images(flat)) == []
