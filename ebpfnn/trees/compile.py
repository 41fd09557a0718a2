"""Compiles a forest to instructions: a plan first, then the trees of each shape, whose leaves are added to the same sums."""

from __future__ import annotations

from dataclasses import dataclass

from ..compiler import Body, KernelFeatures
from ..compiler.emitter import OUTCOME, SAMPLE, Emitter
from ..compiler.features import NEWEST
from ..compiler.limits import check
from ..obj.asm import R0, R1, R2, R10
from .branches import emit_branches
from .forest import Forest
from .leaves import RESULT, Sums
from .masks import emit_masks
from .plan import BRANCHES, MASKS, WALK, Plan, plan_forest
from .walk import emit_walk


@dataclass(frozen=True)
class CompiledForest(Body):
    """A body, and the plan that it follows."""

    plan: Plan

    @property
    def told(self) -> str:
        return self.plan.shape


def compile_forest(forest: Forest, features: KernelFeatures = NEWEST, plan: str | None = None) -> CompiledForest:
    """Compiles ``ebpfnn_infer`` for ``forest`` and a kernel that has ``features``.

    Without ``plan``, the shape of its trees is the cheapest by :mod:`ebpfnn.trees.cost`. Raises :class:`ModelError` for an
    unknown ``plan``, and for a forest that exceeds a limit, before much memory is taken.
    """
    chosen = plan_forest(forest, features, plan)
    emit = Emitter(features)
    emit.note("the arguments, for whom registers are too few")
    emit.store("u64", R10, SAMPLE, R1)
    emit.store("u64", R10, OUTCOME, R2)
    emit.mov(RESULT, R2)
    sums = Sums(emit, forest)
    sums.begin()
    if WALK in chosen.trees:
        emit_walk(emit, sums, chosen.trees[WALK], forest.input.size)
    if MASKS in chosen.trees:
        emit_masks(emit, sums, chosen.trees[MASKS])
    if BRANCHES in chosen.trees:
        emit_branches(emit, sums, chosen.trees[BRANCHES])
    sums.finish()
    emit.mov(R0, 0)
    emit.exit()
    check(emit)
    return CompiledForest(emit.spec(forest.name), emit.workspace, chosen)
