"""Where a training run stands, in a file, so that an interrupted one can go on as if nothing had been."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import files
from ..errors import ModelError
from .options import Options

MAX_BYTES = 1 << 30


@dataclass
class Checkpoint:
    """After ``epoch`` epochs: the state of all that changes, and the best epoch's module by held-out samples.

    ``generator`` is of what orders samples, ``dropout`` of PyTorch's own, from which dropout draws.
    """

    epoch: int
    best: float
    best_state: dict[str, Any]
    model: dict[str, Any]
    optimizer: dict[str, Any]
    schedule: dict[str, Any]
    generator: torch.Tensor
    dropout: torch.Tensor


def path_of(options: Options) -> Path:
    """The checkpoint lies beside the network that the run will write."""
    return options.output.with_name(options.output.name + ".checkpoint")


def save(checkpoint: Checkpoint, options: Options) -> None:
    """Raises :class:`ModelError` where the file cannot be written; a former one then stays."""
    path, data = path_of(options), io.BytesIO()
    torch.save({**vars(checkpoint), "options": _described(options)}, data)
    try:
        files.replace(path, data.getvalue())
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror}); give an --output that you may write to") from error


def load(options: Options) -> Checkpoint:
    """The checkpoint of a run of the same ``options``.

    It is read without executing anything (torch.load, weights_only). Raises :class:`ModelError` where there is none, it is
    damaged, or it belongs to another run.
    """
    path = path_of(options)
    remedy = "train without --resume"
    data = files.read(path, MAX_BYTES, remedy)
    try:
        found = dict(torch.load(io.BytesIO(data), weights_only=True, map_location="cpu"))
        same = found.pop("options") == _described(options)
        checkpoint = Checkpoint(**found)
    except (RuntimeError, pickle.UnpicklingError, TypeError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"{path}: not a checkpoint, or damaged; {remedy}") from error
    if not same:
        raise ModelError(f"{path}: belongs to a run of other options; give the same ones, or {remedy}")
    return checkpoint


def _described(options: Options) -> str:
    return repr(replace(options, resume=False, device="", cache=None, data=None))
