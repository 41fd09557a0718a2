"""Training a network in PyTorch: the only room, beside the importers, that knows torch, and only once it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import NotSupported
from ..plugin import Plugins
from .options import DATASETS, INTERRUPTED, Distortion, Options, Precision, Teaching

__all__ = ["DATASETS", "INTERRUPTED", "Distortion", "Options", "Precision", "Teaching", "train"]


def train(options: Options, plugins: Plugins | None = None, tell: Callable[[str], object] = str) -> Path:
    """Trains a network, quantizes it, measures both forms on the test samples and writes both; ``options.output`` is returned.

    Samples are prepared by the kinds of ``plugins``, the installed ones for None. ``tell`` is called with what was decided by
    the data, such as which column has the labels.

    Raises :class:`NotSupported` without PyTorch (or torchvision, to download), :class:`~ebpfnn.errors.InputError` for data
    that is absent or corrupt, and :class:`~ebpfnn.errors.ModelError` for an architecture that does not fit the data, a
    network that cannot be quantized, or a file that cannot be written.
    """
    try:
        from . import run
    except ImportError as error:
        raise NotSupported(f"training: {error.name} is not installed; pip install 'ebpfnn[train]'") from error
    return run.run(options, plugins or Plugins.installed(), tell)
