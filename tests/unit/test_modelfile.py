"""Model files: what is saved is loaded, and whatever is not a model file is refused in one line."""

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
from networks import random_network

from ebpfnn import modelfile
from ebpfnn.errors import ModelError
from ebpfnn.network import QuantizedNetwork

Tensors, Described, Metadata = dict[str, np.ndarray], dict[str, Any], dict[str, str]


def example() -> QuantizedNetwork:
    return replace(random_network((12, 5, 3), seed=1), input_shape=(3, 4), score_scale=0.25, card={"data": "none"})


def parts(network: QuantizedNetwork) -> tuple[Tensors, Described, Metadata]:
    """What the file of ``network`` holds, to be bent and written again."""
    data = modelfile._encode(network)
    metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    return dict(safetensors.numpy.load(data)), json.loads(metadata["network"]), metadata


def write(path: Path, tensors: Tensors, described: Any, metadata: Metadata) -> None:
    text = described if isinstance(described, str) else json.dumps(described)
    path.write_bytes(safetensors.numpy.save(tensors, {**metadata, "network": text}))


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        modelfile.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert "; " in message
    return message


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    network, path = example(), tmp_path / "a.safetensors"
    modelfile.save(network, path)
    found = modelfile.load(path)
    for name in ("name", "input_shape", "labels", "score_scale", "card", "architecture"):
        assert getattr(found, name) == getattr(network, name)
    for ours, theirs in zip(found.layers, network.layers, strict=True):
        for name in ("weights", "bias", "positive", "negative"):
            assert getattr(ours, name).tolist() == getattr(theirs, name).tolist()
        assert (ours.shift, ours.low, ours.high, ours.slope) == (theirs.shift, theirs.low, theirs.high, theirs.slope)
    assert os.listdir(tmp_path) == ["a.safetensors"]  # noqa: PTH208


def test_loaded_arrays_are_read_only(tmp_path: Path) -> None:
    modelfile.save(example(), tmp_path / "a.safetensors")
    layer = modelfile.load(tmp_path / "a.safetensors").layers[0]
    assert not any(array.flags.writeable for array in (layer.weights, layer.bias, layer.positive, layer.negative))


def test_a_failed_save_leaves_the_former_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"former")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelError, match="No space left on device"):
        modelfile.save(example(), path)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_what_somebody_planted_beside_the_file_is_not_written_through(tmp_path: Path) -> None:
    path, victim = tmp_path / "a.safetensors", tmp_path / "victim"
    victim.write_bytes(b"precious")
    planted = [tmp_path / f".{path.name}.{os.getpid()}", path]
    for link in planted:
        link.symlink_to(victim)
    modelfile.save(example(), path)
    assert victim.read_bytes() == b"precious"
    assert modelfile.load(path).name == example().name
    assert sorted(tmp_path.iterdir()) == sorted([*planted, victim])


def test_a_saved_file_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        modelfile.save(example(), tmp_path / "a.safetensors")
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o640


def test_the_directory_is_made_to_remember_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115
    modelfile.save(example(), tmp_path / "a.safetensors")
    assert synced[0].startswith(f"{tmp_path}/.a.safetensors.")
    assert synced[1:] == [str(tmp_path)]


