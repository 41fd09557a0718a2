"""Model files: what is saved is loaded, and whatever is not a model file is refused in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from modelfiles import example, parts, refusal
from networks import own_format, random_network, weighted

from ebpfnn.bodies import modelfile
from ebpfnn.errors import ModelError
from ebpfnn.network import QuantizedNetwork


def values(thing: object) -> object:
    """Everything in a network, comparable: arrays as lists with their dtypes, dataclasses and mappings as dicts."""
    if isinstance(thing, np.ndarray):
        return str(thing.dtype), thing.tolist()
    if isinstance(thing, tuple):
        return [values(each) for each in thing]
    if is_dataclass(thing):
        return type(thing).__name__, {field.name: values(getattr(thing, field.name)) for field in fields(thing)}
    return dict(thing) if isinstance(thing, Mapping) else thing


NETWORKS = {
    "of every type of layer": example(),
    "of dense layers": random_network([12, 5, 3], seed=2),
    "ending in a convolution": random_network("conv4x3s2-dw2-gap", 3, (2, 9, 8)),
    "of thresholds for each value": replace(random_network([7, 3], 4, bits=2), input=own_format(7, 2, 1, packed=True)),
    "of windows of every kind": random_network("conv4x3x2s2p1g2-pool3s2p1-dw2x3-avgpool2-3", 4, (2, 17, 16), bits=4),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_what_is_saved_is_loaded(tmp_path: Path, network: QuantizedNetwork) -> None:
    path = tmp_path / "a.safetensors"
    modelfile.save(network, path)
    found = modelfile.load(path)
    assert values(found) == values(network)
    assert os.listdir(tmp_path) == ["a.safetensors"]  # noqa: PTH208
    assert modelfile.encode(found) == path.read_bytes()


def test_a_file_without_thresholds_for_each_value_has_no_word_of_them() -> None:
    """Former versions read it, and theirs are read."""
    _, described, _ = parts(example())
    assert set(described["input"]) == {"shape", "bits", "thresholds", "packed", "bit_order"}


def test_one_network_makes_one_file() -> None:
    assert len({modelfile.encode(example()) for _ in range(5)}) == 1


def test_loaded_arrays_are_read_only(tmp_path: Path) -> None:
    modelfile.save(example(), tmp_path / "a.safetensors")
    for layer in weighted(modelfile.load(tmp_path / "a.safetensors")):
        by = layer.requantization
        assert not any(array.flags.writeable for array in (layer.weights, layer.bias, by.positive, by.negative))


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
    assert synced[0].startswith(f"{tmp_path}/.ebpfnn-part-")
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
    data, path = modelfile.encode(example()), tmp_path / "a"
    for length in range(0, len(data), 7):
        path.write_bytes(data[:length])
        assert "cut short" in refusal(path)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_a_model_error_or_a_network(tmp_path: Path, data: st.DataObject) -> None:
    damaged, path = bytearray(modelfile.encode(example())), tmp_path / "a"
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        modelfile.load(path)
    except ModelError:
        refusal(path)


def test_resolve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert modelfile.resolve("mnist") == modelfile.BUNDLED / "mnist.safetensors"
    assert modelfile.resolve("./mnist") == Path("mnist")
    assert modelfile.resolve("absent.safetensors") == Path("absent.safetensors")
    (tmp_path / "mine").touch()
    assert modelfile.resolve("mine") == Path("mine")
    with pytest.raises(ModelError, match=r"network 'mnits' not found; did you mean 'mnist'\?$"):
        modelfile.resolve("mnits")


@pytest.mark.parametrize("name", ["x" * 5000, "a/" + "x" * 300, "a\0b/c"])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(ModelError, match=r"not found|cannot be read|not a valid file name"):
        modelfile.load(modelfile.resolve(name))
