"""Builds the tables of a layer with weights, and writes the code that turns its sums into outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..network.layers import Weighted
from ..obj.asm import R0, R1, R6, R7, R8, R9, R10, Register
from .accumulate import ACCUMULATORS, Products, emit_lane
from .emitter import FARTHEST, Emitter
from .lanes import Lanes
from .lookup import Lookup, emit_looked_up
from .requantize import RECORD, Constants, RequantizePlan, emit_requantize, records
from .tile import Part

TARGET = R9
"""Points to the first of the outputs that are written."""
RECORDS = R8
"""Points to the constants of the outputs."""
_VALUE, _FREE = R7, R6
_FREE_AFTER_FLUSH = (R0, R1)
_SIZES = {1: "u8", 4: "u32"}


@dataclass(frozen=True)
class Tables:
    """Weights, seeds and constants, one part per group of the layer; a dense layer has one group.

    In each part, tiles follow each other at a fixed distance. With a ``lookup``, the constants are its table, one for all.
    """

    weights: Part
    seeds: Part
    constants: Part
    requantize: RequantizePlan
    records: NDArray[np.int64]
    lookup: bool = False


def build_tables(
    emit: Emitter, layer: Weighted, groups: tuple[Products, ...], weights: NDArray[np.uint64], requantize: RequantizePlan
) -> Tables:
    """Tables for ``groups`` that differ only in their ``weights``; the groups follow each other."""
    constants = np.concatenate(
        [_constants(layer, groups, number, by_table=requantize.by_table) for number in range(len(groups))]
    )
    arrays = {
        "weights": weights,
        "seeds": np.stack([products.seed_words() for products in groups]),
        "constants": constants,
    }
    parts = {name: Part(emit.table(name, array), array.nbytes // len(groups)) for name, array in arrays.items()}
    return Tables(parts["weights"], parts["seeds"], parts["constants"], requantize, constants)


def build_lookup_tables(
    emit: Emitter, products: Products, weights: NDArray[np.uint64], found: Lookup, requantize: RequantizePlan
) -> Tables:
    """Like :func:`build_tables`, for one group whose sums become outputs by the table ``found``."""
    seeds = products.tiled(found.seeds[None])
    return Tables(
        Part(emit.table("weights", weights), weights.nbytes),
        Part(emit.table("seeds", seeds), seeds.nbytes),
        Part(emit.table("outputs", found.outputs), 0),
        requantize,
        np.zeros((0, RECORD // 8), np.int64),
        lookup=True,
    )


def _constants(layer: Weighted, groups: tuple[Products, ...], number: int, *, by_table: bool) -> NDArray[np.int64]:
    products, outputs = groups[number], layer.outputs // len(groups)
    seeds = np.zeros(layer.outputs, np.int64)
    mine = slice(number * outputs, (number + 1) * outputs)
    seeds[mine] = products.seeds().sum(axis=0)
    padded = np.zeros((products.tiles * products.width, RECORD // 8), np.int64)
    padded[:outputs] = records(layer.requantization, layer.bias, seeds, by_table=by_table)[mine]
    return padded


@dataclass(frozen=True)
class Writing:
    """The form of a layer's outputs: ``width`` bytes each, ``apart`` bytes apart; with a lookup, only ``bits`` of each."""

    tables: Tables
    width: int
    apart: int
    bits: int = 8

    @property
    def size(self) -> str:
        """The size of a store of one output."""
        return _SIZES[self.width]


@dataclass(frozen=True)
class Source:
    """The place of a tile's sums: in the lanes of ``registers``, u32 each at ``left`` from r10, or partly in both."""

    lanes: Lanes
    registers: tuple[Register, ...] = ()
    left: int = 0

    @classmethod
    def of(cls, lanes: Lanes, left: int, segments: int, *, kept: bool) -> Source:
        """The place after ``segments`` segments; the last one is ``kept`` in the accumulators or flushed like the others."""
        if not kept:
            return cls(lanes, (), left)
        return cls(lanes, ACCUMULATORS, left if segments > 1 else 0)

    def fetch(self, emit: Emitter, output: int) -> None:
        """The sum of ``output`` becomes the value."""
        if not self.registers:
            emit.load(_VALUE, "u32", R10, self.left + 4 * output)
            return
        emit_lane(emit, self.lanes, self.registers, output, _VALUE)
        if self.left:
            emit.load(_FREE, "u32", R10, self.left + 4 * output)
            emit.alu(_VALUE, "+=", _FREE)


def emit_outputs(emit: Emitter, outputs: int, source: Source, how: Writing, constants: Part, first: int | None) -> None:
    """Requantizes ``outputs`` sums to :data:`TARGET`; ``constants`` says where their constants begin.

    If it is known at compile time which outputs these are (``first`` is the index of the first one in the layer's records),
    their multipliers become immediates, and the sums may still be in the accumulators; otherwise they must not be. For a lookup
    they must be, and may be if :func:`~ebpfnn.compiler.plan.keeps_sums`.
    """
    emit.note(f"{outputs} sums become outputs")
    constants.point(emit, RECORDS)
    if how.tables.lookup:
        emit_looked_up(emit, source.lanes, outputs, source.registers, how.bits)
        return
    emit_requantized(emit, outputs, source, how, first)


def emit_requantized(emit: Emitter, outputs: int, source: Source, how: Writing, first: int | None, at: int = 0) -> None:
    """The same without a lookup, from ``at`` bytes behind :data:`TARGET` on; the constants are pointed to."""
    for number in range(outputs):
        source.fetch(emit, number)
        known = None if first is None else tuple(how.tables.records[first + number, 1:].tolist())
        free = (_FREE,) if known or source.registers else _FREE_AFTER_FLUSH
        emit_requantize(emit, how.tables.requantize, _VALUE, Constants(RECORDS, RECORD * number, known), free)
        emit.store(how.size, TARGET, at, _VALUE)
        at += how.apart
        if at + how.width > FARTHEST:
            emit.alu(TARGET, "+=", at)
            at = 0
