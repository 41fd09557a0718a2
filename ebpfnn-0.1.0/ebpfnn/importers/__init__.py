"""Networks from elsewhere: PyTorch modules, exported programs, state dicts, ONNX files.

Nothing here executes what it reads. PyTorch and onnx are imported when a file needs them.
"""

from __future__ import annotations

from .exported import from_exported, from_module
from .loading import SUFFIXES, load, load_float, quantize_file
from .options import ImportOptions

__all__ = ["SUFFIXES", "ImportOptions", "from_exported", "from_module", "load", "load_float", "quantize_file"]
