"""What exporters write today, made here: the table *Which exporter writes what* of docs/import.md, row by row."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ebpfnn import importers
from ebpfnn.network import reference
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def _image(*middle: Any, size: int = 108) -> Any:
    from torch import nn

    return nn.Sequential(nn.Conv2d(3, 12, 3, 2, 1), *middle, nn.Conv2d(12, 12, 3), nn.Flatten(), nn.Linear(size, 5))


def _lines() -> Any:
    from torch import nn

    line = nn.Sequential(nn.Conv1d(4, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 2))
    return nn.Sequential(*line, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 5))


def _rows() -> Any:
    from torch import nn

    return nn.Sequential(nn.Linear(16, 24), nn.BatchNorm1d(24), nn.ELU(), nn.Dropout(), nn.Linear(24, 5), nn.Softmax(1))


def _steps() -> Any:
    from torch import nn

    line = nn.Sequential(
        nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Conv1d(8, 8, 3, dilation=2, padding="same")
    )
    return nn.Sequential(*line, nn.Tanh(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(8, 5))


def _two_lines() -> Any:
    from torch import nn

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Conv1d(4, 8, 3, padding=1), nn.Conv1d(4, 8, 1)
            self.end = nn.Linear(96, 5)

        def forward(self, x: Any) -> Any:
            return self.end(torch.flatten(self.one(x).relu() + self.other(x), 1))

    return Both()


ROWS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Conv2d, BatchNorm2d, ReLU6": (lambda: _image(torch.nn.BatchNorm2d(12), torch.nn.ReLU6()), (3, 10, 10)),
    "SiLU": (lambda: _image(torch.nn.SiLU()), (3, 10, 10)),
    "GELU": (lambda: _image(torch.nn.GELU()), (3, 10, 10)),
    "Hardswish": (lambda: _image(torch.nn.Hardswish()), (3, 10, 10)),
    "Mish": (lambda: _image(torch.nn.Mish()), (3, 10, 10)),
    "PReLU": (lambda: _image(torch.nn.PReLU(12)), (3, 10, 10)),
    "Conv1d": (_lines, (4, 12)),
    "Conv1d twice, added": (_two_lines, (4, 12)),
    "Conv1d, dilated": (_steps, (4, 12)),
    "Linear, ELU, Softmax": (_rows, (16,)),
}


def test_what_pytorch_writes_if_nothing_optimizes_it(tmp_path: Path) -> None:
    """It makes a bias of 0 as Expand of a CastLike of values."""
    pytest.importorskip("onnxscript")
    from torch import nn

    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.GELU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    given = torch.rand(20, 1, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (given[:1],), str(tmp_path / "net.onnx"), dynamo=True, optimize=False, verbose=False)
    samples = np.random.default_rng(1).integers(0, 256, (20, 8, 8)).astype(np.uint8)
    with torch.no_grad():
        wanted = module(torch.from_numpy(samples[:, None].astype(np.float32) / 255)).numpy()
    np.testing.assert_allclose(logits(importers.load_float(tmp_path / "net.onnx"), samples), wanted, atol=1e-4)


@pytest.mark.parametrize("exporter", ["dynamo", "legacy"])
@pytest.mark.parametrize("row", ROWS)
def test_what_pytorch_writes(row: str, exporter: str, tmp_path: Path) -> None:
    if exporter == "dynamo":
        pytest.importorskip("onnxscript")
    make, shape = ROWS[row]
    torch.manual_seed(1)
    module = make().eval()
    samples = np.random.default_rng(1).integers(0, 256, (60, *shape)).astype(np.uint8)
    given = torch.from_numpy(samples.astype(np.float32) / 255)
    path = tmp_path / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (given[:1],), str(path), dynamo=exporter == "dynamo", verbose=False)
    network = importers.load_float(path)
    with torch.no_grad():
        wanted = module(given).numpy()
    held = samples.reshape(-1, *network.input.shape)
    found = logits(network, held)
    if "Softmax" in row:
        wanted = np.log(wanted) - np.log(wanted).mean(axis=1, keepdims=True)
        found = found - found.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    labels = reference.labels(quantize(network, held), held)
    leads = np.sort(wanted)[:, -1] - np.sort(wanted)[:, -2]
    clear = leads > 0.2 * leads.max()
    assert (labels == wanted.argmax(axis=1))[clear].all()
