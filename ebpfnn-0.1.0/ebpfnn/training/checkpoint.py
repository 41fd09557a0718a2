"""Where a training run stands, in a file, so that an interrupted one can go on as if nothing had been."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import files
from ..errors import ModelError, NotSupported
from .options import Options

MAX_BYTES = 1 << 30
REMEDY = "train without --resume"
_SAFE = "2.6"
"""Before this PyTorch, a file could execute code although only weights were asked for (CVE-2025-32434)."""


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


def save(checkpoint: Checkpoint, options: Options, data: str) -> None:
    """``data`` is a digest of what the run learns from.

    Raises :class:`ModelError` where the file cannot be written; a former one then stays.
    """
    path, file = path_of(options), io.BytesIO()
    torch.save({**vars(checkpoint), "options": _described(options), "data": data}, file)
    try:
        files.replace(path, file.getvalue())
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror}); give an --output that you may write to") from error


def load(options: Options, data: str) -> Checkpoint:
    """The checkpoint of a run of the same ``options`` on the same ``data``.

    It is read without executing anything (torch.load, weights_only). Raises :class:`ModelError` where there is none, it is
    damaged, or it belongs to another run, and :class:`NotSupported` for a PyTorch that would execute some files.
    """
    path = path_of(options)
    if torch.__version__ < _SAFE:
        raise NotSupported(f"PyTorch {torch.__version__}: may execute a checkpoint; install 2.6 or later, or {REMEDY}")
    file = files.read(path, MAX_BYTES, REMEDY)
    try:
        found = dict(torch.load(io.BytesIO(file), weights_only=True, map_location="cpu"))
        of_options, of_data = found.pop("options"), found.pop("data")
        checkpoint = Checkpoint(**found)
    except (RuntimeError, pickle.UnpicklingError, TypeError, ValueError, KeyError, EOFError) as error:
        raise ModelError(f"{path}: not a checkpoint, or damaged; {REMEDY}") from error
    if of_options != _described(options):
        raise ModelError(f"{path}: belongs to a run of other options; give the same ones, or {REMEDY}")
    if of_data != data:
        raise ModelError(f"{path}: belongs to a run on other data; give the same, or {REMEDY}")
    return checkpoint


def _described(options: Options) -> str:
    return repr(replace(options, resume=False, device="", cache=None, data=None))
