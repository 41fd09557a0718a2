"""Which shape each tree of a forest gets, and what that takes: the cheapest of those that the kernel has room for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..compiler.features import KernelFeatures
from ..compiler.frames import FARTHEST_JUMP
from ..compiler.limits import MOST_FORKS, MOST_WALKED
from ..errors import ModelError
from . import branches, cost, groups, masks, walk
from .forest import Forest, Tree
from .leaves import row_words

BRANCHES, WALK, MASKS = "branches", "walk", "masks"
PLANS = (BRANCHES, WALK, MASKS)
_MOST_MASKS = 100_000
"""Instructions; more masks than that would be slower than any other shape."""
_MOST_BYTES = 64 << 20
"""Of all tables of a forest."""


@dataclass(frozen=True)
class Plan:
    """The trees of each shape that is used.

    ``ns`` is an estimate. ``walked``, instructions of the verifier, ``forks``, ``table_bytes`` and ``largest_table``, in bytes,
    are at most that.
    """

    trees: Mapping[str, tuple[Tree, ...]]
    ns: float
    walked: int
    forks: int
    table_bytes: int
    largest_table: int

    @property
    def shape(self) -> str:
        """The shapes, as ``--plan`` and people know them."""
        return " and ".join(self.trees)


def plan_forest(forest: Forest, features: KernelFeatures, name: str | None = None) -> Plan:
    """The plan called ``name``, whose shape all trees get that fit it; or the cheapest.

    Raises :class:`ModelError` for an unknown name, and for a forest that no kernel with ``features`` has room for.
    """
    if name not in (None, *PLANS):
        raise ModelError(f"plan '{name}' is not known; known are {', '.join(PLANS)}")
    plans = [_planned(forest, shape) for shape in ((name,) if name else PLANS)]
    fit = [plan for plan in plans if _excess(plan, features) is None]
    if not fit:
        least = min(plans, key=lambda plan: (plan.walked, plan.table_bytes))
        raise ModelError(f"model '{forest.name}' ({forest.architecture}) {_excess(least, features)}")
    return min(fit, key=lambda plan: plan.ns)


def _planned(forest: Forest, shape: str) -> Plan:
    """The plan that gives ``shape`` to all trees that fit it."""
    by_shape: dict[str, list[Tree]] = {}
    for tree in forest.trees:
        by_shape.setdefault(next(each for each in (shape, WALK, MASKS, BRANCHES) if _fits(tree, each)), []).append(tree)
    words, values = row_words(forest), forest.input.size
    parts = [_COSTS[each](trees, words, values) for each, trees in by_shape.items()]
    ns, walked, forks, table_bytes = (sum(part) for part in list(zip(*parts, strict=True))[:4])
    largest = max(part[4] for part in parts)
    shared = 20 + 5 * words + 14 * len(forest.labels)
    trees = {each: tuple(found) for each, found in by_shape.items()}
    return Plan(trees, ns, int(walked) + shared, int(forks), int(table_bytes), int(largest))


def _fits(tree: Tree, shape: str) -> bool:
    if shape == WALK:
        return tree.depth <= walk.DEEPEST and 1 << tree.depth <= walk.MOST_FILLED * (tree.nodes + 1)
    return shape == BRANCHES or len(tree.leaves) <= groups.MOST_LEAVES


_Cost = tuple[float, float, float, float, float]
"""Nanoseconds, instructions to verify, pending branches, bytes of all tables, and of the largest."""


def _branches(trees: Sequence[Tree], words: int, values: int) -> _Cost:
    del values
    walked = sum(branches.walked(tree) + 4 * words for tree in trees)
    pending = sum(tree.depth for tree in trees)
    size = branches.table_bytes(trees, words)
    return cost.branches(trees, words), walked, pending, size, size


def _walk(trees: Sequence[Tree], words: int, values: int) -> _Cost:
    held = walk.values_of(trees, values)
    levels = 10 if held.narrow else 12
    depths = walk.depths(trees)
    walked = sum(levels * depth + 5 + 4 * words for depth in depths) + 2 * len(held.live)
    sizes = [walk.record_bytes(depth, 1, words, held.node_bytes) for depth in depths]
    return cost.walk(trees, words, len(held.live)), walked, 0, sum(sizes), min(len(trees), walk.AT_A_TIME) * max(sizes)


def _masks(trees: Sequence[Tree], words: int, values: int) -> _Cost:
    del values
    found = groups.groups_of(trees)
    direct, size = masks.table_bytes(found, words)
    written = cost.mask_instructions(found, words, direct)
    return cost.masks(found, words, direct, size), written, 0, size, size


_COSTS = {BRANCHES: _branches, WALK: _walk, MASKS: _masks}


def _excess(plan: Plan, features: KernelFeatures) -> str | None:
    """What of ``plan`` the kernel has no room for, and what would fit."""
    limits = (
        (plan.walked, MOST_WALKED, "takes the verifier past some {:,} instructions; it walks {:,}"),
        (plan.forks, MOST_FORKS, "makes the verifier put off {:,} branches; it keeps {:,}"),
        (plan.table_bytes, _MOST_BYTES, "needs tables of {:,} bytes; there is room for {:,}"),
        (plan.largest_table, features.largest_table, "needs a table of {:,} bytes; the kernel takes {:,}"),
        (plan.walked if MASKS in plan.trees else 0, _MOST_MASKS, "takes {:,} instructions of masks; at most {:,} are written"),
    )
    for needed, room, fact in limits:
        if needed > room:
            return f"{fact.format(needed, room)}; {_fewer(plan, room / needed)}"
    for tree in plan.trees.get(BRANCHES, ()):
        if branches.span(tree) > FARTHEST_JUMP:
            fact = (
                f"has a tree of {tree.nodes:,} nodes, {branches.span(tree):,} instructions; a jump goes over {FARTHEST_JUMP:,}"
            )
            return f"{fact}; use one of at most {walk.DEEPEST} levels"
    return None


def _fewer(plan: Plan, share: float) -> str:
    count = sum(len(trees) for trees in plan.trees.values())
    fit = int(count * share * 0.95)
    if fit >= 1 and count > 1:
        return f"some {fit:,} such trees fit"
    return "use a tree of fewer levels or labels"
