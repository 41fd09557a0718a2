"""A float network in PyTorch, on one thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import isclose
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network.graph import SAMPLE, chain
from ..network.layers import MaxPool
from ..quantize.floats import Activation, FloatConv2d, FloatDense
from .plain import ALIKE, Plain, PlainAdd, PlainConcat, PlainError, PlainLayer
from .python_rows import Infer


def takes(layers: Sequence[PlainLayer]) -> bool:
    """Whether PyTorch has such windows: the edges of pools are alike on both sides, and at most half a window."""
    for layer in layers:
        if not isinstance(layer, MaxPool):
            continue
        top, left, *others = layer.window.padding
        half = any(2 * edge > size for edge, size in zip((top, left), layer.window.kernel, strict=True))
        if [top, left] != others or half:
            return False
    return True


def prepare(network: Plain, samples: NDArray[np.float32]) -> Infer:
    """What infers one of ``samples`` into its logits, a tensor."""
    import torch

    torch.set_num_threads(1)
    model = _model(network)
    given = list(torch.from_numpy(samples[:, None]))

    def infer(index: int) -> Any:
        with torch.inference_mode():
            return model(given[index])

    return infer


def _model(network: Plain) -> Callable[[Any], Any]:
    """A chain is one module; of a graph, each layer is called with the values that it takes."""
    import torch

    steps = [_step(layer) for layer in network.layers]
    if network.takes == chain(len(steps)):
        return torch.nn.Sequential(*steps).eval().requires_grad_(False)
    for step in steps:
        step.eval().requires_grad_(False)
    called = tuple(zip(steps, network.takes, strict=True))

    def model(sample: Any) -> Any:
        values = [sample]
        for step, taken in called:
            values.append(step(*[values[source - SAMPLE] for source in taken]))
        return values[-1]

    return model


def _step(layer: PlainLayer) -> Any:
    """One module for a layer, which takes all that the layer takes."""
    from torch import nn

    if not isinstance(layer, PlainAdd | PlainConcat | PlainError):
        return nn.Sequential(*_modules(layer))
    join: Callable[..., Any] = partial(_COMPUTED[type(layer)], layer)
    behind = [] if isinstance(layer, PlainError) else _behind(layer.activation)

    class Joined(nn.Module):
        """What joins values, and what follows."""

        def __init__(self) -> None:
            super().__init__()
            self.behind = nn.Sequential(*behind)

        def forward(self, *given: Any) -> Any:
            return self.behind(join(*given))

    return Joined()


def _added(layer: PlainAdd, one: Any, other: Any) -> Any:
    total = _times(one, layer.factors[0]) + _times(other, layer.factors[1])
    return total + layer.bias if layer.bias else total


def _side_by_side(layer: PlainConcat, *given: Any) -> Any:
    import torch

    scaled = map(_times, given, layer.factors)
    return torch.cat([value + bias if bias else value for value, bias in zip(scaled, layer.biases, strict=True)], 1)


def _error(layer: PlainError, one: Any, other: Any) -> Any:
    apart = one.flatten(1) - _times(other.flatten(1), layer.ratio)
    return (apart * apart).sum(1, keepdim=True) * layer.factor


_COMPUTED: dict[type, Callable[..., Any]] = {PlainAdd: _added, PlainConcat: _side_by_side, PlainError: _error}


def _times(value: Any, factor: float) -> Any:
    return value if isclose(factor, 1, rel_tol=ALIKE) else value * factor


def _behind(activation: Activation) -> list[Any]:
    from torch import nn

    if activation.slope == 1:
        return []
    return [nn.LeakyReLU(activation.slope) if activation.slope else nn.ReLU()]


def _modules(layer: FloatDense | FloatConv2d | MaxPool) -> list[Any]:
    """A layer, what flattens its input and what follows it."""
    from torch import nn

    if isinstance(layer, MaxPool):
        return [nn.MaxPool2d(layer.window.kernel, layer.window.stride, _edge(layer.window.padding))]
    if isinstance(layer, FloatDense):
        made: list[Any] = [nn.Flatten(), nn.Linear(layer.weights.shape[1], len(layer.weights))]
    else:
        window, channels = layer.window, layer.weights.shape[1] * layer.groups
        top, left, bottom, right = window.padding
        even = (top, left) == (bottom, right)
        made = [] if even else [nn.ZeroPad2d((left, right, top, bottom))]
        edge = (top, left) if even else (0, 0)
        made.append(nn.Conv2d(channels, len(layer.weights), window.kernel, window.stride, edge, groups=layer.groups))
    _fill(made[-1], layer.weights, layer.bias)
    return [*made, *_behind(layer.activation)]


def _fill(module: Any, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    import torch

    module.load_state_dict({"weight": torch.from_numpy(weights.copy()), "bias": torch.from_numpy(bias.copy())})


def _edge(padding: tuple[int, int, int, int]) -> tuple[int, int]:
    if padding[:2] != padding[2:]:
        raise NotSupported("torch: padding that differs between the sides of a window; PyTorch's layers cannot do that")
    return padding[:2]
