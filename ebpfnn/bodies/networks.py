"""Networks of layers, as a kind of model."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler import Body, BodyKind, Compiled, KernelFeatures, build_twin, compile_network
from ..compiler.features import NEWEST
from ..compiler.kind import Described, Tensors
from ..compiler.plan import PLANS
from ..network import QuantizedNetwork, modelformat, reference


class Networks(BodyKind[QuantizedNetwork]):
    name, summary, model, plans = "network", "layers: dense, convolutions, pools, tables", QuantizedNetwork, tuple(PLANS)

    def describe(self, model: QuantizedNetwork) -> dict[str, Any]:
        return modelformat.describe(model)

    def tensors(self, model: QuantizedNetwork) -> dict[str, NDArray[Any]]:
        return modelformat.tensors(model)

    def build(self, described: Described, tensors: Tensors) -> QuantizedNetwork:
        return modelformat.build(described, dict(tensors))

    def scores(self, model: QuantizedNetwork, samples: NDArray[np.uint8]) -> NDArray[np.int32]:
        return reference.scores(model, samples)

    def compile(self, model: QuantizedNetwork, features: KernelFeatures = NEWEST, plan: str | None = None) -> Compiled:
        return compile_network(model, features, plan)

    def twin(self, model: QuantizedNetwork) -> Body:
        return build_twin(model)
