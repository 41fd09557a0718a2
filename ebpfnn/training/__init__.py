"""Trains a network in PyTorch, or trees in scikit-learn. Both are imported on use, and neither needs the other.

Besides the importers, this is the only package that uses torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import NotSupported
from ..plugin import Plugins
from .options import DATASETS, INTERRUPTED, Distortion, Options, Precision, Teaching, is_trees

__all__ = ["DATASETS", "INTERRUPTED", "Distortion", "Options", "Precision", "Teaching", "train"]


def train(options: Options, plugins: Plugins | None = None, tell: Callable[[str], object] = str) -> Path:
    """Trains a network, quantizes it, measures both forms on the test samples, writes both, and returns ``options.output``.

    Trees, such as the architecture ``tree:8``, are trained likewise; only their integers are written.

    Samples are prepared by the kinds of ``plugins``; None stands for the installed ones. ``tell`` is called with the choices
    that were made from the data, such as the column of labels.

    Raises :class:`NotSupported` without PyTorch (of trees, without scikit-learn; or torchvision, to download),
    :class:`~ebpfnn.errors.InputError` for data that is absent or corrupt, and :class:`~ebpfnn.errors.ModelError` for an
    architecture that does not fit the data, a network that cannot be quantized, or a file that cannot be written.
    """
    plugins = plugins or Plugins.installed()
    if is_trees(options.architecture):
        from . import treerun

        return treerun.run(options, plugins, tell)
    try:
        from . import run
    except ImportError as error:
        raise NotSupported(f"training: {error.name} is not installed; pip install 'ebpfnn[train]'") from error
    return run.run(options, plugins, tell)
