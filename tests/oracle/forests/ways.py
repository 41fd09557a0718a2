"""The bodies that a forest runs by: every plan for the features that kernels have, and the C twin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ebpfnn.compiler import KernelFeatures
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.trees import Forest
from ebpfnn.trees.compile import compile_forest
from ebpfnn.trees.plan import PLANS
from ebpfnn.trees.twin import build_twin, verifier_steps

from .. import ways
from ..ways import Way

FEATURES: dict[str, KernelFeatures] = {"newest": NEWEST, "callbacks": MIDDLE, "walked": OLDEST}

_MOST_STEPS = 250_000
"""What a verifier walks in a quarter of a second."""


def of(forest: Forest) -> Iterator[Way]:
    for name, features in FEATURES.items():
        here = ways.that_are_here(features)
        for plan in (None, *PLANS):
            yield Way(f"compiled, {name}, plan {plan}", partial(compile_forest, forest, here, plan))
    if verifier_steps(forest) <= _MOST_STEPS:
        yield Way("twin", partial(build_twin, forest))
