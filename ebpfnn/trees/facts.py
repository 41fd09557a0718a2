"""What ``ebpfnn inspect`` shows of a forest."""

from __future__ import annotations

from collections.abc import Mapping

from ..compiler.features import NEWEST
from ..errors import ModelError
from .compile import compile_forest
from .forest import Forest
from .plan import PLANS, plan_forest


def facts(forest: Forest) -> Mapping[str, str]:
    """Sizes; of the plan for the newest kernels what it takes; and what the other plans are estimated to take."""
    depths, leaves = [tree.depth for tree in forest.trees], [len(tree.leaves) for tree in forest.trees]
    found = {
        "trees": f"{len(forest.trees):,}",
        "nodes": f"{forest.nodes:,}, depth {min(depths)} to {max(depths)}",
        "leaves": f"{sum(leaves):,}, {min(leaves)} to {max(leaves)} a tree, {len(forest.labels)} scores each",
        "values": f"{len({int(value) for tree in forest.trees for value in tree.values})} of {forest.input.size} looked at",
    }
    found["plan"] = _planned(forest)
    for name in PLANS:
        try:
            plan = plan_forest(forest, NEWEST, name)
        except ModelError as refusal:
            found[f"plan {name}"] = str(refusal)
        else:
            shape = "" if plan.shape == name else f"{plan.shape}: "
            found[f"plan {name}"] = f"{shape}some {plan.ns:,.0f} ns, {plan.walked:,} instructions to verify"
    return found


def _planned(forest: Forest) -> str:
    try:
        body = compile_forest(forest)
    except ModelError as refusal:
        return str(refusal)
    size = sum(table.value_size for table in body.spec.maps.values())
    return f"{body.plan.shape}, {size:,} bytes of tables"
