"""Networks of Keras as tf2onnx writes them: what onnxruntime computes of the file, from the user's own samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxes import run

from ebpfnn import importers
from ebpfnn.network import reference
from ebpfnn.preparation.values import fitted
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

FILES = Path(__file__).parents[1] / "data" / "keras"
ROWS: dict[str, tuple[tuple[int, ...], str, float]] = {
    "flatten": ((12, 12, 1), "softmax", 255),
    "rescaled": ((8, 8, 3), "", 1),
    "separable": ((10, 10, 1), "softmax", 255),
    "residual": ((8, 8, 3), "", 255),
    "causal": ((24, 3), "", 255),
    "padded": ((9, 9, 3), "", 255),
    "slopes": ((10, 10, 1), "softmax", 255),
    "detector": ((41, 1), "sigmoid", 255),
}
"""The shape that the graph takes, its last activation, and what a byte of a sample is divided by there."""


@pytest.mark.parametrize("row", ROWS)
def test_what_tf2onnx_writes(row: str) -> None:
    shape, ending, whole = ROWS[row]
    path = FILES / f"{row}.onnx"
    samples = np.random.default_rng(1).integers(0, 256, (60, *shape)).astype(np.uint8)
    wanted = run(path.read_bytes(), samples.astype(np.float32) / np.float32(whole))
    network = importers.load_float(path)
    held = np.stack([fitted(sample, network.input.shape) for sample in samples])
    found = logits(network, held)
    if ending == "softmax":
        wanted = np.log(wanted) - np.log(wanted).mean(axis=1, keepdims=True)
        found = found - found.mean(axis=1, keepdims=True)
    elif ending == "sigmoid":
        wanted = np.concatenate([np.zeros_like(wanted), np.log(wanted / (1 - wanted))], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    labels = reference.labels(quantize(network, held), held)
    leads = np.sort(wanted)[:, -1] - np.sort(wanted)[:, -2]
    clear = leads > 0.2 * leads.max()
    assert (labels == wanted.argmax(axis=1))[clear].all()
