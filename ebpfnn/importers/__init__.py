"""Models from elsewhere: PyTorch modules, exported programs, state dicts, ONNX files.

Nothing here executes what it reads. onnx is imported when a file needs it, PyTorch for modules alone.
"""

from __future__ import annotations

from .ensembles import Ensemble
from .exported import from_exported, from_module
from .loading import SUFFIXES, load, load_float, quantize_file, read
from .options import ImportOptions

__all__ = [
    "SUFFIXES",
    "Ensemble",
    "ImportOptions",
    "from_exported",
    "from_module",
    "load",
    "load_float",
    "quantize_file",
    "read",
]
