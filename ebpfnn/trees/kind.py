"""Trees, as a kind of model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler import Body, BodyKind, KernelFeatures
from ..compiler.features import NEWEST
from ..compiler.kind import Described, Tensors
from . import facts, forestformat, reference
from .compile import compile_forest
from .forest import Forest
from .plan import PLANS
from .twin import build_twin


class Trees(BodyKind[Forest]):
    name, summary, model, plans = "trees", "a decision tree, a forest, or boosted trees", Forest, PLANS

    def describe(self, model: Forest) -> dict[str, Any]:
        return forestformat.describe(model)

    def tensors(self, model: Forest) -> dict[str, NDArray[Any]]:
        return forestformat.tensors(model)

    def build(self, described: Described, tensors: Tensors) -> Forest:
        return forestformat.build(described, tensors)

    def scores(self, model: Forest, samples: NDArray[np.uint8]) -> NDArray[np.int32]:
        return reference.scores(model, samples)

    def compile(self, model: Forest, features: KernelFeatures = NEWEST, plan: str | None = None) -> Body:
        return compile_forest(model, features, plan)

    def twin(self, model: Forest) -> Body:
        return build_twin(model)

    def facts(self, model: Forest) -> Mapping[str, str]:
        return facts.facts(model)
