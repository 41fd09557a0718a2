"""The training loop: a multilayer perceptron in PyTorch, the best epoch by held-out images, then integers."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from .. import modelfile, reference
from ..errors import InputError, ModelError
from ..network import FloatDense, Network, QuantizedNetwork
from ..quantization import quantize
from .augment import augment
from .data import Part, load
from .options import Options

HELD_OUT = 5_000
"""Training images that choose the best epoch; a twelfth of the images where there are fewer than MNIST's 60,000."""
CALIBRATION = 2_000


def run(options: Options) -> Path:
    """Trains, quantizes, measures and saves; see :func:`ebpfnn.training.train`."""
    widths = options.widths
    training, test = load(options.data)
    _check(widths, training, test)
    generator = torch.Generator().manual_seed(options.seed)
    order = torch.randperm(len(training.images), generator=generator).numpy()
    kept = order[min(HELD_OUT, max(1, len(order) // 12)) :]
    held_out = order[: len(order) - len(kept)]
    model = build(widths, options.slope, options.seed)
    fit(model, _subset(training, kept), _subset(training, held_out), options, generator)
    network = to_network(model, options, training.images.shape[1:])
    integers = quantize(network, training.images[kept[:CALIBRATION]])
    card = describe(options, float(_accuracy(model, test)), accuracy(integers, test))
    modelfile.save(replace(integers, card=card), options.output)
    return options.output


def build(widths: tuple[int, ...], slope: float, seed: int) -> nn.Sequential:
    """A perceptron with LeakyReLU (ReLU for ``slope`` 0) between its layers, initialized from ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(slope)]
    return nn.Sequential(*layers[:-1])


def fit(model: nn.Module, training: Part, held_out: Part, options: Options, generator: torch.Generator) -> None:
    """Trains ``model`` and leaves it as it was after its best epoch; Ctrl-C ends early, once there is one."""
    images, labels = _tensors(training)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.learning_rate)
    steps = options.epochs * math.ceil(len(images) / options.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    best, best_state = -1.0, copy.deepcopy(model.state_dict())
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("epoch", total=options.epochs)
        try:
            for _ in range(options.epochs):
                _epoch(model, images, labels, optimizer, schedule, options.batch_size, generator)
                found = _accuracy(model, held_out)
                if found >= best:
                    best, best_state = found, copy.deepcopy(model.state_dict())
                progress.update(task, advance=1, description=f"held-out accuracy {found:.2%}, best {best:.2%}")
        except KeyboardInterrupt:
            if best < 0:
                raise
    model.load_state_dict(best_state)


def _epoch(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    batch_size: int,
    generator: torch.Generator,
) -> None:
    model.train()
    order = torch.randperm(len(images), generator=generator)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        distorted = augment(images[batch].float() / 255, generator)
        loss = nn.functional.cross_entropy(model(distorted.flatten(1)), labels[batch])
        optimizer.zero_grad()
        torch.autograd.backward([loss])
        optimizer.step()
        schedule.step()


def to_network(model: nn.Sequential, options: Options, shape: tuple[int, ...]) -> Network:
    """The float network that ``model`` is, over samples of ``shape``."""
    linear = [module for module in model if isinstance(module, nn.Linear)]
    slopes = [options.slope] * (len(linear) - 1) + [1.0]
    layers = tuple(
        FloatDense(module.weight.detach().numpy(), module.bias.detach().numpy(), slope)
        for module, slope in zip(linear, slopes, strict=True)
    )
    return Network(options.name, shape, tuple(map(str, range(linear[-1].out_features))), layers)


def accuracy(network: QuantizedNetwork, part: Part) -> float:
    """The share of ``part`` that the integer network labels rightly, 0..1."""
    return float((reference.labels(network, part.images) == part.labels).mean())


def describe(options: Options, float_accuracy: float, integer_accuracy: float) -> Mapping[str, str]:
    """The card: where a network came from, without dates and paths, so that one recipe makes one file."""
    recipe = f"Adam {options.learning_rate:g} with cosine decay, {options.epochs} epochs, batches of {options.batch_size}"
    return {
        "data": "MNIST (LeCun, Cortes, Burges), CC BY-SA 3.0",
        "architecture": f"{options.architecture}, LeakyReLU slope {options.slope:g}",
        "recipe": f"{recipe}, small affine distortions, best epoch by held-out training images, seed {options.seed}",
        "float accuracy": f"{float_accuracy:.2%} of the test images",
        "integer accuracy": f"{integer_accuracy:.2%} of the test images",
    }


def _check(widths: tuple[int, ...], training: Part, test: Part) -> None:
    pixels, classes = int(np.prod(training.images.shape[1:])), int(max(training.labels.max(), test.labels.max())) + 1
    if test.images.shape[1:] != training.images.shape[1:] or len(training.images) < 2:
        raise InputError("data: training and test images differ in size, or there are none; give MNIST's four idx files")
    if widths[0] != pixels or widths[-1] < classes:
        needs = f"an image has {pixels} pixels and there are {classes} classes"
        raise ModelError(f"architecture {'-'.join(map(str, widths))}: {needs}; give {pixels}-...-{classes}")


def _subset(part: Part, indices: NDArray[np.int64]) -> Part:
    return Part(part.images[indices], part.labels[indices])


def _tensors(part: Part) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(part.images.copy()), torch.from_numpy(part.labels.astype(np.int64))


@torch.no_grad()
def _accuracy(model: nn.Module, part: Part) -> float:
    images, labels = _tensors(part)
    model.eval()
    return float((model(images.flatten(1).float() / 255).argmax(dim=1) == labels).float().mean())
