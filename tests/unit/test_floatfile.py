"""Files of float networks: what is saved is loaded, and whatever is not such a file is refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from networks import own_format

from ebpfnn.errors import ModelError
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.layers import MaxPool, Window
from ebpfnn.quantize import float_reference, floatfile
from ebpfnn.quantize.floats import Activation, AvgPool, FloatConv2d, FloatDense, Network

RELU6 = Activation(slope=0, high=6, bits=4, scale=0.4)
Tensors, Described, Metadata = dict[str, np.ndarray], dict[str, Any], dict[str, str]


def floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(0, 0.3, shape).astype(np.float32)


def example() -> Network:
    """One layer of each kind, over 4x5 images of 2 bits."""
    layers = (
        FloatConv2d(floats(4, 1, 3, 3), floats(4), Window((3, 3), (1, 1), (1, 0, 1, 2)), 1, RELU6, weight_bits=2),
        MaxPool(Window((2, 2))),
        FloatConv2d(floats(6, 2, 1, 1), floats(6), Window((1, 1)), 2, Activation(slope=0.125, low=-1)),
        AvgPool(Window((2, 2), (2, 2))),
        AvgPool(),
        FloatDense(floats(3, 6), floats(3)),
    )
    form = InputFormat((4, 5), 2, (10, 100, 200), packed=True, bit_order="little")
    return Network("fixture", form, ("a", "b", "c"), layers, {"data": "none"})


def test_thresholds_of_each_value_are_loaded(tmp_path: Path) -> None:
    form = own_format(6, 2, 1)
    dense = FloatDense(np.ones((2, 6), np.float32), np.ones(2, np.float32))
    floatfile.save(Network("own", form, ("a", "b"), (dense,)), tmp_path / "a")
    assert floatfile.load(tmp_path / "a").input == form


def parts(network: Network) -> tuple[Tensors, Described, Metadata]:
    """What the file of ``network`` holds, to be bent and written again."""
    data = encoded(network)
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return dict(safetensors.numpy.load(data)), json.loads(metadata["network"]), metadata


def encoded(network: Network) -> bytes:
    path = Path(os.devnull)
    written: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(floatfile.files, "replace", lambda _path, data: written.append(data))
        floatfile.save(network, path)
    return written[0]


def write(path: Path, tensors: Tensors, described: Any, metadata: Metadata) -> None:
    path.write_bytes(safetensors.numpy.save(tensors, {**metadata, "network": json.dumps(described)}))


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        floatfile.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert "; " in message
    return message


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    network, path = example(), tmp_path / "a.float.safetensors"
    floatfile.save(network, path)
    found = floatfile.load(path)
    for name in ("name", "input", "labels", "card"):
        assert getattr(found, name) == getattr(network, name)
    for ours, theirs in zip(found.layers, network.layers, strict=True):
        if isinstance(theirs, (FloatDense, FloatConv2d)):
            assert isinstance(ours, type(theirs))
            assert ours.weights.dtype == np.float32
            assert not ours.weights.flags.writeable
            assert (ours.weights.tolist(), ours.bias.tolist()) == (theirs.weights.tolist(), theirs.bias.tolist())
            assert (ours.activation, ours.weight_bits) == (theirs.activation, theirs.weight_bits)
            assert getattr(ours, "window", None) == getattr(theirs, "window", None)
            assert getattr(ours, "groups", None) == getattr(theirs, "groups", None)
        else:
            assert ours == theirs
    samples = np.arange(40, dtype=np.uint8).reshape(2, 4, 5) * 6
    assert float_reference.logits(found, samples).tolist() == float_reference.logits(network, samples).tolist()
    assert list(tmp_path.iterdir()) == [path]


def test_one_network_makes_one_file() -> None:
    assert encoded(example()) == encoded(example())


def test_where_the_float_form_lies() -> None:
    assert floatfile.beside(Path("a/mnist.safetensors")) == Path("a/mnist.float.safetensors")
    assert floatfile.beside(Path("a/mine")) == Path("a/mine.float.safetensors")


def test_a_failed_save_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"former")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left on device"):
        floatfile.save(example(), path)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_save_refuses_what_load_would(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'name' must be printable"):
        floatfile.save(replace(example(), name="a\nb"), tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_not_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "No such file" in refusal(tmp_path / "absent")
    assert "not a regular file" in refusal(tmp_path / "fifo")
    monkeypatch.setattr(floatfile, "MAX_BYTES", 1 << 20)
    (tmp_path / "large").write_bytes(bytes((1 << 20) + 1))
    assert "larger than 1 MiB" in refusal(tmp_path / "large")


def test_cut_short_anywhere(tmp_path: Path) -> None:
    data, path = encoded(example()), tmp_path / "a"
    for length in range(0, len(data), 11):
        path.write_bytes(data[:length])
        assert "cut short" in refusal(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_a_model_error_or_a_network(tmp_path: Path, data: st.DataObject) -> None:
    damaged, path = bytearray(encoded(example())), tmp_path / "a"
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        floatfile.load(path)
    except ModelError:
        refusal(path)


def test_another_safetensors_and_another_version(tmp_path: Path) -> None:
    tensors, described, metadata = parts(example())
    path = tmp_path / "a"
    path.write_bytes(safetensors.numpy.save(tensors))
    assert "not of a float network" in refusal(path)
    write(path, tensors, described, {**metadata, "format": "ebpfnn"})
    assert "not of a float network" in refusal(path)
    write(path, tensors, described, {**metadata, "version": "2"})
    assert "version '2' of the format, but this ebpfnn reads 1" in refusal(path)


NOT_OF_ITS_TYPE = {
    "name": [None, True, 1, [], "a\nb"],
    "input": [None, 1, {}, [], {"shape": [4, 5]}],
    "labels": [None, "abc", [1], [None] * 3, ["a", "b"], ["a", "b", "c\n"]],
    "layers": [None, 1, {}, [], [None], [[]], [{"type": "dense"}]],
    "card": [None, [], {"a": 1}, {"a": "b\nc"}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in NOT_OF_ITS_TYPE.items() for value in values])
def test_fields_of_another_type(tmp_path: Path, field: str, value: object) -> None:
    tensors, described, metadata = parts(example())
    write(tmp_path / "a", tensors, {**described, field: value}, metadata)
    refusal(tmp_path / "a")


LAYER_FIELDS = {
    "type": [None, 1, "lstm"],
    "slope": [None, "x", True, 10**400],
    "low": ["x", True, 7, 10**400],
    "high": ["x", False],
    "bits": [None, 1, 9, 4.0],
    "scale": ["x", 0, -1],
    "weight_bits": [None, 0, 9, True],
    "kernel": [None, [3], [3, 3.0], [2, 2]],
    "stride": [None, [0, 1], [1]],
    "padding": [None, [1], [3, 0, 1, 2], [-1, 0, 0, 0]],
    "groups": [None, 0, 3, 1.0],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in LAYER_FIELDS.items() for value in values])
def test_layer_fields_that_cannot_be(tmp_path: Path, field: str, value: object) -> None:
    tensors, described, metadata = parts(example())
    described["layers"][0][field] = value
    write(tmp_path / "a", tensors, described, metadata)
    assert "layer 0" in refusal(tmp_path / "a")


def test_a_missing_bound_is_not_no_bound(tmp_path: Path) -> None:
    tensors, described, metadata = parts(example())
    for field in ("low", "high", "scale"):
        bent = json.loads(json.dumps(described))
        del bent["layers"][0][field]
        write(tmp_path / "a", tensors, bent, metadata)
        assert f"'{field}' must be a number" in refusal(tmp_path / "a")


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def changed(name: str, array: np.ndarray) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: array})


@pytest.mark.parametrize(
    ("bend", "fact"),
    [
        (without("layers.5.bias"), "tensor 'layers.5.bias' is missing"),
        (changed("more", floats(3)), "tensor 'more' is not expected"),
        (changed("layers.1.weights", floats(3)), "tensor 'layers.1.weights' is not expected"),
        (changed("layers.5.weights", floats(3, 6).astype(np.float64)), "must be float32"),
        (changed("layers.5.weights", floats(3, 5)), "layer 5 has weights [3, 5]"),
        (changed("layers.5.weights", floats(18)), "layer 5 has weights [18]"),
        (changed("layers.5.bias", np.array([1, np.nan, 0], np.float32)), "'layers.5.bias' must be finite"),
        (changed("layers.0.weights", np.full((4, 1, 3, 3), np.inf, np.float32)), "'layers.0.weights' must be finite"),
        (changed("layers.0.weights", floats(4, 2, 3, 3)), "layer 0 has weights"),
        (changed("layers.0.weights", np.empty((0, 1, 3, 3), np.float32)), "not empty"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, bend: Callable[[Tensors], object], fact: str) -> None:
    tensors, described, metadata = parts(example())
    bend(tensors)
    write(tmp_path / "a", tensors, described, metadata)
    assert fact in refusal(tmp_path / "a")
