"""What each of PyTorch's ATen operators is as a step.

aten/src/ATen/native/native_functions.yaml of PyTorch 2.4 to 2.14 names their arguments. They come before torch.export's
decompositions (``conv2d``) or after them (``convolution``); both are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network.layers import Shape
from . import building
from .layout import over_rows_and_columns, placed
from .program import Call, Ref
from .steps import Conv, Linear, Pad, Step
from .values import Like

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
    spatial: tuple[int, ...] = (1, 2)
    """The axes of ``shape`` that the graph's are, behind its channels."""
    like: Like = np.asarray
    """Brings constants that go with the graph's values to how these lie."""

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

    def pair(self, name: str, otherwise: int, value: Any = None) -> tuple[int, int]:
        """Numbers for rows and columns, given as one, one an axis or none; ``otherwise`` for none, and for an axis that lacks.

        ``value`` is what the argument is taken for, if it is given.
        """
        value = self.get(name) if value is None else value
        if value in (None, []):
            value = otherwise
        each = [value] if isinstance(value, int) else [*value]
        each = each * (len(self.spatial) if len(each) == 1 else 1)
        return placed(self.where, self.spatial, each, otherwise)

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
    weights, padding = on.array("weight").astype(np.float64), on.get("padding", 0)
    if weights.ndim != len(on.spatial) + 2 or on.get("transposed", False):
        fact = f"has weights {list(weights.shape)} for values of {len(on.spatial)} axes behind the channels"
        raise ModelError(f"{on.where} {fact}; only Conv1d and Conv2d can be imported")
    weights = building.dilated(on.where, over_rows_and_columns(weights, on.spatial), on.pair("dilation", 1))
    kernel, stride = weights.shape[2:], on.pair("stride", 1)
    edges: tuple[int, ...] = (0, 0)
    if padding == "same":  # PyTorch pads the end by one more where the sum is odd
        edges = (*((size - 1) // 2 for size in kernel), *(size // 2 for size in kernel))
    elif padding != "valid":
        edges = on.pair("padding", 0)
    over = building.window(on.where, kernel, stride, edges, (1, 1))
    bias = on.optional("bias", 0, len(weights)).astype(np.float64)
    return [Conv(on.where, weights, bias, over, int(on.get("groups", 1)))]


def _pad(on: Operands) -> list[Step]:
    """The schema counts from the last axis: left, right, top, bottom."""
    edges = [*on.get("pad", ())]
    plain = on.get("value") in {None, 0} and on.get("mode", "constant") == "constant" and len(edges) % 2 == 0
    count = 2 * len(on.spatial)
    if not plain or any(edges[count:]):
        raise ModelError(f"{on.where} pads by other than an edge of 0 around images, which cannot be imported")
    edges = [*edges, *[0] * count][:count]
    (top, left), (bottom, right) = (on.pair("pad", 0, [*reversed(edges[first::2])]) for first in (0, 1))
    return [Pad(on.where, (top, left, bottom, right))]


def _max_pool(on: Operands) -> list[Step]:
    return _pool(on, largest=True)


def _avg_pool(on: Operands) -> list[Step]:
    if on.get("divisor_override") is not None:
        raise ModelError(f"{on.where} overrides its divisor, which cannot be imported")
    return _pool(on, largest=False)


def _pool(on: Operands, *, largest: bool) -> list[Step]:
    kernel = on.pair("kernel_size", 1)
    stride = on.pair("stride", 1) if on.get("stride") else kernel
    over = building.window(on.where, kernel, stride, on.pair("padding", 0), on.pair("dilation", 1))
    rounds_up, counts_edge = on.get("ceil_mode", False), on.get("count_include_pad", True)
    return [building.pool(on.where, over, on.shape, largest=largest, rounds_up=rounds_up, counts_edge=counts_edge)]


def _adaptive(largest: bool) -> Callable[[Operands], list[Step]]:
    def make(on: Operands) -> list[Step]:
        given = on.get("output_size")
        size = on.pair("output_size", 1, given if isinstance(given, int) else [each or 0 for each in given])
        return [replace(building.adaptive(on.where, on.shape, size), largest=largest)]

    return make


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
    parameters = [on.like(each) for each in parameters]
    return [building.normalization(on.where, parameters, float(on.get("eps", 1e-5)), on.shape)]


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
RESHAPES = frozenset(
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
    "aten.conv1d": _conv,
    "aten.conv2d": _conv,
    "aten.convolution": _conv,
    "aten.constant_pad_nd": _pad,
    "aten.pad": _pad,
    "aten.max_pool1d": _max_pool,
    "aten.max_pool2d": _max_pool,
    "aten.max_pool2d_with_indices": _max_pool,
    "aten.avg_pool1d": _avg_pool,
    "aten.avg_pool2d": _avg_pool,
    "aten.adaptive_avg_pool1d": _adaptive(largest=False),
    "aten.adaptive_avg_pool2d": _adaptive(largest=False),
    "aten._adaptive_avg_pool2d": _adaptive(largest=False),
    "aten.adaptive_max_pool1d": _adaptive(largest=True),
    "aten.adaptive_max_pool2d": _adaptive(largest=True),
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
    "aten.abs": _function("abs"),
    "aten.exp": _function("exp"),
    "aten.prelu": _prelu,
    "aten._prelu_kernel": _prelu,
    "aten.relu6": lambda on: [building.leaky(on.where, 0), building.clamp(on.where, None, 6)],
    "aten.hardtanh": lambda on: [building.clamp(on.where, on.get("min_val", -1), on.get("max_val", 1))],
    "aten.clamp": lambda on: [building.clamp(on.where, on.get("min"), on.get("max"))],
    "aten.clamp_min": lambda on: [building.clamp(on.where, on.get("min"), None)],
    "aten.clamp_max": lambda on: [building.clamp(on.where, None, on.get("max"))],
}
MAKERS |= {f"aten.{name}_": MAKERS[f"aten.{name}"] for name in _IN_PLACE}


def _as_noted(on: Operands) -> Array:
    sizes = [size for size in on.call.shape if size is not None]
    return on.array("self").reshape(sizes)


CONSTANTS: dict[str, Callable[[Operands], Array]] = {
    "aten.t": lambda on: on.array("self").T,
    "aten.permute": lambda on: on.array("self").transpose(on.get("dims")),
    "aten.transpose": lambda on: on.array("self").swapaxes(on.get("dim0"), on.get("dim1")),
    **dict.fromkeys(RESHAPES, _as_noted),
    **{name: lambda on: on.array("self") for name in SAME},
}
"""What exporters leave to be computed of weights."""
