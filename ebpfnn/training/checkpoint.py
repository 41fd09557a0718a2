"""Stores the state of a training run in a file, so that an interrupted run resumes as if it had not been interrupted."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import torch

from .. import files
from ..errors import ModelError
from ..importers.torch_pickle import Odd, Tensor
from ..importers.torch_zip import Saved
from ..network.layers import expect
from .options import Options

MAX_BYTES = 1 << 30
REMEDY = "train without --resume"
NOTHING_YET = -1.0
"""The best accuracy before the first epoch has ended, below every real accuracy."""


@dataclass
class Checkpoint:
    """The state after ``epoch`` epochs: all that changes, and the module of the epoch that was best on held-out samples.

    ``generator`` is the state of the generator that orders samples, ``dropout`` that of PyTorch's own, which dropout uses.
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
    """The path of the checkpoint, beside the network that the run will write."""
    return options.output.with_name(options.output.name + ".checkpoint")


def save(checkpoint: Checkpoint, options: Options, data: str) -> None:
    """Writes the checkpoint. ``data`` is a digest of the data that the run learns from.

    Raises :class:`ModelError` if the file cannot be written. An older file then stays.
    """
    path, file = path_of(options), io.BytesIO()
    torch.save({**vars(checkpoint), "options": _described(options), "data": data}, file)
    try:
        files.replace(path, file.getvalue())
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror}); give an --output that you may write to") from error


def load(options: Options, data: str) -> Checkpoint:
    """The checkpoint of a run with the same ``options`` on the same ``data``.

    Nothing in it is executed: see :mod:`ebpfnn.importers.torch_pickle`. Raises :class:`ModelError` if it does not exist, is
    damaged, or belongs to another run.
    """
    path = path_of(options)
    file = files.read(path, MAX_BYTES, REMEDY)
    try:
        found = _tensors(Saved(file, MAX_BYTES, REMEDY))
        of_options, of_data = found.pop("options"), found.pop("data")
        checkpoint = Checkpoint(**found)
        fits = _fits(checkpoint)
    except (ModelError, TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: not a checkpoint, or damaged; {REMEDY}") from error
    expect(fits, f"{path}: not a checkpoint, or damaged; {REMEDY}")
    expect(of_options == _described(options), f"{path}: belongs to a run of other options; give the same ones, or {REMEDY}")
    expect(of_data == data, f"{path}: belongs to a run on other data; give the same, or {REMEDY}")
    expect(checkpoint.epoch <= options.epochs, f"{path}: is after {checkpoint.epoch} of {options.epochs} epochs; {REMEDY}")
    return checkpoint


def _tensors(saved: Saved) -> dict[str, Any]:
    """The saved value, with its tensors as PyTorch tensors."""
    done: dict[int, Any] = {}  # a value that occurs many times is converted once, however deeply it is nested

    def made(value: Any) -> Any:
        if id(value) not in done:
            done[id(value)] = _made(value)
        return done[id(value)]

    def _made(value: Any) -> Any:
        if isinstance(value, Tensor):
            return _tensor(saved, value)
        if isinstance(value, dict):
            return {key: made(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(made(each) for each in value)
        expect(not isinstance(value, Odd), "holds a tensor of a kind that no run has")
        return value

    found = made(saved.value)
    expect(isinstance(found, dict), "holds no fields")
    return dict(found)


def _tensor(saved: Saved, described: Tensor) -> torch.Tensor:
    """A tensor with its saved strides. Refuses one that declares more than it holds, which no run saves."""
    array = saved.array(described, "a tensor")
    expect(prod(described.sizes) <= described.held, "a tensor that repeats itself")
    array = array.astype(array.dtype.newbyteorder("="), order="K")
    return torch.from_numpy(array).view(getattr(torch, described.dtype))


def _fits(checkpoint: Checkpoint) -> bool:
    """Whether its fields have the right types. The loop checks the content of the dicts."""
    states = (checkpoint.best_state, checkpoint.model, checkpoint.optimizer, checkpoint.schedule)
    generators = (checkpoint.generator, checkpoint.dropout)
    return (
        type(checkpoint.epoch) is int
        and checkpoint.epoch >= 0
        and type(checkpoint.best) is float
        and (0 <= checkpoint.best <= 1 or (checkpoint.epoch == 0 and checkpoint.best == NOTHING_YET))
        and all(isinstance(state, dict) for state in states)
        and all(isinstance(each, torch.Tensor) and each.dtype == torch.uint8 for each in generators)
    )


def _described(options: Options) -> str:
    return repr(replace(options, resume=False, device="", cache=None, data=None))
