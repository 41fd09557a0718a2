"""Lists the values of each window that are not 0, so that only these are multiplied.

After a ReLU, half of the values of a pixel are 0, and in deep layers nine of ten. The list of a window is made once, for all
tiles of channels: an entry is the offset of a value's weights (u16) and the value (u8), in four bytes. Every value is written
to the end of the list, which moves on if the value is not 0: seven instructions, and no branch on data.

A list ends with four entries whose offset is too large and whose value is 0. The loop compares the first offset of each group
of four, and ends there. It masks the other three, so that the verifier knows their range. A masked offset may lie past the
weights of the last tile; these are padded up to the largest one. The comparison is the only branch that the verifier puts off.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..network.layers import Conv2d
from ..obj.asm import R0, R1, R2, R3, R9, R10
from .accumulate import INPUT, ROW, TERM, Products, emit_products
from .emitter import Emitter, Place
from .positions import Axis, axes, emit_positions
from .tile import Part
from .values import Values

EACH = 7
"""Instructions that list a value."""
GROUP, GROUPS_OF_A_TURN = 4, 2
FARTHEST_WEIGHTS = 1 << 15
"""The first offset of weights that is too far: a mask keeps 15 bits, and the end of a list has all 16."""
_ENTRY, _VALUE = 4, 2  # bytes of an entry, and where its value is
_END = 0x0000FFFF0000FFFF  # two entries
_LIST, _WINDOW, _BYTE, _ENDING = R1, R2, R0, R3
_POINTER = R9


def turns_of(inputs: int) -> int:
    """Iterations that a list of ``inputs`` values takes at most, its end included."""
    return -(-(-(-inputs // GROUP) + 1) // GROUPS_OF_A_TURN)


def list_bytes(products: Products) -> int:
    """The lists of one window, one for each segment."""
    return sum(_sizes(products))


def listing_size(products: Products) -> int:
    """The approximate number of instructions that list a window."""
    return EACH * len(products.weights) + 5 * len(products.ends)


def padding_bytes(products: Products) -> int:
    """What is behind the weights, as far as a masked offset reaches."""
    return max(0, _mask(products) + products.row - len(products.weights) * products.row)


def _sizes(products: Products) -> list[int]:
    each = _ENTRY * GROUP * GROUPS_OF_A_TURN
    return [turns_of(end - start) * each for start, end in zip(products.starts, products.ends, strict=True)]


def _mask(products: Products) -> int:
    largest = (len(products.weights) - 1) * products.row
    return max(0, (1 << largest.bit_length()) - 8)  # weights are words


def _begin(products: Products, segment: int) -> int:
    """Where the list of a segment begins in those of its window."""
    return sum(_sizes(products)[:segment])


@dataclass(frozen=True)
class WindowLists:
    """The lists of all windows of a layer, those of one behind those of the other, row by row."""

    place: Place
    products: Products
    values: Values
    positions: tuple[int, int]

    @property
    def loops(self) -> tuple[Axis, Axis]:
        """The loops over outputs, with the lists in place of the windows; outputs do not move."""
        rows, columns = self.positions
        size = list_bytes(self.products)
        return Axis(rows, columns * size, 0), Axis(columns, size, 0)


def emit_lists(emit: Emitter, layer: Conv2d, lists: WindowLists, output: Values, unwalked: int) -> None:
    """Writes the lists of all windows; no register survives."""
    products = lists.products
    offsets = lists.values.offsets(layer.inputs, layer.window)
    emit.note(f"list the values that are not 0 of {len(offsets)} in each window")

    def position(window: int, target: int) -> None:
        emit.load(_WINDOW, "u64", R10, window)
        emit.wide(_ENDING, _END)
        for segment, (start, end) in enumerate(zip(products.starts, products.ends, strict=True)):
            emit.load(_LIST, "u64", R10, target)
            emit.alu(_LIST, "+=", _begin(products, segment))
            for number in range(start, end):
                _emit_entry(emit, offsets[number], number * products.row)
            for pair in range(GROUP // 2):
                emit.store("u64", _LIST, 2 * _ENTRY * pair, _ENDING)

    windows = axes(layer.window.stride, lists.values, output, planes=False)
    loops = tuple(Axis(over.turns, over.window, to.window) for over, to in zip(windows, lists.loops, strict=True))
    emit_positions(emit, loops, lists.values.place, lists.place, position, unwalked)


def _emit_entry(emit: Emitter, offset: int, weights: int) -> None:
    emit.store("u16", _LIST, 0, weights)
    emit.load_far(_BYTE, "u8", _WINDOW, offset)
    emit.store("u8", _LIST, _VALUE, _BYTE)
    emit.alu(_BYTE, "+=", 255)
    emit.alu(_BYTE, ">>=", 8)
    emit.alu(_BYTE, "<<=", _ENTRY.bit_length() - 1)
    emit.alu(_LIST, "+=", _BYTE)


def emit_listed_products(emit: Emitter, lists: WindowLists, segment: int, words: int, weights: Part, window: int) -> None:
    """Adds the products of one segment to the accumulators; ``window`` is the stack slot of the address of its lists."""
    products, done = lists.products, emit.fresh("listed")
    inputs = products.ends[segment] - products.starts[segment]
    with emit.scratch(16) as base:
        weights.point(emit, ROW)
        emit.store("u64", R10, base, ROW)
        emit.load(_POINTER, "u64", R10, window)
        emit.alu(_POINTER, "+=", _begin(products, segment))

        def turn() -> None:
            for number in range(GROUP * GROUPS_OF_A_TURN):
                at = _ENTRY * number
                emit.load(TERM, "u16", _POINTER, at)
                if number % GROUP:
                    emit.alu(TERM, "&=", _mask(products))
                else:
                    emit.jump_if(TERM, ">", (len(products.weights) - 1) * products.row, done)
                emit.load(ROW, "u64", R10, base)
                emit.alu(ROW, "+=", TERM)
                lists.values.load(emit, INPUT, _POINTER, at + _VALUE)
                emit_products(emit, words, 0)
            emit.alu(_POINTER, "+=", _ENTRY * GROUP * GROUPS_OF_A_TURN)

        emit.repeat(turns_of(inputs), base + 8, TERM, turn)
        emit.label(done)
        emit.forget((INPUT, TERM, ROW, _POINTER), (base, base + 8))
