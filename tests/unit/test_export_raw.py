"""Plain files: the bytes that are documented, the same network back, and a directory that is whole or not there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mnist import images_labels
from networks import own_format, random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import ModelError
from ebpfnn.exporters import raw
from ebpfnn.files import files
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import Shape

FOUR = {"hweights8.bin", "hbias32.bin", "outweights8.bin", "outbias32.bin"}


def example() -> QuantizedNetwork:
    made = random_network((12, 5, 3), 1, (3, 4))
    return replace(made, labels=("a", "b", "\N{GREEK SMALL LETTER GAMMA}"), score_scale=0.1, card={"data": "[ 1,  2 ]"})


def same(ours: QuantizedNetwork, theirs: QuantizedNetwork, directory: Path) -> bool:
    """Whether two networks make the same model file."""
    for name, network in (("ours", ours), ("theirs", theirs)):
        modelfile.save(network, directory / name)
    return (directory / "ours").read_bytes() == (directory / "theirs").read_bytes()


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def refusal(directory: Path) -> str:
    with pytest.raises(ModelError) as caught:
        raw.load(directory)
    message = str(caught.value)
    assert message.startswith(str(directory))
    assert message.isprintable()
    assert "; " in message
    return message


def test_the_four_files_of_two_layers(tmp_path: Path) -> None:
    network = example()
    raw.export(network, tmp_path / "raw")
    assert names(tmp_path / "raw") == FOUR | {"model.json"}
    for layer, prefix in zip(network.layers, ("h", "out"), strict=True):
        weights = (tmp_path / "raw" / f"{prefix}weights8.bin").read_bytes()
        bias = (tmp_path / "raw" / f"{prefix}bias32.bin").read_bytes()
        assert list(weights) == [int(weight) & 255 for row in layer.weights for weight in row]
        assert bias == b"".join(int(value).to_bytes(4, "little", signed=True) for value in layer.bias)


@pytest.mark.parametrize(
    ("architecture", "shape", "bits", "expected"),
    [
        ("12-5-3", (3, 4), 8, FOUR),
        ("12-3", (12,), 4, {"layer0.weights8.bin", "layer0.bias32.bin"}),
        ("12-5-4-3", (12,), 1, {f"layer{number}.{kind}.bin" for number in range(3) for kind in ("weights8", "bias32")}),
        (
            "conv4x3p1-pool2-dw3p1-3",
            (2, 6, 6),
            2,
            {f"layer{number}.{kind}.bin" for number in (0, 2, 3) for kind in ("weights8", "bias32")},
        ),
        ("conv2x3-3", (6, 6), 8, {f"layer{number}.{kind}.bin" for number in (0, 1) for kind in ("weights8", "bias32")}),
    ],
)
def test_what_is_exported_is_imported(tmp_path: Path, architecture: str, shape: Shape, bits: int, expected: set[str]) -> None:
    network = random_network(architecture, 3, shape, bits=bits, packed=bits < 8, bit_order="little")
    raw.export(network, tmp_path / "raw")
    assert names(tmp_path / "raw") == expected | {"model.json"}
    assert same(raw.load(tmp_path / "raw"), network, tmp_path)


def test_thresholds_of_each_value_are_imported(tmp_path: Path) -> None:
    network = replace(random_network((7, 3), 4, bits=4), input=own_format(7, 4, 1))
    raw.export(network, tmp_path / "raw")
    assert same(raw.load(tmp_path / "raw"), network, tmp_path)
    described = (tmp_path / "raw" / "model.json").read_text()
    assert str([1] * 15) in described  # a value's thresholds are on one line


def test_everything_besides_weights_comes_back_too(tmp_path: Path) -> None:
    network = replace(example(), density=(0.1, 1 / 3))
    raw.export(network, tmp_path / "raw")
    assert same(raw.load(tmp_path / "raw"), network, tmp_path)
    described = json.loads((tmp_path / "raw" / "model.json").read_text())
    assert described["card"] == {"data": "[ 1,  2 ]"}
    assert described["layers"][0]["positive"] == network.layers[0].requantization.positive.tolist()
    assert described["layers"][0]["weights"] == {"file": "hweights8.bin", "dtype": "int8", "shape": [5, 12]}


def test_the_shipped_network(tmp_path: Path) -> None:
    network = modelfile.load(modelfile.resolve("mnist"))
    raw.export(network, tmp_path / "raw")
    assert same(raw.load(tmp_path / "raw"), network, tmp_path)


def test_an_export_is_replaced_by_another(tmp_path: Path) -> None:
    directory = tmp_path / "raw"
    raw.export(example(), directory)
    deeper = random_network((12, 5, 4, 3), 2)
    raw.export(deeper, directory)
    assert names(directory) == {f"layer{n}.{kind}.bin" for n in range(3) for kind in ("weights8", "bias32")} | {"model.json"}
    assert same(raw.load(directory), deeper, tmp_path)
    assert names(tmp_path) == {"raw", "ours", "theirs"}


def test_an_empty_directory_and_a_link_are_filled(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    raw.export(example(), tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == FOUR | {"model.json"}


def test_what_is_no_export_is_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / "raw"
    raw.export(example(), directory)
    (directory / "notes.txt").write_text("precious")
    with pytest.raises(ModelError, match=r"raw: contains 'notes.txt', which is not part of an export; give another directory"):
        raw.export(example(), directory)
    (directory / "notes.txt").unlink()
    for text in ('{"format": "another"}', "precious", "[]"):
        (directory / "model.json").write_text(text)
        with pytest.raises(ModelError, match=r"model.json: .*; give"):
            raw.export(example(), directory)
        assert (directory / "model.json").read_text() == text
    (directory / "model.json").unlink()
    with pytest.raises(ModelError, match="No such file"):
        raw.export(example(), directory)
    assert names(directory) == FOUR


def test_a_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "raw").write_text("precious")
    with pytest.raises(ModelError, match="raw: cannot be written"):
        raw.export(example(), tmp_path / "raw")
    assert (tmp_path / "raw").read_text() == "precious"
    assert names(tmp_path) == {"raw"}


@pytest.mark.parametrize("failing", ["write", "fsync", "rename", "second rename"])
@pytest.mark.parametrize("former", [True, False])
def test_a_failed_export_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, former: bool
) -> None:
    directory = tmp_path / "raw"
    if former:
        raw.export(example(), directory)
    before = contents(tmp_path / "raw") if former else None
    calls = 0

    def fail(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    def fail_at_last(source: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == (2 if former else 1):
            fail()
        os.rename(source, target)  # noqa: PTH104
        return target

    with monkeypatch.context() as patch:
        patch.setattr(files, "_libc", SimpleNamespace(renameat2=lambda *_arguments: -1))  # a file system that cannot exchange
        if failing == "second rename":
            patch.setattr(Path, "rename", fail_at_last)
        else:
            patch.setattr(*{"write": (os, "write"), "fsync": (os, "fsync"), "rename": (Path, "rename")}[failing], fail)
        with pytest.raises(ModelError, match=r"raw: cannot be written \(No space left on device\)"):
            raw.export(random_network((12, 5, 4, 3), 2), directory)
    assert names(tmp_path) == ({"raw"} if former else set())
    assert (contents(directory) if former else None) == before


def test_a_former_export_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.export(random_network((12, 5, 4, 3), 2), tmp_path / "raw")
    monkeypatch.setattr(Path, "rename", None)
    raw.export(example(), tmp_path / "raw")
    assert names(tmp_path) == {"raw"}
    assert same(raw.load(tmp_path / "raw"), example(), tmp_path)


def test_the_directory_is_made_to_last_before_it_appears(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        synced.append((name, (tmp_path / "raw").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    raw.export(example(), tmp_path / "raw")
    assert {Path(name).name for name, _ in synced[:5]} == FOUR | {"model.json"}
    assert [there for _, there in synced] == [False] * 6 + [True]
    assert synced[-1][0] == str(tmp_path)


def test_an_export_has_the_mode_that_the_umask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        raw.export(example(), tmp_path / "raw")
    finally:
        os.umask(before)
    assert (tmp_path / "raw").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "raw" / "model.json").stat().st_mode & 0o777 == 0o640


def test_without_a_description(tmp_path: Path) -> None:
    raw.export(example(), tmp_path / "raw")
    (tmp_path / "raw" / "model.json").unlink()
    assert "has no model.json, which has the shapes and multipliers; give a directory" in refusal(tmp_path / "raw")
    assert "No such file" in refusal(tmp_path / "absent")


@pytest.mark.parametrize("name", sorted(FOUR))
def test_files_of_another_size(tmp_path: Path, name: str) -> None:
    raw.export(example(), tmp_path / "raw")
    path = tmp_path / "raw" / name
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert f"{path}: {len(data) - 1} bytes, but" in refusal(tmp_path / "raw")
    path.write_bytes(data + b"\0")
    assert f"{path}: larger than {len(data)} bytes" in refusal(tmp_path / "raw")
    path.unlink()
    assert f"{path}: cannot be read" in refusal(tmp_path / "raw")
    os.mkfifo(path)
    assert f"{path}: not a regular file" in refusal(tmp_path / "raw")


def test_a_description_too_large_is_not_read(tmp_path: Path) -> None:
    raw.export(example(), tmp_path / "raw")
    with open(tmp_path / "raw" / "model.json", "wb") as file:
        file.truncate(raw.MAX_DESCRIPTION + 1)
    assert "larger than 16 MiB" in refusal(tmp_path / "raw")


def bent(bend: Callable[[dict[str, Any]], Any], directory: Path) -> str:
    raw.export(example(), directory)
    path = directory / "model.json"
    described = json.loads(path.read_text())
    bend(described)
    path.write_text(json.dumps(described))
    return refusal(directory)


@pytest.mark.parametrize(
    ("bend", "fact"),
    [
        (lambda said: said.update(format="other"), "format and version"),
        (lambda said: said.update(version=2), "format and version"),
        (lambda said: said.update(layers=None), "'layers' must be of type list"),
        (lambda said: said.update(layers=[None, None]), "layer 0 is not described by a JSON object"),
        (lambda said: said.update(labels=["a", "b"]), "there are 2 labels"),
        (lambda said: said["layers"].pop(), "must be in 'layer0.weights8.bin', not 'hweights8.bin'"),
        (lambda said: said["layers"][0].pop("positive"), "layer 0: 'positive' must be of type list"),
        (lambda said: said["layers"][0].update(positive=[1] * 4), "layer 0: negative must be int32 [4]"),
        (lambda said: said["layers"][0].update(positive=[2**31] * 5), "layer 0: 'positive' must fit int32"),
        (lambda said: said["layers"][0].update(negative=[-1] * 5), "multipliers must not be negative"),
        (lambda said: said["layers"][0].update(negative=[1.0] * 5), "'negative' must be of type int"),
        (lambda said: said["layers"][0].update(weights=None), "layer 0: 'weights' must be of type dict"),
        (lambda said: said["layers"][0]["weights"].update(shape=[]), "layer 0: weights of []"),
        (lambda said: said["layers"][0]["weights"].update(shape=[0, 12]), "layer 0: weights of [0, 12]"),
        (lambda said: said["layers"][0]["weights"].update(shape=[1 << 30, 12]), "layer 0: weights of [1073741824, 12]"),
        (lambda said: said["layers"][0]["weights"].update(shape=[12, 5]), "bias must be int32 [12]"),
        (lambda said: said["layers"][0]["weights"].update(file="../../etc/passwd"), "must be in 'hweights8.bin'"),
        (lambda said: said["layers"][0].update(shift=63), "shift must lie in 1..62"),
        (lambda said: said["layers"][0].update(type="max_pool"), "layer 1: weights must be in 'layer1.weights8.bin'"),
        (lambda said: said["layers"][1].update(type="lstm"), "layer 0: weights must be in 'layer0.weights8.bin'"),
    ],
)
def test_descriptions_that_cannot_be(tmp_path: Path, bend: Callable[[dict[str, Any]], Any], fact: str) -> None:
    assert fact in bent(bend, tmp_path / "raw")


def test_weights_that_a_network_cannot_have(tmp_path: Path) -> None:
    raw.export(example(), tmp_path / "raw")
    path = tmp_path / "raw" / "hweights8.bin"
    path.write_bytes(b"\x80" + path.read_bytes()[1:])
    assert "layer 0: weights must lie in -127..127" in refusal(tmp_path / "raw")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_damage_is_a_model_error_or_a_network(tmp_path: Path, data: st.DataObject) -> None:
    directory = tmp_path / "raw"
    raw.export(example(), directory)
    path = directory / data.draw(st.sampled_from(sorted(FOUR | {"model.json"})))
    damaged = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(damaged)
    try:
        raw.load(directory)
    except ModelError:
        refusal(directory)
    for left in directory.iterdir():
        left.unlink()


def test_the_command_line_goes_there_and_back(tmp_path: Path) -> None:
    modelfile.save(example(), tmp_path / "a.safetensors")
    given = [str(tmp_path / name) for name in ("a.safetensors", "raw", "b.safetensors")]
    exported = CliRunner().invoke(main, ["export", given[0], "--raw", given[1]])
    assert (exported.exit_code, exported.output) == (0, f"{given[1]}\n")
    imported = CliRunner().invoke(main, ["import", "--raw", given[1], "--output", given[2]])
    assert (imported.exit_code, imported.output) == (0, f"{given[2]}: test, 12-5-3\n")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_the_command_line_refuses(tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, ["import", "--raw", str(tmp_path), "--output", str(tmp_path / "b")])
    assert missing.exit_code == 1
    assert "has no model.json" in missing.output
    assert not (tmp_path / "b").exists()
    for arguments in (["export", "mnist"], ["export", "mnist", "--raw", str(tmp_path / "raw"), "--check", "bundled"]):
        assert CliRunner().invoke(main, arguments).exit_code == 2
    assert not (tmp_path / "raw").exists()


def test_the_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    network = modelfile.load(modelfile.resolve("mnist"))
    raw.export(network, tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    exec(example, known)  # noqa: S102
    images, _ = images_labels()
    assert [known["scores"](image).tolist() for image in images[:20]] == reference.scores(network, images[:20]).tolist()


def test_reading_is_bounded_by_what_is_promised(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read(tmp_path / "a", 5, "") == b"12345"
    with pytest.raises(ModelError, match="larger than 4 bytes; shorten it"):
        files.read(tmp_path / "a", 4, "shorten it")
    assert np.frombuffer(files.read(tmp_path / "a", 5, ""), np.uint8).sum() == sum(b"12345")
