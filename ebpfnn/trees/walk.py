"""Trees as tables of nodes that are walked without a branch, several trees in turns.

Each tree is filled up to a complete one. Its nodes are numbered from 1, and the children of n are 2n and 2n + 1: a comparison
gives the bit that is added. One tree waits for its loads, of a node and then of a value, at each level; others fill that time.
The table has no bounds to check, since a number of so many bits cannot leave it. Trees of one depth are in one loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..compiler.emitter import FARTHEST, SAMPLE, Emitter
from ..obj.asm import R0, R1, R2, R3, R4, R5, R6, R7, R9, R10, Register
from .forest import Tree
from .leaves import RESULT, Sums, rows

AT_A_TIME = 6
"""Trees whose steps take turns: as many as there are registers for."""
DEEPEST = 16
"""Levels of the deepest tree that is filled up."""
MOST_FILLED = 64
"""A tree is filled up to at most so many times its leaves."""
_NUMBERS = (R1, R2, R3, R4, R5, R7)
_FIRST, _SECOND, _RECORD = R0, R6, R9
_UNROLLED = 3  # groups of trees; more are in a loop
_NARROW = 256  # values that the byte of a node tells apart


@dataclass(frozen=True)
class Values:
    """The values of a sample side by side in the workspace: ``numbers`` int64, of each value its place; ``size`` in bytes."""

    numbers: NDArray[np.int64]
    live: NDArray[np.int64]
    size: int

    @property
    def narrow(self) -> bool:
        return self.size <= _NARROW

    @property
    def node_bytes(self) -> int:
        return 2 if self.narrow else 4


def values_of(trees: Sequence[Tree], size: int) -> Values:
    """All values of a sample if they are few, else those that ``trees`` look at."""
    live = np.unique(np.concatenate([tree.values for tree in trees])).astype(np.int64)
    if size <= _NARROW or not live.size:
        live = np.arange(size)
    numbers = np.zeros(size, np.int64)
    numbers[live] = np.arange(len(live))
    return Values(numbers, live, max(_NARROW, 1 << (len(live) - 1).bit_length()))


@dataclass
class Run:
    """``groups`` of ``count`` trees each, all filled up to one depth; their nodes and leaves lie in one table."""

    depth: int
    count: int
    groups: list[list[Tree]]


def runs_of(trees: Sequence[Tree], words: int, node_bytes: int, largest_table: int) -> list[Run]:
    """All of ``trees``, shallow ones first."""
    ordered, runs = sorted(trees, key=lambda tree: tree.depth), list[Run]()
    for first in range(0, len(ordered), AT_A_TIME):
        group = ordered[first : first + AT_A_TIME]
        depth, count = group[-1].depth, len(group)
        last = runs[-1] if runs else None
        room = largest_table // record_bytes(depth, count, words, node_bytes)
        if last and (last.depth, last.count) == (depth, count) and len(last.groups) < room:
            last.groups.append(group)
        else:
            runs.append(Run(depth, count, [group]))
    return runs


def emit_walk(emit: Emitter, sums: Sums, trees: Sequence[Tree], size: int) -> None:
    """Adds the leaf that each of ``trees`` reaches in samples of ``size`` values; only the register of the result survives."""
    values = values_of(trees, size)
    copy = emit.region(values.size).offset
    _emit_copy(emit, values, copy)
    runs = runs_of(trees, sums.words, values.node_bytes, emit.features.largest_table)
    places = _tables(emit, runs, sums.words, values)
    for run, (table, at) in zip(runs, places, strict=True):
        turns, record = len(run.groups), record_bytes(run.depth, run.count, sums.words, values.node_bytes)
        emit.note(f"walk: {turns} times {run.count} trees of depth {run.depth}")
        emit.map_value(_RECORD, table, at)

        def turn(run: Run = run, record: int = record) -> None:
            _emit_group(emit, sums, run.depth, run.count, values, copy)
            emit.alu(_RECORD, "+=", record)

        if turns <= _UNROLLED:
            for _ in range(turns):
                turn()
        else:
            with emit.scratch(8) as counter:
                emit.repeat(turns, counter, _FIRST, turn)


def _tables(emit: Emitter, runs: Sequence[Run], words: int, values: Values) -> list[tuple[str, int]]:
    """As few tables as hold all of ``runs``: of each run its table, and where it begins."""
    places, held, at, number = list[tuple[str, int]](), list[NDArray[np.uint8]](), 0, 0
    for run in runs:
        size = len(run.groups) * record_bytes(run.depth, run.count, words, values.node_bytes)
        if held and at + size > emit.features.largest_table:
            emit.table(f"nodes{number}", np.concatenate(held))
            held, at, number = [], 0, number + 1
        places.append((f"nodes{number}", at))
        held += [_record(group, run.depth, values) for group in run.groups]
        at += size
    emit.table(f"nodes{number}", np.concatenate(held))
    return places


def depths(trees: Sequence[Tree]) -> list[int]:
    """Those that the trees are filled up to, as :func:`runs_of`."""
    ordered = sorted(tree.depth for tree in trees)
    return [ordered[min(number - number % AT_A_TIME + AT_A_TIME, len(ordered)) - 1] for number in range(len(ordered))]


def record_bytes(depth: int, count: int, words: int, node_bytes: int) -> int:
    """Nodes and leaves of ``count`` trees."""
    return count * (_nodes_bytes(depth, node_bytes) + (8 * words << depth))


def _nodes_bytes(depth: int, node_bytes: int) -> int:
    """Those of a tree: node 0 does not exist."""
    return (max(node_bytes << depth, 8) + 7) // 8 * 8


def _record(group: Sequence[Tree], depth: int, values: Values) -> NDArray[np.uint8]:
    """The nodes of all trees of ``group``, then their leaves, as bytes."""
    filled = [_complete(tree, depth) for tree in group]
    nodes = [_node_bytes(numbers, thresholds, values) for numbers, thresholds, _ in filled]
    leaves = [rows(tree)[reached].view(np.uint8).reshape(-1) for tree, (_, _, reached) in zip(group, filled, strict=True)]
    return np.concatenate([*nodes, *leaves])


def _node_bytes(numbers: NDArray[np.int64], thresholds: NDArray[np.uint8], values: Values) -> NDArray[np.uint8]:
    depth = len(numbers).bit_length() - 1
    placed = np.where(numbers < 0, 0, values.numbers[numbers])
    nodes = np.zeros(len(numbers), [("value", "u1" if values.narrow else "3u1"), ("below", "u1")])
    nodes["below"] = thresholds - 1
    nodes["value"] = placed if values.narrow else placed.astype("<u4").view("u1").reshape(-1, 4)[:, :3]
    return np.frombuffer(nodes.tobytes().ljust(_nodes_bytes(depth, values.node_bytes), b"\0"), np.uint8)


def _complete(tree: Tree, depth: int) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """By number: the value of a node, or -1, and its threshold; and the leaf below each place of the last level.

    A node that does not exist has threshold 0, which less one is byte 255: no value is above it, so it leads left.
    """
    inner = 1 << depth
    at = np.full(2 * inner, -1, np.int64)
    at[1] = 0 if tree.nodes else -1
    for level in range(depth):
        here = at[1 << level : 2 << level]
        below = np.repeat(here[:, np.newaxis], 2, axis=1)
        below[here >= 0] = tree.children[here[here >= 0]]
        at[2 << level : 4 << level] = below.reshape(-1)
    numbers, thresholds = np.full(inner, -1, np.int64), np.zeros(inner, np.uint8)
    exists = np.flatnonzero(at[:inner] >= 0)
    numbers[exists], thresholds[exists] = tree.values[at[exists]], tree.thresholds[at[exists]]
    return numbers, thresholds, -1 - at[inner:]


def _emit_copy(emit: Emitter, values: Values, to: int) -> None:
    emit.note(f"walk: copy {len(values.live)} values")
    emit.load(_RECORD, "u64", R10, SAMPLE)
    at = 0
    while at < len(values.live):
        run = next(size for size in (8, 4, 2, 1) if _is_run(values.live, at, size))
        name = f"u{8 * run}"
        emit.load_far(_FIRST, name, _RECORD, int(values.live[at]))
        emit.store_far(name, RESULT, to + at, _FIRST)
        at += run


def _is_run(live: NDArray[np.int64], at: int, size: int) -> bool:
    return at + size <= len(live) and int(live[at + size - 1] - live[at]) == size - 1


def _emit_group(emit: Emitter, sums: Sums, depth: int, count: int, values: Values, copy: int) -> None:
    """Walks the trees of one record, and adds their leaves."""
    scale, mine = values.node_bytes, _NUMBERS[:count]
    nodes = _nodes_bytes(depth, scale)
    for level in range(depth):
        for number, register in enumerate(mine):
            if level == 0:
                emit.mov(register, scale)
            _emit_node(emit, register, number * nodes, values, copy)
    leaves = 8 * sums.words << depth
    pointers = {}
    for number, register in enumerate(mine):
        if depth == 0:
            emit.mov(register, scale)
        sums.scale(register, scale)
        emit.alu(register, "+=", _RECORD)
        pointers[register] = _near(emit, register, count * nodes + (number - 1) * leaves, 8 * sums.words)
    sums.add(pointers, _FIRST, _SECOND)


def _near(emit: Emitter, pointer: Register, offset: int, size: int) -> int:
    if -FARTHEST <= offset < FARTHEST - size:
        return offset
    emit.alu(pointer, "+=", offset)
    return 0


def _emit_node(emit: Emitter, number: Register, nodes: int, values: Values, copy: int) -> None:
    """``number``, times the bytes of a node, becomes that of a child."""
    emit.mov(_FIRST, _RECORD)
    emit.alu(_FIRST, "+=", number)
    nodes = _near(emit, _FIRST, nodes, values.node_bytes)
    emit.load(_SECOND, "u8", _FIRST, nodes + values.node_bytes - 1)
    emit.load(_FIRST, "u8" if values.narrow else "u32", _FIRST, nodes)
    if not values.narrow:  # the byte above the value is cut off
        emit.alu(_FIRST, "&=", values.size - 1)
    emit.alu(_FIRST, "+=", RESULT)
    emit.load(_FIRST, "u8", _FIRST, copy)
    emit.alu(_SECOND, "-=", _FIRST)
    emit.alu(_SECOND, ">>=", 63)
    if not values.narrow:
        emit.alu(_SECOND, "<<=", 1)
    emit.alu(number, "+=", _SECOND)
    emit.alu(number, "<<=", 1)
