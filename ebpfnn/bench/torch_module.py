"""A float network in PyTorch, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotSupported
from ..network.layers import MaxPool
from ..quantize.floats import FloatDense
from .plain import PlainLayer
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


def prepare(layers: Sequence[PlainLayer], samples: NDArray[np.float32]) -> Infer:
    """What infers one of ``samples`` into its logits, a tensor."""
    import torch

    torch.set_num_threads(1)
    modules = [module for layer in layers for module in _modules(layer)]
    model = torch.nn.Sequential(*modules).eval().requires_grad_(False)
    given = list(torch.from_numpy(samples[:, None]))

    def infer(index: int) -> Any:
        with torch.inference_mode():
            return model(given[index])

    return infer


def _modules(layer: PlainLayer) -> list[Any]:
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
    if layer.activation.slope == 1:
        return made
    return [*made, nn.LeakyReLU(layer.activation.slope) if layer.activation.slope else nn.ReLU()]


def _fill(module: Any, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    import torch

    module.load_state_dict({"weight": torch.from_numpy(weights.copy()), "bias": torch.from_numpy(bias.copy())})


def _edge(padding: tuple[int, int, int, int]) -> tuple[int, int]:
    if padding[:2] != padding[2:]:
        raise NotSupported("torch: padding that differs between the sides of a window; PyTorch's layers cannot do that")
    return padding[:2]
