"""Activations by tables (equation 26): what quantize() makes of a function, and the files that keep it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracle import arithmetic

from ebpfnn import QuantizedNetwork
from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError
from ebpfnn.exporters import raw
from ebpfnn.network import modelformat, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import Conv2d, Dense, MaxPool, Requantization, Window
from ebpfnn.quantize import floatfile
from ebpfnn.quantize.float_reference import logits
from ebpfnn.quantize.floats import Activation, AvgPool, FloatConv2d, FloatDense, Network
from ebpfnn.quantize.functions import Function
from ebpfnn.quantize.quantization import quantize

FUNCTIONS = [
    (Function("tanh"),),
    (Function("sigmoid"),),
    (Function("silu", (1.0,)),),
    (Function("gelu"),),
    (Function("elu", (1.0,)),),
    (Function("softplus"),),
    (Function("leaky", (-0.5,)),),
    (Function("hardswish"), Function("scale", (2.0, -0.1)), Function("clip", (-1.0, 3.0))),
]
SAMPLES = np.random.default_rng(1).integers(0, 256, (200, 8, 8)).astype(np.uint8)


def floats(*shape: int) -> Any:
    random = np.random.default_rng(sum(shape))
    return (3 * random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)


def network(*functions: Function, **more: Any) -> Network:
    """Padding behind a function, a max pool, an average, and a dense layer."""
    by, edge = Activation(functions=functions, **more), Window((3, 3), (1, 1), (1, 1, 1, 1))
    layers = (
        FloatConv2d(floats(6, 1, 3, 3), floats(6), edge, 1, by),
        MaxPool(Window((2, 2), (2, 2))),
        FloatConv2d(floats(6, 1, 3, 3), floats(6), edge, 6, by),
        AvgPool(Window((2, 2), (2, 2))),
        FloatDense(floats(16, 24), floats(16), by),
        FloatDense(floats(5, 16), floats(5)),
    )
    return Network("n", InputFormat((8, 8)), tuple("abcde"), layers)


@pytest.mark.parametrize("functions", FUNCTIONS, ids=lambda given: given[0].name)
def test_integers_are_close_to_the_function_and_equal_to_the_oracle(functions: tuple[Function, ...]) -> None:
    given = network(*functions)
    integers = quantize(given, SAMPLES)
    wanted, found = logits(given, SAMPLES), reference.scores(integers, SAMPLES)
    assert np.abs(found * integers.score_scale - wanted).mean() < 0.05 * wanted.std()
    leads = np.sort(wanted)[:, -1] - np.sort(wanted)[:, -2]
    clear = leads > 0.1 * wanted.std()
    assert (found.argmax(axis=1) == wanted.argmax(axis=1))[clear].all()
    assert clear.mean() > 0.6
    np.testing.assert_array_equal(found[:40], arithmetic.scores(integers, SAMPLES[:40]))
    hidden = [layer for layer in integers.layers[:-1] if isinstance(layer, (Dense, Conv2d))]
    assert [layer.requantization.activation is not None for layer in hidden] == [True, True, False, True]


def test_entries_are_rounded_correctly() -> None:
    """The scale of the bytes is that of the calibration; each entry is the nearest byte to the function there."""
    one = FloatDense(np.array([[1.0]], np.float32), np.zeros(1, np.float32), Activation(functions=(Function("tanh"),)))
    last = FloatDense(np.ones((2, 1), np.float32), np.zeros(2, np.float32))
    samples = np.arange(256, dtype=np.uint8)[:, None]
    integers = quantize(Network("n", InputFormat((1,)), ("a", "b"), (one, last)), samples)
    by = integers.layers[0].requantization  # type: ignore[union-attr]
    assert isinstance(by, Requantization)
    assert by.activation is not None
    step = float(np.tanh(1)) / 255  # the bytes end at 1, where the highest sample is
    scale = 1 / 127
    for byte in range(-127, 128):
        wanted = np.floor((np.tanh(byte * scale) + np.tanh(1)) / (2 * step) + 0.5)
        assert abs(int(by.activation[byte & 255]) - wanted) <= 1
    assert by.function == "tanh"


def test_a_function_at_the_end_gets_a_layer_behind_it() -> None:
    last = FloatDense(floats(5, 64), floats(5), Activation(functions=(Function("tanh"),)))
    given = Network("n", InputFormat((8, 8)), tuple("abcde"), (last,))
    integers = quantize(given, SAMPLES)
    found = reference.scores(integers, SAMPLES) * integers.score_scale
    np.testing.assert_allclose(found, logits(given, SAMPLES), atol=0.04)
    assert len(integers.layers) == 2


def test_slopes_of_single_channels() -> None:
    slopes = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
    first = FloatConv2d(floats(6, 1, 3, 3), floats(6), Window((3, 3)), 1, Activation(1.0, slopes=slopes))
    given = Network("n", InputFormat((8, 8)), tuple("abcde"), (first, FloatDense(floats(5, 216), floats(5))))
    integers = quantize(given, SAMPLES)
    by = integers.layers[0].requantization  # type: ignore[union-attr]
    np.testing.assert_allclose(by.negative / by.positive, slopes, atol=1e-6)  # type: ignore[union-attr]
    wanted = logits(given, SAMPLES)
    assert np.abs(reference.scores(integers, SAMPLES) * integers.score_scale - wanted).mean() < 0.02 * wanted.std()


@pytest.fixture(scope="module")
def kept() -> QuantizedNetwork:
    return quantize(network(Function("silu", (1.0,))), SAMPLES)


def test_files_keep_tables(kept: QuantizedNetwork, tmp_path: Path) -> None:
    modelfile.save(kept, tmp_path / "net.safetensors")
    raw.export(kept, tmp_path / "raw")
    wanted = reference.scores(kept, SAMPLES)
    for found in (modelfile.load(tmp_path / "net.safetensors"), raw.load(tmp_path / "raw")):
        assert isinstance(found, QuantizedNetwork)
        np.testing.assert_array_equal(reference.scores(found, SAMPLES), wanted)
        assert found.layers[0].requantization.function == "silu(1)"  # type: ignore[union-attr]


def test_onnx_gives_the_scores(kept: QuantizedNetwork, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from ebpfnn.exporters import onnx

    onnx.export(kept, tmp_path / "net.onnx")
    opened = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    (found,) = opened.run(["scores"], {opened.get_inputs()[0].name: SAMPLES[:50]})
    np.testing.assert_array_equal(found, reference.scores(kept, SAMPLES[:50]))


def test_float_files_keep_functions(tmp_path: Path) -> None:
    given = network(Function("selu", (1.67, 1.05)), Function("scale", (2.0, 1.0)))
    first = replace(given.layers[0], activation=Activation(0.5, slopes=(0.5, 0.25, 0.0, 0.0, 0.0, 0.5)))  # type: ignore[arg-type]
    given = replace(given, layers=(first, *given.layers[1:]))
    floatfile.save(given, tmp_path / "net.float.safetensors")
    found = floatfile.load(tmp_path / "net.float.safetensors")
    np.testing.assert_array_equal(logits(found, SAMPLES), logits(given, SAMPLES))


@pytest.mark.parametrize(
    ("table", "fact"),
    [
        (np.zeros(255, np.int16), r"activation must be int16 \[256\]"),
        (np.zeros(256, np.int32), r"activation must be int16 \[256\]"),
        (np.full(256, 256, np.int16), "values of one byte, all u8 or all s8"),
        (np.arange(256, dtype=np.int16) - 1, "values of one byte, all u8 or all s8"),
    ],
)
def test_tables_that_are_refused(kept: QuantizedNetwork, table: Any, fact: str) -> None:
    described, tensors = json.loads(json.dumps(modelformat.describe(kept))), modelformat.tensors(kept)
    with pytest.raises(ModelError, match=fact):
        modelformat.build(described, {**tensors, "layers.0.activation": table})


def test_a_last_layer_has_none(kept: QuantizedNetwork) -> None:
    last = kept.layers[-1]
    assert isinstance(last, Dense)
    by = replace(last.requantization, low=0, high=255, activation=np.zeros(256, np.int16))
    with pytest.raises(ModelError, match="is the last, whose scores are int32, and has an activation table; add a dense layer"):
        replace(kept, layers=(*kept.layers[:-1], replace(last, requantization=by)))
    with pytest.raises(ModelError, match=r"activation takes bytes, but is given -128\.\.255"):
        replace(by, low=-128)


@pytest.mark.parametrize(
    ("name", "parameters", "fact"),
    [
        ("sinh", (), "function 'sinh' is not known; tanh, "),
        ("elu", (), "function 'elu' takes 1 finite parameters, not 0"),
        ("elu", (float("nan"),), "function 'elu' takes 1 finite parameters"),
    ],
)
def test_functions_that_are_refused(name: str, parameters: tuple[float, ...], fact: str) -> None:
    with pytest.raises(ModelError, match=fact):
        Function(name, parameters)


def test_a_function_that_leaves_float32() -> None:
    given = network(Function("scale", (1e30, 0.0)), Function("square"))
    with pytest.raises(ModelError, match=r"layer 0 has a function, scale\(1e\+30, 0\) then square, whose values exceed"):
        quantize(given, SAMPLES)
