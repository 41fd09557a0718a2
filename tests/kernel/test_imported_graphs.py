"""Graphs of files in the kernel: the scores that the oracle gives, which shares no code with the package."""

from __future__ import annotations

import numpy as np
import pytest
from ebpfnn_plugins.run import RunTrigger
from graphfiles import FILES, samples
from oracle import arithmetic

from ebpfnn import importers
from ebpfnn.session import Session

pytestmark = pytest.mark.root


@pytest.mark.parametrize("file", ["joined.pt2", "functions.pt2", "lines.pt2", "unsigned.qdq.onnx"])
def test_scores_of_the_kernel_are_those_of_the_oracle(file: str) -> None:
    if file.endswith(".onnx"):
        pytest.importorskip("onnx")
    held = samples(file.partition(".")[0])
    network = importers.quantize_file(FILES / file, held.reshape(-1, *_shape(file)))
    held = held.reshape(-1, *network.input.shape)
    with Session(network, RunTrigger()) as running:
        answers = running.infer_many(held)
    wanted = arithmetic.scores(network, held)
    assert answers.scores.tolist() == wanted.tolist()
    assert len(np.unique(wanted)) > 40


def _shape(file: str) -> tuple[int, ...]:
    return (4, 1, 12) if file.startswith("lines") else (3, 8, 8)
