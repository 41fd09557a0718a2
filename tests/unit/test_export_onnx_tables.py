"""Networks of tables and cascades as ONNX, run by onnxruntime itself: the same integers in every score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import around_own, conv2d, dense, input_format, network, own_format, random_network, samples, small_weights
from tablenets import cascade, table, table_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.errors import ModelError
from ebpfnn.exporters.onnx import export
from ebpfnn.exporters.onnx_check import run
from ebpfnn.importers import load
from ebpfnn.network import QuantizedNetwork, reference
from ebpfnn.network.layers import ByteLanes, MaxPool, Shape, Table, Window
from ebpfnn.network.network import Next

pytest.importorskip("onnx", reason="the package onnx is not installed")
pytest.importorskip("onnxruntime", reason="the package onnxruntime is not installed")


def many(shape: int | Shape, seed: int = 1) -> np.ndarray:
    return np.concatenate([samples(shape, seed + number) for number in range(6)])


def expect_equal(made: QuantizedNetwork, path: Path, given: np.ndarray) -> None:
    export(made, path)
    ours = reference.scores(made, given)
    theirs = run(path, given, "scores")
    assert theirs.dtype == np.int32
    assert np.array_equal(ours, theirs)
    if made.then is None:
        assert np.allclose(run(path, given), ours * made.score_scale, rtol=1e-6)


@pytest.mark.parametrize("largest", [1, 20, 600, 32767])
@pytest.mark.parametrize("shift", [0, 1, 7])
def test_tables_and_bytes_that_wrap_and_carry(tmp_path: Path, largest: int, shift: int) -> None:
    made = table_network(largest, shift=shift, largest=largest, score_scale=0.25)
    expect_equal(made, tmp_path / "a.onnx", many((8, 8)))


@pytest.mark.parametrize("outputs", [1, 7, 8, 9, 17])
def test_words_that_are_not_full(tmp_path: Path, outputs: int) -> None:
    made = table_network(outputs, (5, 3), (outputs, 3), tile=None, largest=300)
    expect_equal(made, tmp_path / "a.onnx", many((5, 3)))


def test_a_carry_that_runs_through_a_whole_word(tmp_path: Path) -> None:
    bias = np.array([-129, *[-128] * 7, 127, *[127] * 8], np.int32)
    first = Table(np.zeros((1, 2, 17), np.int16), bias, np.zeros((1, 1), np.int32), ByteLanes(0))
    made = network([first, table(1, 17, 3, bits=8)], input_format((1,), 1))
    expect_equal(made, tmp_path / "a.onnx", np.array([[0], [255]], np.uint8))


def test_promises_of_exact_bytes(tmp_path: Path) -> None:
    made = table_network(1, largest=2)
    first = made.layers[0]
    assert isinstance(first, Table)
    exact = replace(made, layers=(replace(first, requantization=ByteLanes(2, exact=True)), table(2, 11, 4, bits=6, members=1)))
    expect_equal(exact, tmp_path / "a.onnx", many((8, 8)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("architecture", ["conv4x3s2p1-dw3-pool2-5", "conv4x3p1-pool3s2p1-conv6x3g2-5", "9-6", "gap"])
def test_layers_of_weights_in_integers(tmp_path: Path, architecture: str, seed: int) -> None:
    """Of the second network of a cascade, in which it decides everything."""
    shape = {"9-6": (3, 3), "gap": (5, 3, 3)}.get(architecture, (2, 11, 13))
    second = random_network(architecture, seed, shape)
    first = network([dense(np.zeros((len(second.labels), second.input.size)), np.zeros(len(second.labels)))], second.input)
    expect_equal(cascade(first, second), tmp_path / "a.onnx", samples(shape, seed))


def test_padding_and_pools_of_negative_values(tmp_path: Path) -> None:
    negative = conv2d(-np.ones((1, 1, 1, 1)), [-1], Window((1, 1)), low=-128, high=127)
    padded = conv2d(np.arange(9).reshape(1, 1, 3, 3), [1], Window((3, 3), (2, 1), (2, 1, 0, 1)), pad_value=7)
    pool = MaxPool(Window((3, 3), (2, 2), (1, 1, 1, 1)))
    for layers in ([negative, pool, dense(np.eye(4), np.zeros(4))], [negative, padded]):
        form = input_format((4, 4))
        second = network(layers, form)
        classes = len(second.labels)
        first = network([dense(np.zeros((classes, 16)), np.zeros(classes))], form)
        expect_equal(cascade(first, second), tmp_path / "a.onnx", many((4, 4)))


def test_levels_of_more_bits_and_values_with_thresholds_of_their_own(tmp_path: Path) -> None:
    form = own_format(13, 2, 3)
    expect_equal(network([table(1, 13, 3, bits=2)], form), tmp_path / "a.onnx", around_own(form))
    mixed = [*small_weights((13, 6, 4), form, 1).layers[:1], table(1, 6, 4, bits=8, low=-128)]
    expect_equal(network(mixed, form), tmp_path / "a.onnx", around_own(form))


def test_a_cascade_says_who_decided(tmp_path: Path) -> None:
    first, second = table_network(1, score_scale=0.5), table_network(3, score_scale=2.0)
    made = cascade(first, second, table_network(7, score_scale=3.0), margin=40)
    given = many((8, 8))
    expect_equal(made, tmp_path / "a.onnx", given)
    stage = run(tmp_path / "a.onnx", given, "stage")
    alone = [reference.scores(each, given) for each in (first, second)]
    on = [reference.margins(each) < 40 for each in alone]
    assert stage.tolist() == [(1 + int(on[1][n])) * int(on[0][n]) for n in range(len(given))]
    assert set(stage.tolist()) == {0, 1, 2}
    scales = np.array([0.5, 2.0, 3.0])[stage]
    assert np.allclose(run(tmp_path / "a.onnx", given), reference.scores(made, given) * scales[:, None], rtol=1e-6)


def test_networks_of_other_bits_in_a_cascade(tmp_path: Path) -> None:
    first = table_network(1, packed=False)
    second = random_network("conv2x3-4", 2, (8, 8))
    expect_equal(replace(first, then=Next(second, 60)), tmp_path / "a.onnx", many((8, 8)))


def ran(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["export", *arguments], prog_name="ebpfnn")


def test_the_check_of_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    modelfile.save(cascade(table_network(1), table_network(3)), "a.safetensors")
    given = many((8, 8))
    np.savez("data.npz", samples=given, labels=np.arange(len(given)) % 4)
    done = ran("a.safetensors", "--onnx", "a.onnx", "--check", "data.npz")
    assert f"onnxruntime gives the same scores for {len(given)} of " in done.output
    assert done.exit_code == 0
    from ebpfnn.exporters import onnx_check

    def other(path: Path, some: np.ndarray, output: str) -> np.ndarray:
        found = run(path, some, output).copy()
        found[5, 3] += 1
        return found

    monkeypatch.setattr(onnx_check, "run", other)
    done = ran("a.safetensors", "--onnx", "a.onnx", "--check", "data.npz")
    assert "sample 5: " in done.output
    assert f"the same scores for {len(given) - 1} of " in done.output
    assert done.exit_code == 1


def test_the_importer_says_what_to_do(tmp_path: Path) -> None:
    for made in (table_network(1), cascade(table_network(1), table_network(3))):
        export(made, tmp_path / "a.onnx")
        with pytest.raises(ModelError, match=r"a.onnx: is a graph, a network of tables or a cascade, .*; .*export --raw"):
            load(tmp_path / "a.onnx")
