"""Trains a module on the data of a run, whatever kind of network it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..network.inputformat import InputFormat
from ..quantize import floatfile
from .class_weights import class_weights
from .data import Data, Part
from .distributed import Team
from .loop import Course, fit
from .options import Options
from .teacher import Teacher
from .views import Views

_CPU = torch.device("cpu")
Shown = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def fitted(model: nn.Module, form: InputFormat, data: Data, options: Options, mine: Team, shown_as: Shown | None = None) -> int:
    """Trains ``model``, leaves it on the CPU, set to evaluate, and returns the number of epochs.

    ``shown_as`` makes of samples, uint8 [n, *shape], what a module takes that does not take the levels of values.
    """
    shape = data.training.samples.shape[1:]
    taught = options.teaching and floatfile.load(options.teaching.network)
    teacher = Teacher(taught, shape, len(data.names)).to(mine.device) if taught else None
    distortion = options.distortion if len(shape) > 1 else None
    views = Views(
        data.training,
        distortion,
        teacher,
        seed=options.seed,
        count=options.views,
        directory=options.cache,
        shown_as=shown_as,
    )
    weights = class_weights(options.class_weights, data.training.labels, data.names)
    given = None if weights is None else torch.from_numpy(weights)
    held_out = Part(shown_as(data.held_out.samples), data.held_out.labels) if shown_as else data.held_out
    labels = torch.from_numpy(data.training.labels)
    epochs = fit(model, Course(options, form, views, labels, held_out, mine, given))
    model.to(_CPU).eval()
    return epochs
