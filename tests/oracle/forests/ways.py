"""The bodies that a forest runs by: every plan for the features that kernels have, and the C twin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ebpfnn.compiler import KernelFeatures
from ebpfnn.compiler.features import MIDDLE, NEWEST, OLDEST
from ebpfnn.trees import Forest
from ebpfnn.trees.compile import compile_forest
from ebpfnn.trees.plan import PLANS

from .. import ways
from ..ways import Way

FEATURES: dict[str, KernelFeatures] = {"newest": NEWEST, "callbacks": MIDDLE, "walked": OLDEST}


def of(forest: Forest) -> Iterator[Way]:
    for name, features in FEATURES.items():
        here = ways.that_are_here(features)
        for plan in (None, *PLANS):
            yield Way(f"compiled, {name}, plan {plan}", partial(compile_forest, forest, here, plan))
