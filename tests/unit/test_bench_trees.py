"""What trees are measured beside: the same nodes and leaves in scikit-learn, onnxruntime and C."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from ebpfnn.bench.rows import Row, net
from ebpfnn.bench.runner import Runner
from ebpfnn.bench.tree_native import tree_runners
from ebpfnn.bench.tree_rows import boosted, tree_rows
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.trees import Forest, Tree, reference

LARGE = 1 << 27


@pytest.fixture(scope="module", autouse=True)
def libraries() -> None:
    """Loads what keeps files of its own open."""
    for name in ("sklearn.ensemble", "onnxruntime", "treelite", "tl2cgen"):
        if find_spec(name.partition(".")[0]):
            import_module(name)


def tree(random: np.random.Generator, depth: int, size: int, classes: int, label: int | None = None) -> Tree:
    """A tree in which every path has ``depth`` nodes, or a leaf alone; it adds to ``label``, or to all."""
    nodes = 2**depth - 1
    below = np.arange(1, 2 * nodes + 1).reshape(nodes, 2)
    children = np.where(below < nodes, below, nodes - 1 - below).astype(np.int32)
    leaves = random.integers(-LARGE, LARGE, (nodes + 1, classes)).astype(np.int32)
    if label is not None:
        leaves[:, np.arange(classes) != label] = 0
    values = random.integers(0, size, nodes).astype(np.int32)
    return Tree(values, random.integers(1, 256, nodes).astype(np.uint8), children, leaves)


def forest(classes: int, depths: list[int], *, each: bool = False) -> Forest:
    random = np.random.default_rng(classes)
    trees = [tree(random, depth, 6, classes, n % classes if each else None) for n, depth in enumerate(depths)]
    labels = tuple(f"c{n}" for n in range(classes))
    result = "label" if classes > 1 else "value"
    return Forest("f", InputFormat((2, 3)), labels, tuple(trees), tuple(range(3, 3 + classes)), result=result)


FORESTS = {
    "one tree": forest(3, [4]),
    "a leaf alone": forest(2, [0]),
    "several": forest(4, [3, 0, 5, 2]),
    "boosted": forest(3, [3, 2, 4, 1, 1, 0], each=True),
    "a value": forest(1, [3, 4]),
}


@pytest.mark.parametrize("name", FORESTS)
def test_peers_compute_the_same(name: str) -> None:
    made, left_out = FORESTS[name], dict[str, str]()
    random = np.random.default_rng(1)
    samples = random.integers(0, 256, (60, 2, 3)).astype(np.uint8)
    samples[0], samples[1] = 0, 255
    for place, node in enumerate(range(min(made.trees[0].nodes, 8))):  # on the threshold, and below it
        value, threshold = int(made.trees[0].values[node]), int(made.trees[0].thresholds[node])
        samples[2 + 2 * place].flat[value], samples[3 + 2 * place].flat[value] = threshold, threshold - 1
    expected = reference.scores(made, samples)
    runners: list[Runner] = [*tree_rows(made, left_out), *tree_runners(made, left_out)]
    for runner in runners:
        runner.load(samples)
        assert runner.run(60) > 0
        found = runner.scores(60)
        assert found.shape == expected.shape
        if runner.exact:
            assert np.array_equal(found, expected), runner.name
        else:  # float32 has 24 bits
            assert np.abs(found - expected.astype(float)).max() <= LARGE * len(made.trees) / 1e6, runner.name
        runner.aim(7)
        assert runner.run_one() > 0
    named = {runner.name for runner in runners}
    assert named | set(left_out) == {"scikit-learn", "onnxruntime", "tl2cgen"}
    assert boosted(made) == (name == "boosted")


def test_the_libraries_write_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tl2cgen")
    assert list(tree_runners(FORESTS["several"], {}))
    assert capfd.readouterr() == ("", "")


def test_what_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    absent: dict[str, Any] = dict.fromkeys(("sklearn", "onnxruntime", "tl2cgen"))
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("ebpfnn.bench.tree_rows.find_spec", lambda name: None if name in absent else find_spec("json"))
    monkeypatch.setattr("ebpfnn.bench.tree_native.find_spec", lambda name: None if name in absent else find_spec("json"))
    left_out: dict[str, str] = {}
    assert [*tree_rows(FORESTS["several"], left_out), *tree_runners(FORESTS["several"], left_out)] == []
    assert set(left_out.values()) == {f"{name} is not installed" for name in absent}


def test_the_harness_is_subtracted_by_its_least_time() -> None:
    rows = [
        Row("empty", "n", "data", given=5, rounds=[10.0, 12.0]),
        Row("compiled:plan", "n", "data", given=5, rounds=[15.0, 16.0]),
        Row("numpy", "n", "data", given=5, rounds=[100.0, 90.0]),
        Row("empty", "n", "data", "cold", given=5, rounds=[50.0, 40.0]),
        Row("compiled", "n", "data", "cold", given=5, rounds=[80.0, 90.0]),
        Row("compiled", "other", "data", given=5, rounds=[7.0]),
    ]
    assert [row.rounds for row in net(rows)] == [[5.0, 6.0], [100.0, 90.0], [40.0, 50.0], [7.0]]
    assert rows[1].rounds == [15.0, 16.0]
