"""What each of PyTorch's ATen operators is as a step.

aten/src/ATen/native/native_functions.yaml of PyTorch 2.4 to 2.14 names their arguments. They come before torch.export's
decompositions (``conv2d``) or after them (``convolution``); both are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import Shape, describe
from . import building
from .program import Call, Ref
from .steps import Conv, Linear, Pad, Reshape, Step

Array = NDArray[Any]


@dataclass(frozen=True)
class Operands:
    """The arguments of ``call``, which takes values of ``shape`` from the node ``tip``; the first of them is ``batch``."""

    call: Call
    where: str
    shape: Shape
    tip: str
    batch: int | None
    constants: Mapping[str, Array]

    def get(self, name: str, default: Any = None) -> Any:
        return self.call.arguments.get(name, default)

    def array(self, name: str) -> Array:
        """A constant; raises :class:`ModelError` where the argument is none."""
        value = self.get(name)
        if isinstance(value, (int, float)):
            return np.asarray(value)
        if not isinstance(value, Ref) or value.name not in self.constants:
            raise ModelError(f"{self.where} has no constant {name!r}; export in eval mode, weights as parameters")
        return self.constants[value.name]

    def optional(self, name: str, otherwise: float, size: int) -> Array:
        return self.array(name) if self.get(name) is not None else np.full(size, otherwise)

    def pair(self, name: str, default: int | None = None) -> tuple[int, int]:
        """Two numbers, given as one, two or none."""
        value = self.get(name)
        if value in (None, []) and default is not None:
            value = default
        both = [value, value] if isinstance(value, int) else [*value] * (2 // max(1, len(value)))
        if len(both) != 2:
            raise ModelError(f"{self.where} moves over {len(both)} axes; only rows and columns can be imported")
        return both[0], both[1]

    def is_tip(self, name: str) -> bool:
        return bool(self.get(name) == Ref(self.tip))


def _linear(on: Operands) -> list[Step]:
    weights = on.array("weight").astype(np.float64)
    return [Linear(on.where, weights, on.optional("bias", 0, len(weights)).astype(np.float64))]


def _product(on: Operands) -> list[Step]:
    """``x @ weights``, plus ``self`` for addmm."""
    name = next((name for name in ("mat2", "other") if name in on.call.arguments), "mat2")
    weights, adds = on.array(name).astype(np.float64), on.call.op == "aten.addmm"
    if on.get("alpha", 1) != 1 or on.get("beta", 1) != 1 or weights.ndim != 2:
        raise ModelError(f"{on.where} is not a plain product with a matrix of weights; use a Linear")
    bias = np.broadcast_to(on.array("self"), weights.shape[1]).astype(np.float64) if adds else np.zeros(weights.shape[1])
    return [Linear(on.where, weights.T, bias)]


def _conv(on: Operands) -> list[Step]:
    weights, stride, dilation = on.array("weight").astype(np.float64), on.pair("stride", 1), on.pair("dilation", 1)
    if weights.ndim != 4 or on.get("transposed", False):
        raise ModelError(f"{on.where} is not a plain convolution over rows and columns; use a Conv2d")
    kernel, padding = weights.shape[2:], on.get("padding", 0)
    edges: tuple[int, ...] = (0, 0)
    if padding == "same":  # PyTorch pads the end by one more where the sum is odd
        edges = (*((size - 1) // 2 for size in kernel), *(size // 2 for size in kernel))
    elif padding != "valid":
        edges = on.pair("padding", 0)
    over = building.window(on.where, kernel, stride, edges, dilation)
    bias = on.optional("bias", 0, len(weights)).astype(np.float64)
    return [Conv(on.where, weights, bias, over, int(on.get("groups", 1)))]


def _pad(on: Operands) -> list[Step]:
    """The schema counts from the last axis: left, right, top, bottom."""
    edges = [*on.get("pad", ())]
    if on.get("value") not in {None, 0} or on.get("mode", "constant") != "constant" or len(edges) != 4:
        raise ModelError(f"{on.where} pads by other than an edge of 0 around images, which cannot be imported")
    left, right, top, bottom = edges
    return [Pad(on.where, (top, left, bottom, right))]


def _max_pool(on: Operands) -> list[Step]:
    return _pool(on, largest=True)


def _avg_pool(on: Operands) -> list[Step]:
    if on.get("divisor_override") is not None:
        raise ModelError(f"{on.where} overrides its divisor, which cannot be imported")
    return _pool(on, largest=False)


def _pool(on: Operands, *, largest: bool) -> list[Step]:
    kernel = on.pair("kernel_size")
    stride = on.pair("stride") if on.get("stride") else kernel
    over = building.window(on.where, kernel, stride, on.pair("padding", 0), on.pair("dilation", 1))
    rounds_up, counts_edge = on.get("ceil_mode", False), on.get("count_include_pad", True)
    return [building.pool(on.where, over, on.shape, largest=largest, rounds_up=rounds_up, counts_edge=counts_edge)]


def _mean(on: Operands) -> list[Step]:
    return [*building.mean(on.where, on.shape, on.get("dim") or (), keep=on.get("keepdim", False))]


def _batch_norm(on: Operands) -> list[Step]:
    if on.get("training", False):
        raise ModelError(f"{on.where} is in training mode; call module.eval() before torch.export")
    size = on.shape[0]
    parameters = [
        on.optional("weight", 1, size),
        on.optional("bias", 0, size),
        on.array("running_mean"),
        on.array("running_var"),
    ]
    return [building.normalization(on.where, parameters, float(on.get("eps", 1e-5)), on.shape)]


def _reshape(on: Operands) -> list[Step]:
    """To the shape that the exporter noted; the batch must stay what it is, in front."""
    batch, *sizes = on.call.shape or (None,)
    if batch != on.batch or None in sizes or prod(map(int, filter(None, sizes))) != prod(on.shape):
        raise ModelError(f"{on.where} makes {list(on.call.shape)} of a batch of {describe(on.shape)}; keep the batch in front")
    return [Reshape(on.where, tuple(map(int, filter(None, sizes))))]


def _arithmetic(operation: str) -> Callable[[Operands], list[Step]]:
    def make(on: Operands) -> list[Step]:
        if on.get("alpha", 1) != 1 or on.get("rounding_mode") is not None:
            raise ModelError(f"{on.where} is more than a plain {operation}, which cannot be imported")
        first = not on.is_tip("self")
        constant = on.array("self" if first else "other")
        return [building.arithmetic(on.where, operation, constant, on.shape, constant_first=first)]

    return make


def _prelu(on: Operands) -> list[Step]:
    return [building.sloped(on.where, on.array("weight").astype(np.float64), on.shape)]


def _function(name: str, *parameters: tuple[str, float]) -> Callable[[Operands], list[Step]]:
    def make(on: Operands) -> list[Step]:
        return [building.function(on.where, name, *(float(on.get(key, default)) for key, default in parameters))]

    return make


def _gelu(on: Operands) -> list[Step]:
    return [building.function(on.where, "gelu_tanh" if on.get("approximate", "none") == "tanh" else "gelu")]


def _elu(on: Operands) -> list[Step]:
    """SELU is an ELU too, with a scale."""
    alpha, scale = float(on.get("alpha", 1)), float(on.get("scale", 1))
    if on.get("input_scale", 1) != 1:
        raise ModelError(f"{on.where} scales its input by {on.get('input_scale')}, which cannot be imported")
    return [building.function(on.where, "selu", alpha, scale) if scale != 1 else building.function(on.where, "elu", alpha)]


def _softplus(on: Operands) -> list[Step]:
    if on.get("beta", 1) != 1:
        raise ModelError(f"{on.where} has a beta of {on.get('beta')}; only 1 can be imported")
    return [building.function(on.where, "softplus")]


_IN_PLACE = ("relu", "leaky_relu", "relu6", "hardtanh", "clamp", "tanh", "silu", "hardswish", "hardsigmoid", "elu", "mish")
_RESHAPES = frozenset(
    f"aten.{name}" for name in ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "squeeze", "unsqueeze")
)
SAME = frozenset(
    f"aten.{name}" for name in ("alias", "clone", "contiguous", "detach", "detach_", "lift_fresh_copy", "to", "_to_copy")
)
"""What gives the same values, as constants or on their way."""

MAKERS: dict[str, Callable[[Operands], list[Step]]] = {
    "aten.linear": _linear,
    "aten.addmm": _product,
    "aten.mm": _product,
    "aten.matmul": _product,
    "aten.conv2d": _conv,
    "aten.convolution": _conv,
    "aten.constant_pad_nd": _pad,
    "aten.pad": _pad,
    "aten.max_pool2d": _max_pool,
    "aten.max_pool2d_with_indices": _max_pool,
    "aten.avg_pool2d": _avg_pool,
    "aten.adaptive_avg_pool2d": lambda on: [building.adaptive(on.where, on.shape, on.get("output_size"))],
    "aten._adaptive_avg_pool2d": lambda on: [building.adaptive(on.where, on.shape, on.get("output_size"))],
    "aten.mean": _mean,
    "aten.batch_norm": _batch_norm,
    "aten._native_batch_norm_legit_no_training": _batch_norm,
    "aten.relu": lambda on: [building.leaky(on.where, 0)],
    "aten.leaky_relu": lambda on: [building.sloped(on.where, np.asarray(float(on.get("negative_slope", 0.01))), on.shape)],
    "aten.tanh": _function("tanh"),
    "aten.sigmoid": _function("sigmoid"),
    "aten.silu": _function("silu", ("", 1)),
    "aten.hardswish": _function("hardswish"),
    "aten.hardsigmoid": _function("hardsigmoid", ("", 1 / 6), ("", 0.5)),
    "aten.gelu": _gelu,
    "aten.elu": _elu,
    "aten.selu": _function("selu", ("", 1.6732632423543772), ("", 1.0507009873554805)),
    "aten.celu": _function("celu", ("alpha", 1)),
    "aten.softplus": _softplus,
    "aten.mish": _function("mish"),
    "aten.erf": _function("erf"),
    "aten.prelu": _prelu,
    "aten._prelu_kernel": _prelu,
    "aten.relu6": lambda on: [building.leaky(on.where, 0), building.clamp(on.where, None, 6)],
    "aten.hardtanh": lambda on: [building.clamp(on.where, on.get("min_val", -1), on.get("max_val", 1))],
    "aten.clamp": lambda on: [building.clamp(on.where, on.get("min"), on.get("max"))],
    "aten.clamp_min": lambda on: [building.clamp(on.where, on.get("min"), None)],
    "aten.clamp_max": lambda on: [building.clamp(on.where, None, on.get("max"))],
    **{f"aten.{name}": _arithmetic(name) for name in ("add", "sub", "mul", "div")},
    **dict.fromkeys(_RESHAPES, _reshape),
}
MAKERS |= {f"aten.{name}_": MAKERS[f"aten.{name}"] for name in _IN_PLACE}


def _as_noted(on: Operands) -> Array:
    sizes = [size for size in on.call.shape if size is not None]
    return on.array("self").reshape(sizes)


CONSTANTS: dict[str, Callable[[Operands], Array]] = {
    "aten.t": lambda on: on.array("self").T,
    "aten.permute": lambda on: on.array("self").transpose(on.get("dims")),
    "aten.transpose": lambda on: on.array("self").swapaxes(on.get("dim0"), on.get("dim1")),
    **dict.fromkeys(_RESHAPES, _as_noted),
    **{name: lambda on: on.array("self") for name in SAME},
}
"""What exporters leave to be computed of weights."""
