"""A state dict, which holds tensors by name and no graph, as the layers of an architecture.

Tensors are taken in the order of the file, by kind and shape: weights for each layer that has some, the bias beside them, and
a batch normalization for the layer before it, in front of that layer's activation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..network import architecture
from ..network.architecture import Step as Word
from ..network.layers import Shape, Window, describe, image_shape
from . import building
from .steps import Chain, Conv, Linear, Pool, Reshape, Step

Tensors = Mapping[str, NDArray[Any]]
EPSILON = 1e-5
"""PyTorch's default for a batch normalization, which a state dict does not hold."""
_WEIGHTED = frozenset({"weight", "bias"})
_NORMALIZING = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})


@dataclass
class _Module:
    """The tensors of one module: those whose keys share all but the last word. ``norm`` is what normalizes its outputs."""

    prefix: str
    tensors: dict[str, NDArray[Any]] = field(default_factory=dict)
    norm: _Module | None = None

    @property
    def normalizes(self) -> bool:
        return {"running_mean", "running_var"} <= set(self.tensors) <= _NORMALIZING

    @property
    def told(self) -> str:
        """A key and its shape, for people."""
        name = "weight" if "weight" in self.tensors else next(iter(self.tensors))
        return f"{self.key(name)!r}, {describe(self.tensors[name].shape) or 'a number'}"

    def key(self, name: str) -> str:
        return f"{self.prefix}.{name}" if self.prefix else name


def to_chain(tensors: Tensors, text: str, shape: Shape, slope: float) -> Chain:
    """The chain of the architecture ``text`` for samples of ``shape``, with weights from ``tensors``.

    An activation of ``slope`` follows each layer with weights but a last one. Raises :class:`ModelError`, naming the key,
    where the tensors are not those of the architecture.
    """
    words = architecture.parse(text, shape)
    if architecture.has_tables(text):
        fact = f"architecture {text!r}: tables are learned as they are, and not made of weights"
        raise ModelError(f"{fact}; train them with `ebpfnn train --arch {text}`, or give dense layers")
    chain = Chain(shape if words[0].kind == "dense" else image_shape(shape))
    modules = list(_modules(tensors))
    found = [_next(each, modules, text) for each in _weights(words, chain.shape)]
    _normalize(modules, found, text)
    left = iter(found)
    for number, word in enumerate(words, 1):
        where = f"layer {number} of {text},"
        if word.kind not in ("dense", "conv", "dw"):
            chain.append(_pool(word, where, chain.shape))
            continue
        for step in _weighted(word, where, next(left), chain.shape):
            chain.append(step)
        if number < len(words):
            chain.append(building.leaky(where, slope))
    return chain


def _modules(tensors: Tensors) -> Iterable[_Module]:
    modules: dict[str, _Module] = {}
    for key, tensor in tensors.items():
        prefix, _, name = key.rpartition(".")
        modules.setdefault(prefix, _Module(prefix)).tensors[name] = tensor
    return modules.values()


def _weights(words: Iterable[Word], shape: Shape) -> Iterator[Shape]:
    """The shapes of the weights that an architecture has, for samples of ``shape``."""
    for word in words:
        if word.kind == "dense":
            yield word.channels, prod(shape)
            shape = (word.channels,)
            continue
        channels, rows, columns = image_shape(shape)
        if word.kind == "gap":
            shape = (channels,)
        elif word.window is not None:
            if word.kind in ("conv", "dw"):
                groups = channels if word.kind == "dw" else word.groups
                inputs, channels = channels, word.channels or channels
                yield channels, inputs // groups, *word.window.kernel
            shape = (channels, *word.window.output_size((rows, columns)))


def _next(wanted: Shape, modules: list[_Module], text: str) -> _Module:
    """The first of ``modules`` whose weights are of the shape ``wanted``; it is taken out of them."""
    for module in modules:
        fits = set(module.tensors) <= _WEIGHTED and module.tensors.get("weight", np.empty(0)).shape == wanted
        if fits and module.tensors.get("bias", np.empty(wanted[0])).shape == wanted[:1]:
            module.norm = None
            modules[modules.index(module)] = _Module(module.prefix)  # keeps its place, for what normalizes it
            return module
    unused = (each.told for each in sorted(modules, key=lambda each: each.normalizes) if each.tensors)
    fact = f"no weights of {describe(wanted)} are left, which architecture {text} wants; left: {next(unused, 'nothing')}"
    raise ModelError(f"{fact}; give the architecture that the network was trained with")


def _normalize(modules: list[_Module], found: list[_Module], text: str) -> None:
    """Gives each batch normalization to the layer right before it; where the file is not so ordered, to the first it fits."""
    layers = {module.prefix: module for module in found}
    before = dict(zip((each.prefix for each in modules[1:]), (layers.get(each.prefix) for each in modules), strict=False))
    left = [module for module in modules if module.tensors]
    in_order = all(before.get(each.prefix) for each in left if each.normalizes)
    for module in left:
        size = module.tensors["running_mean"].size if module.normalizes else None
        nearest = before.get(module.prefix) if in_order else None
        fits = (each for each in ([nearest] if nearest else found) if not each.norm and len(each.tensors["weight"]) == size)
        layer = next(fits, None)
        if layer is None:
            fact = f"key {module.told}, fits no layer of architecture {text}"
            raise ModelError(f"{fact}; give the architecture that the network was trained with")
        layer.norm = module


def _weighted(word: Word, where: str, module: _Module, shape: Shape) -> Iterator[Step]:
    where = f"{where} {module.key('weight')!r},"
    weights = module.tensors["weight"].astype(np.float64)
    bias = module.tensors.get("bias", np.zeros(len(weights))).astype(np.float64)
    if word.kind == "dense":
        if len(shape) > 1:
            yield Reshape(where, (prod(shape),))
        yield Linear(where, weights, bias)
        shape = (len(weights),)
    else:
        groups = shape[0] if word.kind == "dw" else word.groups
        conv = Conv(where, weights, bias, word.window or Window((1, 1)), groups)
        shape = conv.output_shape(shape)
        yield conv
    if module.norm:
        held, size = module.norm.tensors, len(weights)
        learned = [held.get("weight", np.ones(size)), held.get("bias", np.zeros(size))]
        yield building.normalization(where, [*learned, held["running_mean"], held["running_var"]], EPSILON, shape)


def _pool(word: Word, where: str, shape: Shape) -> Pool:
    if word.window is None:
        return building.average_all(where, shape)
    return Pool(where, word.window, largest=word.kind == "pool")
