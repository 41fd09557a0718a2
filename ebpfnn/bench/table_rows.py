"""Table networks in numpy and onnxruntime: as whoever has them in Python would compute them, for one sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..exporters import onnx
from ..network import QuantizedNetwork, reference
from ..network.encoding import levels
from ..network.onnxkeys import SCORES
from .float_rows import ONNX_LIBRARIES
from .onnx_model import session_of
from .python_rows import Infer, PythonRunner
from .table_form import Stage, stages

_SCORES = [SCORES]
_Scores = NDArray[np.int64]


class NumpyTableRunner(PythonRunner):
    """Rows are taken by one index of numpy and added: exact. Bits were made numbers of rows before the clock starts."""

    takes = "rows"

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__("numpy", len(network.labels))
        self._network, self._stages = network, stages(network)

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        computed = [_prepared(stage, self._given(number, samples)) for number, stage in enumerate(self._stages)]
        margins = [stage.margin for stage in self._stages[:-1]]

        def infer(index: int) -> _Scores:
            scores = computed[0](index)
            for margin, following in zip(margins, computed[1:], strict=True):
                best, second = np.sort(scores)[:-3:-1]
                if best - second >= margin:
                    return scores
                scores = following(index)
            return scores

        return infer

    def _given(self, number: int, samples: NDArray[np.uint8]) -> NDArray[np.int64]:
        network = self._network.stages[number]
        return levels(network.input, samples).astype(np.int64)


class OnnxTableRunner(PythonRunner):
    """onnxruntime on the exported model: integers and exact, from u8 samples."""

    def __init__(self, network: QuantizedNetwork) -> None:
        super().__init__("onnxruntime", len(network.labels))
        self._network = network

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        run, given = session_of(onnx.build(self._network)).run, list(samples[:, None])
        return lambda index: run(_SCORES, {onnx.INPUT: given[index]})

    def as_scores(self, found: Any) -> NDArray[np.int32]:
        scores: NDArray[np.int32] = found[0].reshape(self.classes)
        return scores


def table_rows(network: QuantizedNetwork, left_out: dict[str, str]) -> Iterator[PythonRunner]:
    """The rows of a network of tables, and of a cascade; those that there are leave ``left_out``."""
    if not onnx.is_exact(network):
        return  # it is computed in floats
    missing = next((library for library in ONNX_LIBRARIES if not find_spec(library)), None)
    if missing:
        left_out["onnxruntime"] = f"{missing} is not installed"
    else:
        left_out.pop("onnxruntime", None)
        yield OnnxTableRunner(network)
    try:
        yield NumpyTableRunner(network)
    except NotSupported as reason:
        left_out["numpy"] = str(reason)
    else:
        left_out.pop("numpy", None)


def _prepared(stage: Stage, values: NDArray[np.int64]) -> Callable[[int], _Scores]:
    """What computes the scores of one sample, whose levels are ``values``, int64 [n, *shape]."""
    groups, per_group, words = stage.rows.shape
    first: NDArray[Any] = stage.rows.reshape(-1, words)
    last = stage.last.reshape(-1, stage.last.shape[-1])
    found = reference.row_numbers(stage.layer, values) + np.arange(groups) * per_group
    places = np.arange(stage.neurons) * stage.last.shape[1]
    start, bias, shift, neurons = stage.start, stage.bias, stage.shift, stage.neurons

    def infer(index: int) -> _Scores:
        sums = first.take(found[index], axis=0).sum(axis=0) + start
        outputs = sums.view(np.uint8)[:neurons] >> shift
        scores: _Scores = last.take(outputs + places, axis=0).sum(axis=0) + bias
        return scores

    return infer
