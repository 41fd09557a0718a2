"""Rows in float32: numpy, PyTorch and onnxruntime, each as a user would call it for one sample, on one thread."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network import QuantizedNetwork
from ..quantize.floats import FloatDense
from . import torch_module
from .plain import as_floats, as_real
from .python_rows import Infer, PythonRunner

ONNX_LIBRARIES = ("onnxruntime", "onnx")
_LIBRARIES: dict[str, tuple[str, ...]] = {
    "numpy": (),
    "torch": ("torch",),
    "onnxruntime": ONNX_LIBRARIES,
    "ort-iobinding": ONNX_LIBRARIES,
}
_Floats = NDArray[np.float32]


class FloatRunner(PythonRunner):
    """The samples are floats before the clock starts: a float network is not charged for converting them."""

    exact = False
    takes = "float32"

    def __init__(self, name: str, network: QuantizedNetwork) -> None:
        super().__init__(name, len(network.labels))
        self._network, self._plain = network, as_floats(network)

    def prepare(self, samples: NDArray[np.uint8]) -> Infer:
        return self.prepare_floats(as_real(self._network, samples))

    @abstractmethod
    def prepare_floats(self, samples: _Floats) -> Infer:
        """What infers one of ``samples``, float32 [n, values] or [n, channels, rows, columns]."""


class NumpyRunner(FloatRunner):
    """Matrix times vector: dense layers alone."""

    def prepare_floats(self, samples: _Floats) -> Infer:
        layers = [layer for layer in self._plain.layers if isinstance(layer, FloatDense)]
        steps = [(layer.weights, layer.bias, np.float32(layer.activation.slope)) for layer in layers]

        def infer(index: int) -> _Floats:
            values: _Floats = samples[index]
            for weights, bias, slope in steps:
                values = np.dot(weights, values) + bias
                if slope != 1:
                    values = np.maximum(values, slope * values)
            return values

        return infer


class TorchRunner(FloatRunner):
    """PyTorch: eager, in inference mode."""

    def prepare_floats(self, samples: _Floats) -> Infer:
        return torch_module.prepare(self._plain, samples)


class OnnxRunner(FloatRunner):
    """onnxruntime by its plainest call: a dictionary in, a list out."""

    def prepare_floats(self, samples: _Floats) -> Infer:
        from .onnx_model import INPUT, open_session

        run, given = open_session(self._plain, samples.shape[1:], self.classes).run, list(samples[:, None])
        return lambda index: run(None, {INPUT: given[index]})


class BoundOnnxRunner(FloatRunner):
    """onnxruntime by a binding a sample, made beforehand: a call passes nothing, and copies nothing."""

    def prepare_floats(self, samples: _Floats) -> Infer:
        from .onnx_model import bind, open_session

        session, given = open_session(self._plain, samples.shape[1:], self.classes), list(samples[:, None])
        self._scores = np.zeros((len(samples), self.classes), np.float32)
        bindings = [bind(session, sample, scores) for sample, scores in zip(given, self._scores, strict=True)]
        self._kept, run = given, session.run_with_iobinding  # a binding keeps no sample
        return lambda index: run(bindings[index])

    def scores(self, count: int) -> _Floats:
        return self._scores[:count]


def float_runners(network: QuantizedNetwork, left_out: dict[str, str]) -> Iterator[FloatRunner]:
    """The rows whose library is installed, and can compute such layers; ``left_out`` gets the reasons for the others."""
    kinds: dict[str, Callable[[str, QuantizedNetwork], FloatRunner]]
    kinds = {"numpy": NumpyRunner, "torch": TorchRunner, "onnxruntime": OnnxRunner, "ort-iobinding": BoundOnnxRunner}
    for name, kind in kinds.items():
        reason = _why_not(name, network)
        if reason:
            left_out[name] = reason
        else:
            yield kind(name, network)


def _why_not(name: str, network: QuantizedNetwork) -> str | None:
    try:
        layers = as_floats(network).layers
    except NotSupported as reason:
        return str(reason)
    missing = next((library for library in _LIBRARIES[name] if not find_spec(library)), None)
    if missing:
        return f"{missing} is not installed"
    if name == "numpy" and not all(isinstance(layer, FloatDense) for layer in layers):
        return f"'{network.name}' has other layers than dense ones"
    if name == "torch" and not torch_module.takes(layers):
        return f"'{network.name}' has windows that PyTorch's layers do not have"
    return None
