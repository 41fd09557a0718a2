"""A teacher: a float network, loaded from its file, that gives logits for samples."""

from __future__ import annotations

import hashlib
from math import isinf

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from ..errors import ModelError
from ..network.layers import MaxPool, Shape
from ..quantize.floats import Activation, AvgPool, FloatAdd, FloatConcat, FloatDense, FloatLayer, FloatSquaredError, Network


class Teacher(nn.Module):
    """``network`` in PyTorch, for inference only: float32 [n, *module_shape] of 0..1 to logits, float32 [n, classes].

    ``digest`` identifies it by its layers with all their settings. Raises :class:`ModelError` if it is not for 8-bit samples of
    ``shape`` and ``classes``, or has padding on one side only.
    """

    def __init__(self, network: Network, shape: Shape, classes: int) -> None:
        super().__init__()
        if network.input.shape != shape or network.input.bits != 8 or len(network.labels) != classes:
            given = f"{network.input.bits}-bit {list(network.input.shape)} to {len(network.labels)} classes"
            raise ModelError(f"teacher '{network.name}' takes {given}; give one from 8-bit {list(shape)} to {classes}")
        self.digest, self.classes = _digest(network), classes
        self.layers = nn.ModuleList(map(_module, network.layers))
        self.activations = [getattr(layer, "activation", Activation()) for layer in network.layers]
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    @property
    def device(self) -> torch.device:
        """The device that samples must be on."""
        return next(self.parameters()).device

    @torch.no_grad()
    def forward(self, samples: Tensor) -> Tensor:
        values = samples.contiguous(memory_format=torch.channels_last) if samples.ndim == 4 else samples
        # 16 bits of a logit carry as much information as 32, in half the time.
        with torch.autocast(samples.device.type, torch.bfloat16):
            for layer, activation in zip(self.layers, self.activations, strict=True):
                values = layer(values.flatten(1) if isinstance(layer, nn.Linear) else values)
                values = _activated(values, activation)
        return values.flatten(1).float()


def _digest(network: Network) -> str:
    digest = hashlib.sha256()
    for layer in network.layers:
        digest.update(type(layer).__name__.encode())
        for name, value in vars(layer).items():
            array = isinstance(value, np.ndarray)
            digest.update(f"{name} {value.shape if array else value}".encode())
            digest.update(value.tobytes() if array else b"")
    return digest.hexdigest()


def _activated(values: Tensor, by: Activation) -> Tensor:
    sloped = values if by.slope == 1 else leaky_relu(values, by.slope)
    return sloped if isinf(by.low) and isinf(by.high) else sloped.clamp(by.low, by.high)


def _module(layer: FloatLayer) -> nn.Module:
    if isinstance(layer, (FloatAdd, FloatConcat, FloatSquaredError)):
        raise ModelError("a teacher is a chain of layers; give one without sums and joined channels")
    if isinstance(layer, FloatDense):
        made: nn.Module = nn.Linear(layer.weights.shape[1], len(layer.weights))
    elif layer.window is None:
        return nn.AdaptiveAvgPool2d(1)
    else:
        kernel, stride, padding = layer.window.kernel, layer.window.stride, layer.window.padding
        if padding[:2] != padding[2:]:
            raise ModelError("a teacher's window pads one side only; give one that pads both")
        edge = padding[:2]
        if isinstance(layer, MaxPool):
            return nn.MaxPool2d(kernel, stride, edge)
        if isinstance(layer, AvgPool):
            return nn.AvgPool2d(kernel, stride, edge)
        channels = layer.weights.shape[1] * layer.groups
        made = nn.Conv2d(channels, len(layer.weights), kernel, stride, edge, groups=layer.groups)
    made.load_state_dict({"weight": torch.from_numpy(layer.weights.copy()), "bias": torch.from_numpy(layer.bias.copy())})
    return made
