"""Training with the rounding that quantization will do, so that the network adapts to it.

A parametrization rounds weights, and a forward hook rounds activations, to few steps. Gradients pass as if there were no
rounding (Jacob et al. 2018, arXiv:1712.05877). At 8 bits a weight's step is its output's largest magnitude / 127, as
:func:`ebpfnn.quantize.quantization.quantize` will choose it. With fewer bits, and for activations at any number of bits, the
step is learned (Esser et al. 2020, arXiv:1902.08153) and passed to ``quantize``.

A batch normalization scales whole outputs. So weights that are rounded before it is folded give the same integers after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..errors import ModelError
from ..quantize.floats import FloatConv2d, FloatDense, FloatLayer, Network
from .distributed import as_the_leader
from .model import module_shape
from .options import Precision

_WEIGHTED = (nn.Linear, nn.Conv2d)
_ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.ReLU6, nn.Hardtanh)
_LEAST_STEP = 1e-8
"""The minimum step, since values are divided by it. Smaller values count as 0."""


class Rounding:
    """Rounds weights and activations of ``model`` until :meth:`remove`.

    Activations that a user's module calls as functions, not as modules, are not seen, and so not rounded.
    """

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self._model, self._precision = model, precision
        self._weighted = _those(model, _WEIGHTED)
        self._activations = _those(model, _ACTIVATIONS)
        for module in self._weighted:
            parametrize.register_parametrization(module, "weight", _Weights(module.weight, precision.weight_bits))
        for module in self._activations:
            module.add_module("rounded", _Activations(precision.hidden_bits, signed=_signed(module)))
        self._hooks = [module.register_forward_hook(_round) for module in self._activations]

    def remove(self, network_of: Callable[[], Network]) -> Network:
        """Removes the rounding, leaves weights rounded, and returns ``network_of()``, marked with its precision.

        Raises :class:`ModelError` if the network does not have as many layers as the module, or if learned steps are not valid
        after a batch normalization is folded into them.
        """
        weight_steps = {module: _parametrization(module).steps().detach().flatten().numpy() for module in self._weighted}
        steps = {module: float(module.rounded.size().detach()) for module in self._activations}
        for module in self._weighted:
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
        for module, hook in zip(self._activations, self._hooks, strict=True):
            hook.remove()
            del module.rounded
        network = network_of()
        called = [(module, weight_steps[module], steps.get(activation)) for module, activation in self._called(network)]
        weighted = sum(isinstance(layer, (FloatDense, FloatConv2d)) for layer in network.layers)
        if weighted != len(called):
            fact = f"{weighted} layers with weights, but {len(called)} calls of Linear and Conv2d modules"
            raise ModelError(f"network '{network.name}': {fact}, so steps cannot be told apart; train without --aware")
        return replace(network, layers=tuple(self._marked(network.layers, iter(called))))

    def _called(self, network: Network) -> list[tuple[Any, Any]]:
        """The modules with weights in the order of their calls, each with the activation that is called next, or None."""
        calls: list[Any] = []
        modules = (*self._weighted, *self._activations)
        hooks = [module.register_forward_hook(lambda called, *_: calls.append(called)) for module in modules]
        with torch.no_grad():
            self._model.eval()(torch.zeros(1, *module_shape(network.input.shape)))
        for hook in hooks:
            hook.remove()
        pairs = zip(calls, [*calls[1:], None], strict=True)
        return [(one, then if isinstance(then, _ACTIVATIONS) else None) for one, then in pairs if isinstance(one, _WEIGHTED)]

    def _marked(self, layers: tuple[FloatLayer, ...], called: Iterator[tuple[Any, Any, float | None]]) -> Iterator[FloatLayer]:
        bits, hidden_bits = self._precision.weight_bits, self._precision.hidden_bits
        for layer in layers:
            if not isinstance(layer, (FloatDense, FloatConv2d)):
                yield layer
                continue
            module, weight_step, step = next(called)
            scale = None if bits == 8 else _folded(weight_step, module.weight.detach().numpy(), layer)
            activation = layer.activation
            if not _is_identity(layer):
                activation = replace(activation, bits=hidden_bits, scale=step)
            yield replace(layer, weight_bits=bits, weight_scale=scale, activation=activation)


class _Weights(nn.Module):
    """Rounds weights, [outputs, ...], to ``bits``, with one step per output."""

    def __init__(self, weights: Tensor, bits: int) -> None:
        super().__init__()
        self.limit = 2 ** (bits - 1) - 1
        outputs = weights.detach().flatten(1)
        mean = 2 * outputs.abs().mean(dim=1) / self.limit**0.5
        self.shape = (-1, *[1] * (weights.ndim - 1))
        self.learned = None if bits == 8 else nn.Parameter(mean.clamp_min(_LEAST_STEP))
        self.register_buffer("largest", outputs.abs().amax(dim=1) / self.limit)

    def steps(self) -> Tensor:
        return self.largest if self.learned is None else self.learned.abs().clamp_min(_LEAST_STEP)

    def forward(self, weights: Tensor) -> Tensor:
        if self.learned is None:
            self.largest = weights.detach().flatten(1).abs().amax(dim=1).clamp_min(1e-12) / self.limit
            return _rounded(weights, self.largest.view(self.shape), -self.limit, self.limit, torch.round)
        steps = _slowed(self.steps(), (weights[0].numel() * self.limit) ** -0.5)
        return _rounded(weights, steps.view(self.shape), -self.limit, self.limit, torch.round)


class _Activations(nn.Module):
    """Rounds activations to ``bits``: to 0..2^bits - 1, or if ``signed``, to the symmetric range of as many bits.

    The step is initialized from the first batch as in section 2.1 of LSQ; with several processes, from the leader's.
    """

    def __init__(self, bits: int, *, signed: bool) -> None:
        super().__init__()
        self.high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        self.low = -self.high if signed else 0
        self.step = nn.Parameter(torch.tensor(0.0))

    def size(self) -> Tensor:
        return self.step.abs().clamp_min(_LEAST_STEP)

    def forward(self, values: Tensor) -> Tensor:
        if not self.step:
            self.step.data.copy_((2 * values.detach().abs().mean() / self.high**0.5).clamp_min(_LEAST_STEP))
            as_the_leader(self.step.data)
        step = _slowed(self.size(), (values[0].numel() * self.high) ** -0.5)
        return _rounded(values, step, self.low, self.high, _half_up)


def _round(module: Any, _given: Any, output: Tensor) -> Tensor:
    rounded: Tensor = module.rounded(output)
    return rounded


def _signed(module: nn.Module) -> bool:
    """Whether ``quantize`` gives the output of this activation a range that extends below 0."""
    if isinstance(module, nn.Hardtanh):  # includes ReLU6
        return module.min_val < 0
    return isinstance(module, nn.LeakyReLU) and module.negative_slope != 0


def _rounded(values: Tensor, step: Tensor, low: int, high: int, to_integers: Callable[[Tensor], Tensor]) -> Tensor:
    """Rounds and clips. The gradient passes through the rounding unchanged."""
    scaled = (values / step).clamp(low, high)
    return (scaled + (to_integers(scaled) - scaled).detach()) * step


def _half_up(values: Tensor) -> Tensor:
    return (values + 0.5).floor()


def _slowed(step: Tensor, factor: float) -> Tensor:
    """``step`` with its gradient scaled. It sums over all values and would outrun the weights (section 2.2 of LSQ)."""
    return step * factor + (step * (1 - factor)).detach()


def _those(model: nn.Module, kinds: tuple[type[nn.Module], ...]) -> list[Any]:
    """Untyped, because torch types attributes of a module as Tensor or Module."""
    return [module for module in model.modules() if isinstance(module, kinds)]


def _parametrization(module: Any) -> Any:
    return module.parametrizations["weight"][0]


def _folded(step: Any, trained: Any, layer: FloatDense | FloatConv2d) -> Any:
    """The step of each output's weights after a batch normalization is folded into them: it was scaled like the weights.

    Raises :class:`ModelError` if weights of one output were scaled differently, so that they no longer have a common step.
    """
    before, after = (weights.reshape(len(weights), -1) for weights in (trained, layer.weights))
    outputs, largest = np.arange(len(before)), np.abs(before).argmax(axis=1)
    peaks = before[outputs, largest]
    factors = np.where(peaks != 0, after[outputs, largest] / np.where(peaks != 0, peaks, 1), 1)
    if not np.allclose(after, before * factors[:, None], rtol=1e-4, atol=1e-6 * np.abs(after).max()):
        fact = "a batch normalization before a layer scales its inputs, which few bits of weights do not outlive"
        raise ModelError(f"{fact}; put it behind the layer, or train with 8 weight bits")
    return (step * np.abs(factors)).astype(np.float32)


def _is_identity(layer: FloatDense | FloatConv2d) -> bool:
    activation = layer.activation
    return activation.slope == 1 and np.isinf(activation.low) and np.isinf(activation.high)
