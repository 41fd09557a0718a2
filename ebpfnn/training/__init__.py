"""Trains a network in PyTorch. Besides the importers, this is the only package that uses torch, and it imports it on use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import NotSupported
from ..plugin import Plugins
from .options import DATASETS, INTERRUPTED, Distortion, Options, Precision, Teaching

__all__ = ["DATASETS", "INTERRUPTED", "Distortion", "Options", "Precision", "Teaching", "train"]


def train(options: Options, plugins: Plugins | None = None, tell: Callable[[str], object] = str) -> Path:
    """Trains a network, quantizes it, measures both forms on the test samples, writes both, and returns ``options.output``.

    Samples are prepared by the kinds of ``plugins``; None stands for the installed ones. ``tell`` is called with the choices
    that were made from the data, such as the column of labels.

    Raises :class:`NotSupported` without PyTorch (or torchvision, to download), :class:`~ebpfnn.errors.InputError` for data that
    is absent or corrupt, and :class:`~ebpfnn.errors.ModelError` for an architecture that does not fit the data, a network that
    cannot be quantized, or a file that cannot be written.
    """
    try:
        from . import run
    except ImportError as error:
        raise NotSupported(f"training: {error.name} is not installed; pip install 'ebpfnn[train]'") from error
    return run.run(options, plugins or Plugins.installed(), tell)
