"""Training a network in PyTorch: the only room that knows torch, and only once it is called."""

from __future__ import annotations

from pathlib import Path

from ..errors import NotSupported
from .options import Options

__all__ = ["Options", "train"]


def train(options: Options) -> Path:
    """Trains a perceptron on MNIST, quantizes it, measures both on the test images and writes ``options.output``.

    Raises :class:`NotSupported` without PyTorch (or torchvision, to download), :class:`~ebpfnn.errors.InputError` for data
    that is absent or corrupt, and :class:`~ebpfnn.errors.ModelError` for an architecture that does not fit the data or a
    file that cannot be written.
    """
    try:
        from . import loop
    except ImportError as error:
        raise NotSupported(f"training: {error.name} is not installed; pip install 'ebpfnn[train]'") from error
    return loop.run(options)
