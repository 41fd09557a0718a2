"""Converts unpacked samples to one-bit inputs, group by group of a layer of tables: each group becomes a byte.

A group of neighbors, or a tile of an image, is a few loads: the bytes of a group are put together in a word, and compared and
gathered as in :mod:`ebpfnn.compiler.bits`. The order within the byte does not matter, because tables are reordered for it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..network.inputformat import InputFormat
from ..obj.asm import R8, Register
from .bits import FROM, TO, WORD, emit_comparison, emit_gather
from .emitter import SAMPLE, Emitter, Place
from .values import Values

_PIECE = R8
LOADS = ((8, "u64"), (4, "u32"), (2, "u16"), (1, "u8"))
_MOST_GROUPS = 4096


def takes_groups(form: InputFormat, order: NDArray[np.int32]) -> bool:
    """Whether samples become bytes in this way, for groups ``order``, int32 [groups, members]."""
    return form.bits == 1 and not form.packed and bool(form.thresholds) and len(order) <= _MOST_GROUPS


def group_layout(order: NDArray[np.int32]) -> NDArray[np.int32]:
    """Which input is in which bit of a group's byte, int32 [groups, 8], the most significant first; -1 in bits without one."""
    layout = np.full((len(order), 8), -1, np.int32)
    for group, members in enumerate(order):
        known = np.sort(members[members >= 0])
        layout[group, 8 - len(known) :] = known[::-1]
    return layout


def pieces(members: list[int], sizes: tuple[tuple[int, str], ...] = LOADS) -> list[tuple[int, int, str]]:
    """The loads that read ``members``, which rise, and nothing else: first member, how many of them, and name of the load.

    ``sizes`` are the loads that there are, the largest first.
    """
    found = []
    while members:
        size, name = next((size, name) for size, name in sizes if members[:size] == list(range(members[0], members[0] + size)))
        found.append((members[0], size, name))
        members = members[size:]
    return found


def emit_groups(emit: Emitter, form: InputFormat, order: NDArray[np.int32]) -> Values:
    """Writes a byte for each group, u8 [groups], laid out as :func:`group_layout` says. No register survives."""
    (threshold,) = form.thresholds
    place = emit.region(len(order))
    emit.note(f"one bit for each value of {threshold} or more, a byte for each group")
    emit_comparison(emit, threshold)
    emit.point(FROM, Place(SAMPLE))
    emit.point(TO, place)
    for group, members in enumerate(order.tolist()):
        emit_bytes(emit, sorted(member for member in members if member >= 0), FROM, WORD, _PIECE)
        emit_gather(emit, group, low=threshold <= 128)
    return Values(place, (len(order),), 0, 255)


def emit_bytes(emit: Emitter, members: list[int], base: Register, into: Register, piece: Register) -> None:
    """Loads the bytes of the members at ``base`` side by side, the first in the lowest bits, and 0 above them."""
    if not members:
        emit.mov(into, 0)
    done = 0
    for first, size, name in pieces(members):
        emit.load_far(piece if done else into, name, base, first)
        if done:
            emit.alu(piece, "<<=", 8 * done)
            emit.alu(into, "|=", piece)
        done += size
