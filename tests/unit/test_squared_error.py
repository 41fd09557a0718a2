"""Autoencoders: the sum of squared differences as the score, what it is worth, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import dense
from onnxes import chain, model, node, run
from oracle import arithmetic

from ebpfnn import importers
from ebpfnn.cli import main
from ebpfnn.errors import ModelError
from ebpfnn.importers import ImportOptions
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Layer, SquaredError
from ebpfnn.quantize import float_reference, floatfile
from ebpfnn.quantize.floats import Network
from ebpfnn.quantize.quantization import quantize

RANDOM = np.random.default_rng(28)
SIZE = 70
SAMPLES = np.clip(RANDOM.normal(120, 12, (300, 1)) + RANDOM.normal(0, 20, (300, SIZE)), 0, 255).astype(np.uint8)
WEIGHTS = {
    "w": (np.ones((4, SIZE)) / SIZE + RANDOM.normal(0, 0.01, (4, SIZE))).astype(np.float32),
    "v": (np.ones((SIZE, 4)) / 4 + RANDOM.normal(0, 0.05, (SIZE, 4))).astype(np.float32),
    "half": RANDOM.normal(size=(SIZE // 2, 4)).astype(np.float32),
}
ENCODED = ("Gemm", ["w"], {"transB": 1})
DECODED = ("Gemm", ["v"], {"transB": 1})
ANOMALY = ImportOptions(result="anomaly")


def written(path: Path, *steps: tuple[Any, ...]) -> Path:
    path.write_bytes(model(chain(*steps), WEIGHTS, ("n", SIZE)))
    return path


def same(count: int) -> Layer:
    return dense(np.eye(count), np.zeros(count), low=0, high=255)


def network(layers: list[Layer], shape: tuple[int, ...], *sources: tuple[int, ...], high: int = 8) -> QuantizedNetwork:
    return QuantizedNetwork("test", InputFormat(shape, high), ("anomaly",), tuple(layers), result="anomaly", sources=sources)


def test_a_squared_error_by_hand() -> None:
    one, other = np.array([[[0, 255], [3, 7]], [[0, 0], [0, 0]]]), np.array([[255, 0, 5, 7], [0, 0, 0, -128]])
    wanted = [[255**2 + 255**2 + 4], [128**2]]
    assert arithmetic.squared_error(one, other).tolist() == wanted
    assert reference.squared_error(one, other).tolist() == wanted


def test_what_int32_cannot_hold_is_refused() -> None:
    """33,025 differences of 255 are 2,147,450,625, and one more leaves int32; of single bits there may be more."""
    sources = ((-1,), (0,), (-1, 1))

    def wide(size: int, low: int, high: int) -> list[Layer]:
        decoded = dense(np.ones((size, 1)), np.zeros(size), low=low, high=high)
        return [dense(np.ones((1, size)), np.zeros(1), low=0, high=127), decoded, SquaredError()]

    assert network(wide(33_025, 0, 255), (33_025,), *sources).shapes[-1] == (1,)
    fact = "layer 2 compares 33026 values, whose error can reach 2147515650, past int32; give at most 33025"
    with pytest.raises(ModelError, match=fact):
        network(wide(33_026, 0, 255), (33_026,), *sources)
    with pytest.raises(ModelError, match="past int32; give at most 14639"):
        network(wide(14_640, -128, 127), (14_640,), *sources)


@pytest.mark.parametrize(
    ("layers", "sources", "fact"),
    [
        ([same(4), SquaredError(), same(1)], [(-1,), (0, -1), (1,)], "layer 1 compares two values, whose error is a score"),
        (
            [dense(np.ones((3, 4)), np.zeros(3), low=0, high=9), SquaredError()],
            [(-1,), (0, -1)],
            "give two values of one shape",
        ),
        ([same(4), SquaredError()], [], "layer 1 takes 2 values, but 1 sources are given"),
    ],
)
def test_a_graph_refuses_an_error(layers: list[Layer], sources: list[tuple[int, ...]], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        network(layers, (4,), *sources)


@pytest.mark.parametrize("behind", [(), (("Relu", [], {}),), (("Sigmoid", [], {}),)], ids=["linear", "relu", "sigmoid"])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.5, 0.25)])
def test_the_score_is_the_error_that_onnxruntime_has(
    tmp_path: Path, behind: tuple[tuple[Any, ...], ...], mean: float, std: float
) -> None:
    path = written(tmp_path / "auto.onnx", ENCODED, DECODED, *behind)
    floats = importers.load_float(path, replace(ANOMALY, mean=(mean,), std=(std,)))
    given = ((SAMPLES / 255 - mean) / std).astype(np.float32)
    wanted = np.square(run(path.read_bytes(), given).astype(np.float64) - given).mean(axis=1)
    np.testing.assert_allclose(float_reference.logits(floats, SAMPLES)[:, 0], wanted, rtol=1e-4)
    integers = quantize(floats, SAMPLES)
    assert (integers.labels, integers.result) == (("anomaly",), "anomaly")
    assert integers.score_scale == pytest.approx(1 / (255 * std) ** 2 / SIZE)
    scores = arithmetic.scores(integers, SAMPLES)
    assert reference.scores(integers, SAMPLES).tolist() == scores.tolist()
    values = scores[:, 0] * integers.score_scale
    assert np.abs(values - wanted).mean() < 0.05 * wanted.mean()
    assert np.corrcoef(values, wanted)[0, 1] > 0.98


def test_a_float_file_keeps_the_error(tmp_path: Path) -> None:
    floats = importers.load_float(written(tmp_path / "auto.onnx", ENCODED, DECODED), replace(ANOMALY, std=(0.5,)))
    floatfile.save(floats, tmp_path / "auto.float.safetensors")
    again = floatfile.load(tmp_path / "auto.float.safetensors")
    assert isinstance(again, Network)
    assert (again.layers[-1], again.sources) == (floats.layers[-1], floats.sources)
    assert float_reference.logits(again, SAMPLES).tolist() == float_reference.logits(floats, SAMPLES).tolist()


@pytest.mark.parametrize(
    ("options", "steps", "fact"),
    [
        (
            ImportOptions(),
            (ENCODED, DECODED),
            "70 outputs; a result carries at most 64; if it reconstructs .* --result anomaly",
        ),
        (ANOMALY, (ENCODED, ("Gemm", ["half"], {"transB": 1})), "takes 70 values and gives 35, so it reconstructs nothing"),
        (replace(ANOMALY, labels=("a", "b")), (ENCODED, DECODED), "one anomaly score, but there are 2 labels; give one"),
        (replace(ANOMALY, mean=(0.0, 0.1), std=(1.0,)), (ENCODED, DECODED), "give one --mean and one --std"),
        (replace(ANOMALY, tabular=True), (ENCODED, DECODED), "rows of a table, whose columns have no one unit"),
    ],
)
def test_files_are_refused(tmp_path: Path, options: ImportOptions, steps: tuple[Any, ...], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        importers.load(written(tmp_path / "auto.onnx", *steps), options)


def signed(path: Path) -> bytes:
    """An autoencoder from int8 to int8, with its weights as integers; the scores are what its last integers stand for."""
    weights = {name: np.abs(WEIGHTS[name]).max() / 127 for name in ("w", "v")}
    held: dict[str, np.ndarray] = {name: np.rint(WEIGHTS[name] / scale).astype(np.int8) for name, scale in weights.items()}
    held |= {f"{name}.s": np.float32(scale) for name, scale in weights.items()}
    held |= {
        "s": np.float32(0.4),
        "z": np.int8(40),
        "h": np.float32(0.5),
        "hz": np.int8(-10),
        "o": np.float32(0.3),
        "oz": np.int8(5),
    }
    nodes = [
        node("DequantizeLinear", "x", "s", "z", out="xd"),
        *(node("DequantizeLinear", name, f"{name}.s", out=f"{name}d") for name in ("w", "v")),
        node("Gemm", "xd", "wd", transB=1, out="hidden"),
        node("QuantizeLinear", "hidden", "h", "hz", out="hq"),
        node("DequantizeLinear", "hq", "h", "hz", out="hd"),
        node("Gemm", "hd", "vd", transB=1, out="last"),
        node("QuantizeLinear", "last", "o", "oz", out="oq"),
        node("DequantizeLinear", "oq", "o", "oz", out="od"),
    ]
    data = model(nodes, held, ("n", SIZE), kind="INT8")
    path.write_bytes(data)
    return data


def test_an_autoencoder_over_int8_tells_what_its_bytes_stand_for(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    data = signed(tmp_path / "net.onnx")
    found = importers.load_float(tmp_path / "net.onnx", ANOMALY)
    given = (SAMPLES.astype(np.int64) - 128).astype(np.int8)
    real = 0.4 * (given.astype(np.float64) - 40)
    errors = np.square(real - run(data, given, plain=True)).mean(axis=1)
    assert np.abs(float_reference.logits(found, SAMPLES)[:, 0] - errors).mean() < 0.02 * errors.mean()
    integers = quantize(found, SAMPLES)
    scores = reference.scores(integers, SAMPLES)
    assert scores.tolist() == arithmetic.scores(integers, SAMPLES).tolist()
    assert np.abs(scores[:, 0] * integers.score_scale - errors).mean() < 0.05 * errors.mean()
    assert found.card["import"].endswith("a byte b of a sample stands for 0.4 * (b - 168)")
    with pytest.raises(ModelError, match=r"takes bytes and gives more outputs than a result carries; if .* --result anomaly"):
        importers.load(tmp_path / "net.onnx")
    with pytest.raises(ModelError, match="takes bytes, and says what they stand for; leave out --mean and --std"):
        importers.load(tmp_path / "net.onnx", replace(ANOMALY, std=(2.0,)))


def test_more_classes_than_a_result_carries_have_a_remedy() -> None:
    with pytest.raises(ModelError, match="65 outputs; a result carries at most 64; train it for fewer, or put a layer"):
        QuantizedNetwork("test", InputFormat((4,)), tuple(map(str, range(65))), (dense(np.ones((65, 4)), np.zeros(65)),))


def test_quantize_tells_how_far_the_errors_agree(tmp_path: Path) -> None:
    path, out = written(tmp_path / "auto.onnx", ENCODED, DECODED), tmp_path / "auto.safetensors"
    np.savez(tmp_path / "data.npz", samples=SAMPLES, labels=np.arange(len(SAMPLES)) % 3)
    asked = ["quantize", str(path), "--calibration", str(tmp_path / "data.npz"), "--output", str(out)]
    done = CliRunner().invoke(main, [*asked, "--result", "anomaly"])
    assert done.exit_code == 0, done.output
    assert "70-4-70-error(1,-1)" in done.output
    assert "floats and integers differ by" in done.output
    assert "of the value on average" in done.output
    assert "right:" not in done.output
    refused = CliRunner().invoke(main, asked)
    assert refused.exit_code == 1
    assert "give --result anomaly" in refused.output
