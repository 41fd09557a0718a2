"""Compiles a forest to instructions."""

from __future__ import annotations

import numpy as np

from ..compiler import Body, KernelFeatures
from ..compiler.emitter import OUTCOME, SAMPLE, Emitter, Place
from ..compiler.features import NEWEST
from ..compiler.limits import check
from ..compiler.scores import SCORES, emit_label
from ..errors import ModelError
from ..obj.asm import R0, R1, R2, R3, R4, R10
from .forest import Forest, Tree

PLANS = ("branches",)
_SAMPLE, _RESULT, _VALUE, _ROW, _SUM = R1, R2, R0, R3, R4


def compile_forest(forest: Forest, features: KernelFeatures = NEWEST, plan: str | None = None) -> Body:
    """Compiles ``ebpfnn_infer`` for ``forest`` and a kernel that has ``features``.

    Raises :class:`ModelError` for an unknown ``plan``, and for a forest that exceeds a limit.
    """
    if plan not in (None, *PLANS):
        raise ModelError(f"plan '{plan}' is not known; known are {', '.join(PLANS)}")
    emit = Emitter(features)
    emit.store("u64", R10, SAMPLE, R1)
    emit.store("u64", R10, OUTCOME, R2)
    places = [_emit_branches(emit, tree) for tree in forest.trees]
    _emit_sums(emit, forest, places)
    emit_label(emit, len(forest.labels))
    emit.mov(R0, 0)
    emit.exit()
    check(emit)
    return Body(emit.spec(forest.name), emit.workspace)


def _emit_branches(emit: Emitter, tree: Tree) -> Place:
    """Writes the number of the leaf that ``tree`` reaches to the place that is returned.

    It goes through memory that the verifier does not follow, so that all paths are in one state where they meet.
    """
    place, done = emit.region(4), emit.fresh("reached")
    emit.load(_SAMPLE, "u64", R10, SAMPLE)
    emit.load(_RESULT, "u64", R10, OUTCOME)
    labels = [emit.fresh("node") for _ in range(tree.nodes)]

    def go(child: int) -> None:
        if child < 0:
            emit.store("u32", _RESULT, place.offset, -1 - child)
            emit.goto(done)
            return
        right = emit.fresh("right")
        emit.load(_VALUE, "u8", _SAMPLE, int(tree.values[child]))
        emit.jump_if(_VALUE, ">=", int(tree.thresholds[child]), right)
        go(int(tree.children[child, 0]))
        emit.label(right)
        go(int(tree.children[child, 1]))

    del labels
    go(0 if tree.nodes else -1)
    emit.label(done)
    return place


def _emit_sums(emit: Emitter, forest: Forest, places: list[Place]) -> None:
    classes = len(forest.labels)
    for output in range(classes):
        for number, (tree, place) in enumerate(zip(forest.trees, places, strict=True)):
            table = emit.table(f"leaves{number}", tree.leaves) if output == 0 else f"leaves{number}"
            emit.load(_RESULT, "u64", R10, OUTCOME)
            emit.load(_VALUE, "u32", _RESULT, place.offset)
            inside = emit.fresh("inside")
            emit.jump_if(_VALUE, "<", len(tree.leaves), inside)
            emit.mov(_VALUE, 0)
            emit.label(inside)
            emit.alu(_VALUE, "*=", 4 * classes)
            emit.map_value(_ROW, table)
            emit.alu(_ROW, "+=", _VALUE)
            emit.load(_ROW, "u32", _ROW, 4 * output)
            if number == 0:
                emit.mov(_SUM, _ROW)
                emit.alu(_SUM, "+=", int(np.int32(forest.base[output])))
            else:
                emit.alu(_SUM, "+=", _ROW)
        emit.load(_RESULT, "u64", R10, OUTCOME)
        emit.store("u32", _RESULT, SCORES.offset + 4 * output, _SUM)
