"""Graphs whose channels come last, or that move over one axis: what onnxruntime computes, from the user's own samples."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxes import chain, model, run

from ebpfnn import importers
from ebpfnn.errors import InputError, ModelError
from ebpfnn.network import reference
from ebpfnn.preparation.values import fitted
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.quantization import quantize

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

FIRST = ("Transpose", [], {"perm": [0, 3, 1, 2]})
LAST = ("Transpose", [], {"perm": [0, 2, 3, 1]})
LINE_FIRST = ("Transpose", [], {"perm": [0, 2, 1]})
RELU = ("Relu", [], {})
FLAT = ("Flatten", [], {})
DENSE = ("Gemm", ["w", "b"], {"transB": 1})

Steps = list[tuple[Any, ...]]


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def dense(inputs: int, outputs: int = 5) -> dict[str, np.ndarray]:
    return {"w": floats(outputs, inputs), "b": floats(outputs)}


CASES: dict[str, tuple[Steps, Mapping[str, np.ndarray], tuple[int, ...], tuple[int, ...], str]] = {
    "colors": (
        [FIRST, ("Conv", ["k", "kb"], {"pads": [1, 1, 0, 0], "strides": [2, 1]}), RELU, LAST, FLAT, DENSE],
        {"k": floats(4, 3, 3, 3), "kb": floats(4), **dense(4 * 4 * 7)},
        (8, 8, 3),
        (3, 8, 8),
        "samples are 3x8x8, channels first; arrays of 8x8x3 are taken too",
    ),
    "four channels": (
        [FIRST, ("Conv", ["k"], {"pads": [0, 2, 1, 1], "strides": [1, 2]}), RELU, LAST, FLAT, DENSE],
        {"k": floats(3, 4, 2, 3), **dense(3 * 6 * 4)},
        (6, 7, 4),
        (6, 28),
        "samples lie as the graph takes them, 6x7x4",
    ),
    "depthwise": (
        [FIRST, ("Conv", ["k"], {"group": 4}), RELU, LAST, FLAT, DENSE],
        {"k": floats(8, 1, 3, 3), **dense(8 * 4 * 5)},
        (6, 7, 4),
        (4, 6, 7),
        "samples are 4x6x7, channels first; arrays of 6x7x4 are taken too",
    ),
    "lines": (
        [
            LINE_FIRST,
            ("Conv", ["k"], {"pads": [1, 2]}),
            RELU,
            ("MaxPool", [], {"kernel_shape": [2], "strides": [2]}),
            ("Conv", ["l"], {}),
            LINE_FIRST,
            FLAT,
            DENSE,
        ],
        {"k": floats(6, 4, 4), "l": floats(3, 6, 2), **dense(3 * 4)},
        (10, 4),
        (10, 4),
        "samples lie as the graph takes them, 10x4",
    ),
    "lines with channels first": (
        [("Conv", ["k"], {"auto_pad": "SAME_UPPER"}), RELU, ("GlobalAveragePool", [], {}), ("Squeeze", ["two"], {}), DENSE],
        {"k": floats(6, 4, 4), "two": np.array([2]), **dense(6)},
        (4, 10),
        (4, 1, 10),
        "",
    ),
    "lines as images": (
        [
            LINE_FIRST,
            ("Unsqueeze", ["two"], {}),
            ("Conv", ["k"], {}),
            ("Squeeze", ["two"], {}),
            RELU,
            ("AveragePool", [], {"kernel_shape": [3]}),
            LINE_FIRST,
            FLAT,
            DENSE,
        ],
        {"k": floats(6, 2, 1, 4), "two": np.array([2]), **dense(6 * 7)},
        (12, 2),
        (1, 24),
        "samples lie as the graph takes them, 1x12x2",
    ),
    "constants behind": (
        [FIRST, ("Conv", ["k"], {}), LAST, ("Add", ["bias"], {}), ("Mul", ["factor"], {}), RELU, FLAT, DENSE],
        {"k": floats(4, 1, 3, 3), "bias": floats(4), "factor": floats(1, 1, 1, 4), **dense(4 * 6 * 6)},
        (8, 8, 1),
        (8, 8),
        "",
    ),
    "constants in front": (
        [("Sub", ["mean"], {}), ("Div", ["std"], {}), FIRST, ("Conv", ["k"], {}), FLAT, DENSE],
        {"k": floats(4, 3, 3, 3), "mean": floats(3), "std": np.float32(0.25), **dense(4 * 6 * 6)},
        (8, 8, 3),
        (3, 8, 8),
        "samples are 3x8x8",
    ),
    "means": (
        [FIRST, ("Conv", ["k"], {}), LAST, RELU, ("ReduceMean", [], {"axes": [1, 2], "keepdims": 0}), DENSE],
        {"k": floats(4, 3, 3, 3), **dense(4)},
        (8, 8, 3),
        (3, 8, 8),
        "samples are 3x8x8",
    ),
    "means of rows": (
        [FIRST, ("Conv", ["k"], {}), LAST, ("ReduceMean", [], {"axes": [1], "keepdims": 0}), RELU, FLAT, DENSE],
        {"k": floats(4, 3, 3, 3), **dense(4 * 6)},
        (8, 8, 3),
        (3, 8, 8),
        "samples are 3x8x8",
    ),
    "a dense layer at each place": (
        [FIRST, ("Conv", ["k"], {}), LAST, RELU, ("MatMul", ["m"], {}), ("Add", ["mb"], {}), RELU, FLAT, DENSE],
        {"k": floats(4, 3, 3, 3), "m": floats(4, 2), "mb": floats(2), **dense(2 * 6 * 6)},
        (8, 8, 3),
        (3, 8, 8),
        "samples are 3x8x8",
    ),
    "normalized flat": (
        [FIRST, ("Conv", ["k"], {}), RELU, LAST, FLAT, ("BatchNormalization", ["s", "o", "m", "v"], {}), DENSE],
        {"k": floats(4, 3, 3, 3), **{n: np.abs(floats(144)) + 0.5 for n in "somv"}, **dense(4 * 6 * 6)},
        (8, 8, 3),
        (3, 8, 8),
        "samples are 3x8x8",
    ),
    "a normalization at the end": (
        [FLAT, DENSE, RELU, ("BatchNormalization", ["s", "o", "m", "v"], {}), RELU],
        {**dense(48), "s": floats(5), "o": floats(5), "m": floats(5), "v": np.abs(floats(5)) + 0.1},
        (6, 8),
        (6, 8),
        "",
    ),
    "turned": (
        [("Transpose", [], {"perm": [0, 2, 1]}), FLAT, DENSE],
        dense(48),
        (6, 8),
        (6, 8),
        "",
    ),
    "flat images": (
        [("Reshape", ["image"], {}), FIRST, ("Conv", ["k"], {}), RELU, LAST, ("Reshape", ["flat"], {}), DENSE],
        {"image": np.array([-1, 8, 8, 1]), "flat": np.array([-1, 144]), "k": floats(4, 1, 3, 3), **dense(4 * 6 * 6)},
        (64,),
        (8, 8),
        "",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_what_onnxruntime_computes(kind: str, tmp_path: Path) -> None:
    steps, constants, shape, sample, note = CASES[kind]
    data = model(chain(*steps), constants, ("n", *shape))
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    network = importers.load_float(path)
    assert network.input.shape == sample
    assert note in network.card.get("import", "")
    assert bool(note) == ("import" in network.card)
    own = np.random.default_rng(1).integers(0, 256, (40, *shape)).astype(np.uint8)
    wanted = run(data, own.astype(np.float32) / 255)
    given = np.stack([each.reshape(sample) if len(shape) == 1 else fitted(each, sample) for each in own])
    found = logits(network, given)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())
    integers = reference.scores(quantize(network, given), given)
    leads = np.sort(found)[:, -1] - np.sort(found)[:, -2]
    clear = leads > 0.1 * leads.std()
    assert (integers.argmax(axis=1) == wanted.argmax(axis=1))[clear].all()


def test_samples_that_lie_as_they_come() -> None:
    """Flat ones of a flat graph that makes images of them, and steps of features of a graph that has them as images."""
    flat = np.arange(12, dtype=np.uint8)
    np.testing.assert_array_equal(fitted(flat, (3, 4)), flat.reshape(3, 4))
    np.testing.assert_array_equal(fitted(flat.reshape(4, 3), (3, 1, 4))[:, 0], flat.reshape(4, 3).T)
    with pytest.raises(InputError, match="a sample of 12, but the network takes 3x2x2; give others"):
        fitted(flat, (3, 2, 2))


def test_samples_of_other_axes_are_refused() -> None:
    with pytest.raises(InputError, match="a sample of 3x8x4, but the network takes 4x3x7"):
        fitted(np.zeros((3, 8, 4), np.uint8), (4, 3, 7))


def test_moved_scores_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(model(chain(("Conv", ["k"], {}), LAST), {"k": floats(4, 1, 7, 7)}))
    with pytest.raises(ModelError, match="moves its scores behind the last layer"):
        importers.load_float(path)
