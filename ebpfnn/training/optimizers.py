"""Optimizers and schedules by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, OneCycleLR

from .options import Options

OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("cosine", "onecycle", "constant")
_WARM_UP = 0.1
"""The share of a one-cycle run in which the learning rate rises."""


def optimizer(parameters: Iterable[nn.Parameter] | list[dict[str, Any]], options: Options) -> Optimizer:
    """The optimizer of ``options``. Groups of parameters may have their own weight decay. SGD has Nesterov momentum of 0.9."""
    rate, decay = options.learning_rate, options.weight_decay
    if options.optimizer == "sgd":
        return SGD(parameters, rate, momentum=0.9, weight_decay=decay, nesterov=True)
    return (AdamW if options.optimizer == "adamw" else Adam)(parameters, rate, weight_decay=decay, fused=True)


def schedule(moved: Optimizer, options: Options, steps: int) -> LRScheduler:
    """The schedule of the learning rate over ``steps`` batches."""
    if options.schedule == "onecycle":
        # PyTorch divides by the number of warm-up steps minus one, which is 0 if there are 10 steps.
        return OneCycleLR(moved, options.learning_rate, total_steps=steps, pct_start=_WARM_UP if steps != 10 else 0.3)
    if options.schedule == "constant":
        return ConstantLR(moved, 1.0)
    return CosineAnnealingLR(moved, steps)
