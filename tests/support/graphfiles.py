"""The files of tests/data/graphs, which ``make.py`` there had exporters write, and what PyTorch or onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILES = Path(__file__).parents[1] / "data" / "graphs"
FLOATS = ("residual", "joined", "functions", "lines")
QUANTIZED = ("signed", "unsigned", "pairs", "aware")


def samples(name: str) -> np.ndarray:
    with np.load(FILES / "wanted.npz") as held:
        found: np.ndarray = held["line" if name == "lines" else "image"]
    return found


def wanted(name: str) -> np.ndarray:
    """The outputs of ``name``.onnx or .pt2 for :func:`samples`."""
    with np.load(FILES / "wanted.npz") as held:
        found: np.ndarray = held[name]
    return found
