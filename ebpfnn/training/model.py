"""Makes a PyTorch module from an architecture string, or from the user's own file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch
from torch import nn

from ..errors import ModelError
from ..network.architecture import Step, parse
from ..network.layers import MaxPool, Shape, Window, image_shape
from .options import Options


def build(options: Options, shape: Shape, classes: int) -> nn.Module:
    """The module to train, initialized from the run's seed. It maps float32 [n, *module_shape] to logits [n, classes].

    Raises :class:`ModelError` if it does not fit ``shape`` and ``classes``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        model = from_file(options.module) if options.module else from_steps(parse(options.architecture, shape), shape, options)
    _check(model, shape, classes, options.module or options.architecture)
    return model


def from_steps(steps: Sequence[Step], shape: Shape, options: Options) -> nn.Sequential:
    """Adds a batch normalization after each convolution, and the activation after every layer with weights except the last."""
    shape, layers = module_shape(shape), list[nn.Module]()
    for number, step in enumerate(steps, 1):
        made, shape = _layer(step, shape, options.dropout)
        layers += made
        if step.kind in ("dense", "conv", "dw") and number < len(steps):
            layers.append(nn.ReLU() if options.slope == 0 else nn.LeakyReLU(options.slope))
    return nn.Sequential(*layers)


def module_shape(shape: Shape) -> Shape:
    """The input shape of a module for samples of ``shape``. Images get a channel axis, as PyTorch expects."""
    return (1, *shape) if len(shape) == 2 else shape


def from_file(text: str) -> nn.Module:
    """The module that the function in ``file.py:function`` returns. The file is the user's own code and is executed.

    Raises :class:`ModelError` if the file or function does not exist, the function fails, or it does not return a module.
    """
    name, _, function = text.partition(":")
    path = Path(name)
    spec = importlib.util.spec_from_file_location(f"_ebpfnn_module_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ModelError(f"module {text!r}: {name} is no Python file; give one as file.py:build")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look up their module here
    with _blaming(text), _importing_from(path.resolve().parent):
        spec.loader.exec_module(found)
    make = getattr(found, function or "build", None)
    if not callable(make):
        raise ModelError(f"module {text!r}: {name} has no function {function or 'build'!r}; give one that returns an nn.Module")
    with _blaming(text), _importing_from(path.resolve().parent):
        model = make()
    if not isinstance(model, nn.Module):
        raise ModelError(f"module {text!r}: the function returned {type(model).__name__}; return an nn.Module")
    return model


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Lets a file import from its directory, as when Python runs it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def _blaming(text: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # foreign code: the message names the file
        fact = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"module {text!r}: {fact}; mend it (ebpfnn --debug shows where)") from error


def _layer(step: Step, shape: Shape, dropout: float) -> tuple[list[nn.Module], Shape]:
    if step.kind == "dense":
        flat: list[nn.Module] = [nn.Flatten()] if len(shape) > 1 else []
        dropped: list[nn.Module] = [nn.Dropout(dropout)] if dropout else []
        return [*flat, *dropped, nn.Linear(prod(shape), step.channels)], (step.channels,)
    channels = image_shape(shape)[0]
    if step.window is None:  # the global average pool
        return [nn.AdaptiveAvgPool2d(1), nn.Flatten()], (channels,)
    size = MaxPool(step.window).output_shape(shape)[1:]
    if step.kind == "pool":
        return [nn.MaxPool2d(*_moves(step.window))], (channels, *size)
    if step.kind == "avgpool":
        return [nn.AvgPool2d(*_moves(step.window))], (channels, *size)
    outputs, groups = (channels, channels) if step.kind == "dw" else (step.channels, step.groups)
    if channels % groups or outputs % groups:
        raise ModelError(f"a convolution of {channels} to {outputs} channels does not split in {groups} groups; give a divisor")
    convolution = nn.Conv2d(channels, outputs, *_moves(step.window), groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)], (outputs, *size)


def _moves(window: Window) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride and padding, as PyTorch takes them."""
    return window.kernel, window.stride, window.padding[:2]


def _check(model: nn.Module, shape: Shape, classes: int, name: str) -> None:
    """Runs the module on two blank samples."""
    model.eval()
    try:
        with torch.no_grad():
            found = tuple(model(torch.zeros(2, *module_shape(shape))).shape)
    except Exception as error:  # foreign code, if the module is the user's
        fact = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"network {name!r} does not take samples of {list(shape)} ({fact}); give one that does") from error
    if found != (2, classes):
        raise ModelError(
            f"network {name!r} gives {list(found[1:])} scores, but there are {classes} classes; end it with {classes}"
        )