def test_save_refuses_what_load_would(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'name' must be printable"):
        modelfile.save(replace(example(), name="a\nb"), tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_save_into_no_directory(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be written"):
        modelfile.save(example(), tmp_path / "no" / "a.safetensors")


def test_not_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "No such file" in refusal(tmp_path / "absent")
    assert "directory" in refusal(tmp_path)
    assert "not a regular file" in refusal(tmp_path / "fifo")


def test_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with open(path, "wb") as file:
        file.truncate(modelfile.MAX_BYTES + 1)
    assert "larger than 64 MiB" in refusal(path)


def test_cut_short_anywhere(tmp_path: Path) -> None:
    data, path = modelfile._encode(example()), tmp_path / "a"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert "cut short" in refusal(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_a_model_error_or_a_network(tmp_path: Path, data: st.DataObject) -> None:
    damaged, path = bytearray(modelfile._encode(example())), tmp_path / "a"
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        modelfile.load(path)
    except ModelError:
        refusal(path)


NOT_OF_ITS_TYPE = {
    "name": [None, True, 1, 1.5, [], {}, "a\nb"],
    "input_shape": [None, True, 1, "x", [], {}, [None], [True, 12], [3, -4], [12.0], [10**400]],
    "labels": [None, True, 1, "abc", [], {}, [None] * 3, ["a\nb"] * 3],
    "layers": [None, True, 1, "x", [], {}, [None], [None, None], [[], []]],
    "score_scale": [None, True, "1", [], {}, -1, 0, 10**400, float("nan"), float("inf")],
    "card": [None, True, 1, "x", [], {"a": 1}, {"a": "b\nc"}, {"a\x1b": "b"}],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in NOT_OF_ITS_TYPE.items() for value in values])
def test_fields_of_another_type(tmp_path: Path, field: str, value: object) -> None:
    tensors, described, metadata = parts(example())
    write(tmp_path / "a", tensors, {**described, field: value}, metadata)
    refusal(tmp_path / "a")


@pytest.mark.parametrize("value", [None, True, "x", [], 10**400])
@pytest.mark.parametrize("field", ["type", "shift", "low", "high", "slope"])
def test_layer_fields_of_another_type(tmp_path: Path, field: str, value: object) -> None:
    tensors, described, metadata = parts(example())
    described["layers"][1][field] = value
    write(tmp_path / "a", tensors, described, metadata)
    assert "layer 1: " in refusal(tmp_path / "a")


def without(name: str) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.pop(name)


def changed(name: str, array: np.ndarray) -> Callable[[Tensors], object]:
    return lambda tensors: tensors.update({name: array})


@pytest.mark.parametrize(
    ("bend", "fact"),
    [
        (without("layers.1.bias"), "tensor 'layers.1.bias' is missing"),
        (changed("more", np.zeros(3)), "tensor 'more' is not expected"),
        (changed("layers.0.weights", np.zeros((5, 12), np.int16)), "layer 0: weights must be int8"),
        (changed("layers.0.weights", np.zeros(60, np.int8)), "layer 0: weights must be int8"),
        (changed("layers.0.weights", np.full((5, 12), -128, np.int8)), "layer 0: weights must lie in -127..127"),
        (changed("layers.0.weights", np.zeros((5, 11), np.int8)), "layer 0 takes 11 values but is given 12"),
        (changed("layers.1.bias", np.zeros(4, np.int32)), "layer 1: bias must be int32"),
        (changed("layers.1.bias", np.full(3, 2**31 - 1, np.int32)), "layer 1 can reach"),
        (changed("layers.0.positive", np.full(5, -1, np.int32)), "layer 0: multipliers must not be negative"),
    ],
)
def test_tensors_that_do_not_fit(tmp_path: Path, bend: Callable[[Tensors], object], fact: str) -> None:
    tensors, described, metadata = parts(example())
    bend(tensors)
    write(tmp_path / "a", tensors, described, metadata)
    assert fact in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    ("described", "fact"),
    [("", "not JSON"), ("[" * 100_000, "not JSON"), ("[]", "not a JSON object"), ("1", "not a JSON object")],
)
def test_descriptions_that_are_not_objects(tmp_path: Path, described: str, fact: str) -> None:
    tensors, _, metadata = parts(example())
    write(tmp_path / "a", tensors, described, metadata)
    assert fact in refusal(tmp_path / "a")


def test_another_safetensors_and_another_version(tmp_path: Path) -> None:
    tensors, described, metadata = parts(example())
    (tmp_path / "other").write_bytes(safetensors.numpy.save(tensors))
    assert "not of a quantized network" in refusal(tmp_path / "other")
    write(tmp_path / "new", tensors, described, {**metadata, "version": "2"})
    assert "version '2' of the format, and this ebpfnn reads 1" in refusal(tmp_path / "new")


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert modelfile.resolve("mnist") == modelfile.BUNDLED / "mnist.safetensors"
    assert modelfile.resolve("./mnist") == Path("mnist")
    assert modelfile.resolve("absent.safetensors") == Path("absent.safetensors")
    (tmp_path / "mine").touch()
    assert modelfile.resolve("mine") == Path("mine")
    with pytest.raises(ModelError, match=r"network 'mnits' not found; give a path, or a bundled one: .*mnist"):
        modelfile.resolve("mnits")
