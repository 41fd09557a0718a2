"""Training from a table: bounds are learned from the training rows alone, and the file that comes out infers rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ebpfnn import datasets
from ebpfnn.bodies import modelfile
from ebpfnn.cli.eval import command as evaluate
from ebpfnn.cli.train import command
from ebpfnn.datasets import tables
from ebpfnn.errors import InputError, ModelError, UsageError
from ebpfnn.network import reference
from ebpfnn.plugin import Plugins
from ebpfnn.preparation import encoders
from ebpfnn.training import Options, Precision, columns, cuts
from ebpfnn.training.class_weights import class_weights
from ebpfnn.training.data import load
from ebpfnn.training.splitting import set_aside

ROWS = 240


def table(path: Path, rows: int = ROWS, seed: int = 0) -> Path:
    """Flows of two classes, told apart by port and size together, with a constant and an identity that tell nothing."""
    random = np.random.default_rng(seed)
    port, size = random.choice([53, 80, 443, 8080], rows), random.integers(40, 1500, rows)
    bad = (port > 100) & (size > 700)
    lines = ["id,port,size,version,session,verdict"]
    lines += [
        f"{n},{p},{s},4,s{n // 6},{'bad' if b else 'good'}" for n, (p, s, b) in enumerate(zip(port, size, bad, strict=True))
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def options(tmp_path: Path, data: Path, **fields: Any) -> Options:
    return Options(tmp_path / "made.safetensors", data, threads=1, **{"ignore": ("id", "session"), **fields})


def trained(tmp_path: Path, *more: str) -> Any:
    data = table(tmp_path / "flows.csv")
    made = ["--data", str(data), "--ignore", "id,session", "--threads", "1", "--epochs", "40", "--batch-size", "32"]
    ran = CliRunner().invoke(command, [*made, "--output", str(tmp_path / "made.safetensors"), *more], catch_exceptions=False)
    assert ran.exit_code == 0, ran.stderr
    return ran


def test_an_architecture_for_as_many_inputs_as_the_columns_get(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    trained(tmp_path, "--bits", "1", "--arch", "in-5-4-2", "--epochs", "1")
    made = modelfile.load(tmp_path / "made.safetensors")
    assert made.architecture == made.card["architecture"] == f"{made.input.size}-5-4-2"
    assert made.input.size > 3


@pytest.mark.parametrize("bits", ["8", "4", "1"])
def test_a_csv_becomes_a_network_that_knows_its_rows(tmp_path: Path, bits: str) -> None:
    pytest.importorskip("torch")
    ran = trained(tmp_path, "--bits", bits)
    assert "labels: column 'verdict', 2 classes; --label names another" in ran.stderr
    assert "left out, of one value: version" in ran.stderr
    network = modelfile.load(tmp_path / "made.safetensors")
    assert network.labels == ("bad", "good")
    assert network.input.packed == (bits == "1")
    assert network.card["label"] == "verdict"
    assert [each["name"] for each in network.input.preparation.options["columns"]] == ["port", "size"]
    new = table(tmp_path / "new.csv", seed=1)
    wanted = Plugins.installed().wanted(network.input)
    samples, labels = datasets.read(new, "test", wanted.one, network.labels, "verdict")
    assert (reference.labels(network, samples) == labels).mean() > 0.9


def test_eval_finds_the_label_and_tells_of_one_class(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    trained(tmp_path)
    new = table(tmp_path / "new.csv", seed=1)
    given = [str(tmp_path / "made.safetensors"), "--data", str(new), "--no-kernel", "--json"]
    ran = CliRunner().invoke(evaluate, [*given, "--positive", "bad", "--false-positives", "0.02"], catch_exceptions=False)
    told = json.loads(ran.stdout)
    assert told["detection"]["positive"] == "bad"
    assert told["detection"]["auc"] > 0.95
    assert told["detection"]["false_positives"] <= 0.02 * told["detection"]["others"]
    assert json.loads(CliRunner().invoke(evaluate, given).stdout)["detection"] is None
    ran = CliRunner().invoke(
        evaluate, [*given[:-1], "--positive", "bad", "--report", str(tmp_path / "page")], catch_exceptions=False
    )
    assert f"bad against all others: AUC {told['detection']['auc']:.5f} (" in ran.stdout
    assert "<h2>bad against all others</h2>" in (tmp_path / "page" / "index.html").read_text()
    assert json.loads((tmp_path / "page" / "eval.json").read_text())["detection"]["roc"] == told["detection"]["roc"]
    ran = CliRunner().invoke(evaluate, [*given, "--positive", "bads"])
    assert (ran.exit_code, "did you mean" in ran.stderr) == (2, True)


def test_a_table_takes_columns_alone_and_nothing_else_takes_them(tmp_path: Path) -> None:
    data = table(tmp_path / "flows.csv")
    with pytest.raises(UsageError, match="--prepare glyph: the data are a table, which takes 'columns' alone; leave out"):
        load(options(tmp_path, data, prepare="glyph"), Plugins.installed())
    assert load(options(tmp_path, data, prepare="columns"), Plugins.installed()).preparation.kind == "columns"
    arrays = tmp_path / "x.npz"
    np.savez(arrays, samples=np.eye(8, dtype=np.uint8), labels=np.arange(8) % 2)
    Image.new("L", (8, 8)).save(folder(tmp_path / "images" / "a") / "1.png")
    Image.new("L", (8, 8)).save(folder(tmp_path / "images" / "b") / "1.png")
    for other in (arrays, tmp_path / "images"):
        with pytest.raises(UsageError, match="--prepare columns: the data are no table; name another kind, or leave out"):
            load(options(tmp_path, other, prepare="columns"), Plugins.installed())


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def test_bounds_come_from_training_rows_alone(tmp_path: Path) -> None:
    data = table(tmp_path / "flows.csv")
    before = load(options(tmp_path, data), Plugins.installed())
    lines = data.read_text().splitlines()
    rest, tested = set_aside(np.arange(ROWS), ROWS // 6, None)
    _, held_out = set_aside(rest, len(rest) // 12, None)
    for row in (*tested, *held_out):
        cells = lines[row + 1].split(",")
        lines[row + 1] = ",".join([cells[0], "65535", "1", *cells[3:]])
    data.write_text("\n".join(lines) + "\n")
    after = load(options(tmp_path, data), Plugins.installed())
    assert after.preparation == before.preparation
    assert after.test.samples.tolist() != before.test.samples.tolist()
    assert (len(before.test.labels), len(before.held_out.labels)) == (len(tested), len(held_out)) == (40, 16)


def test_the_default_bytes_reach_far_into_0_to_255(tmp_path: Path) -> None:
    data = load(options(tmp_path, table(tmp_path / "flows.csv")), Plugins.installed())
    assert (data.training.samples.max(axis=0) > 127).all()


def test_a_session_is_on_one_side(tmp_path: Path) -> None:
    data = table(tmp_path / "flows.csv")
    whole = tables.load(data, ignored=["id"], split_by="session")
    assert list(whole.columns) == ["port", "size", "version"]
    rows = np.arange(ROWS)
    rest, tested = set_aside(rows, ROWS // 6, whole.groups)
    training, held_out = set_aside(rest, 16, whole.groups)
    sides = [{int(row) // 6 for row in side} for side in (training, held_out, tested)]
    assert sorted(row for side in (training, held_out, tested) for row in side) == rows.tolist()
    assert sum(map(len, sides)) == len(set.union(*sides)) == ROWS // 6
    assert (len(tested), len(held_out)) == (42, 18)
    assert load(options(tmp_path, data, ignore=("id",), split_by="session"), Plugins.installed()).test.samples.shape == (42, 2)


def test_two_parts_are_not_split(tmp_path: Path) -> None:
    (tmp_path / "both").mkdir()
    table(tmp_path / "both" / "train.csv", 100)
    table(tmp_path / "both" / "test.csv", 60, seed=2)
    data = load(options(tmp_path, tmp_path / "both"), Plugins.installed())
    assert (len(data.training.labels), len(data.held_out.labels), len(data.test.labels)) == (92, 8, 60)


@pytest.mark.parametrize(
    ("fields", "fact"),
    [
        (
            {"ignore": ("id",)},
            "flows.csv:1: column 'session': 's0' is not a number; turn it into numbers, or leave it out with --ignore",
        ),
        ({"label": "kind"}, "no column 'kind', but id, port"),
        ({"label": "version", "ignore": ("id", "session", "verdict")}, "column 'version' has 1 classes"),
        ({"ignore": ("id", "sesion")}, "did you mean"),
        ({"split_by": "sesion"}, "did you mean"),
        ({"ignore": ("id", "session", "port", "size", "version")}, "no columns besides"),
        ({"ignore": ("id", "session", "port", "size")}, "no column has more than one value"),
        ({"columns": "prot=bins"}, "no column 'prot' to learn from; did you mean"),
        ({"columns": "port"}, "'port' is no column and its encoder"),
        ({"columns": "port=bin"}, "encoder 'bin' is not known"),
        ({"columns": "port=bins:256"}, "a number in 1..255"),
        ({"columns": "port=bins:0"}, "a number in 1..255"),
        ({"columns": "port=linear:3"}, "takes no number"),
        ({"columns": "port=log2:8"}, "a number in 0..7"),
        ({"columns": "port=log2:7,size=log2:7"}, "more steps than a byte counts"),
        ({"encode": "thermometer"}, "give thermometer to --bits 1"),
        ({"encode": "bins", "precision": Precision(1)}, "give thermometer to --bits 1"),
    ],
)
def test_what_is_refused(tmp_path: Path, fields: dict[str, Any], fact: str) -> None:
    with pytest.raises((InputError, ModelError)) as caught:
        load(options(tmp_path, table(tmp_path / "flows.csv"), **fields), Plugins.installed())
    assert fact in str(caught.value)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("a,class\n1,x\n,y\n", "x.csv:2: column 'a': no value; turn it into numbers"),
        ("a,class\n1,x\n2,\n", "x.csv:2: no label"),
        ("a,class\n1,x\n2\n", "x.csv:2: 1 fields"),
        ("a,class\n-1,x\n18446744073709551615,y\n" + "1,x\n" * 5000, None),
        ("a,class\n" + "-1,x\n" * 4096 + "18446744073709551615,y\n", "negative numbers beside"),
        ("a,class\n", "no rows"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, text: str, fact: str | None) -> None:
    (tmp_path / "x.csv").write_text(text)
    if fact is None:
        assert tables.load(tmp_path / "x.csv").columns["a"].dtype == np.float64
        return
    with pytest.raises(InputError) as caught:
        tables.load(tmp_path / "x.csv")
    assert fact in str(caught.value)


def test_too_many_numbers_are_refused_before_they_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "MAX_CELLS", 600)
    with pytest.raises(InputError, match="over 600 numbers"):
        tables.load(table(tmp_path / "flows.csv"), ignored=["id", "session"])


@pytest.mark.parametrize(
    ("names", "given", "found"),
    [
        (["a", "class", "b"], "", "class"),
        (["Label", "a"], "", "Label"),
        (["a", "b"], "", "b"),
        (["label", "b"], "b", "b"),
    ],
)
def test_the_label_column(names: list[str], given: str, found: str) -> None:
    assert tables.label_column(names, given) == found


@pytest.mark.parametrize(
    ("cell", "name"), [("tcp ", "tcp"), (1.0, "1"), ("1.0", "1"), ("1.50", "1.50"), (True, "1"), (-1, "-1"), (np.int64(3), "3")]
)
def test_class_names(cell: Any, name: str) -> None:
    assert tables.class_name(cell, "x") == name


def test_classes_are_numbers_by_value_then_words(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,label\n" + "".join(f"{n},{name}\n" for n, name in enumerate(["b", "10", "9", "a", "9"])))
    found = tables.load(tmp_path / "x.csv")
    assert found.classes == ("9", "10", "a", "b")
    assert found.labels.tolist() == [3, 1, 0, 2, 0]


def information(values: Sequence[int], labels: Sequence[int], bound: int) -> float:
    """What a bound takes from the entropy, in plain Python."""

    def disorder(of: list[int]) -> float:
        return -sum(of.count(label) * np.log2(of.count(label) / len(of)) for label in set(of))

    sides = [[label for value, label in zip(values, labels, strict=True) if (value >= bound) == side] for side in (False, True)]
    return disorder(list(labels)) - sum(map(disorder, sides))


@given(st.lists(st.tuples(st.integers(-9, 9), st.integers(0, 2)), min_size=2, max_size=40))
def test_the_first_bound_gains_most(rows: list[tuple[int, int]]) -> None:
    values, labels = zip(*rows, strict=True)
    found = cuts.by_labels(np.array(values), np.array(labels), 1)
    least = max(1, len(rows) // 4)
    parts = {bound: sum(value >= bound for value in values) for bound in range(min(values) + 1, max(values) + 1)}
    allowed = [bound for bound, reached in parts.items() if least <= reached <= len(rows) - least]
    gains = [information(values, labels, bound) for bound in allowed]
    if max(gains, default=0) < 1e-6:
        assert found == []
    else:
        assert information(values, labels, found[0]) == pytest.approx(max(gains))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=50), st.integers(1, 20))
def test_bounds_rise_and_part_the_values(values: list[int], count: int) -> None:
    labels = np.arange(len(values)) % 3
    for bounds in (cuts.by_quantiles(np.array(values), count), cuts.by_labels(np.array(values), labels, count)):
        assert len(bounds) <= count
        assert bounds == sorted(set(bounds))
        assert all(min(values) < bound <= max(values) for bound in bounds)
        parts = {sum(value >= bound for bound in bounds) for value in values}
        assert parts == set(range(len(bounds) + 1))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30), st.integers(1, 9))
def test_bounds_of_floats_part_the_values(values: list[float], count: int) -> None:
    bounds = cuts.by_labels(np.array(values), np.arange(len(values)) % 2, count)
    assert {sum(value >= bound for bound in bounds) for value in values} == set(range(len(bounds) + 1))


def test_as_few_quantiles_as_values() -> None:
    assert cuts.by_quantiles(np.array([3, 3, 9, 5]), 16) == [4, 7]
    assert cuts.by_quantiles(np.arange(100), 3) == [25, 50, 75]


def test_many_distinct_values_are_looked_at_by_quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "CANDIDATES", 64)
    values = np.arange(10_000)
    (bound,) = cuts.by_labels(values, (values >= 5000).astype(int), 1)
    assert abs(bound - 5000) <= 10_000 // 64


def test_log2_learns_the_finest_steps_that_a_byte_counts() -> None:
    values = np.array([0, 5, 1500])
    (found,) = columns.learn({"x": values}, np.array([0, 1, 1]), {}, columns.Asked("log2"), 8)
    assert found == {"name": "x", "type": "integer", "encode": "log2", "low": 4, "high": 1500, "fraction": 4, "step": 1}
    assert 127 < len(encoders.log2(4, 1500, 4, "integer")) <= 255
    with pytest.raises(InputError, match="nothing above 0"):
        columns.learn({"x": values - 1500}, np.array([0, 1, 1]), {}, columns.Asked("log2"), 8)


def test_infinite_values_are_learned_from() -> None:
    values = np.array([1.0, np.inf, 2.0, -np.inf])
    (found,) = columns.learn({"x": values}, np.array([0, 1, 0, 1]), {}, columns.Asked("bins"), 8)
    assert np.isfinite(found["bounds"]).all()
    assert len(found["bounds"]) == 2


def test_class_weights() -> None:
    labels, names = np.array([0, 0, 0, 1]), ("a", "b", "c")
    assert class_weights("", labels, names) is None
    assert class_weights("a=2.5,c=4", labels, names).tolist() == [2.5, 1, 4]
    balanced = class_weights("balanced", labels, names)
    assert balanced[:2].tolist() == pytest.approx([4 / 6, 2])
    assert sum(balanced[label] for label in labels) == pytest.approx(len(labels))
    for text, fact in (
        ("d=1", "no class 'd'"),
        ("a=0", "no weight in"),
        ("a=nan", "no weight"),
        ("a", "no class ''"),
        ("a=1e99", "no weight"),
    ):
        with pytest.raises(ModelError, match=fact):
            class_weights(text, labels, names)


def test_class_weights_are_in_the_loss() -> None:
    torch = pytest.importorskip("torch")
    from ebpfnn.training.loop import _loss

    logits, labels = torch.tensor([[2.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 1])
    own = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    weighted = _loss(logits, labels, None, None, torch.tensor([1.0, 3.0]))
    assert float(weighted) == pytest.approx(float((own[0] + 3 * own[1]) / 4))


def test_a_column_that_is_not_there_is_told_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,class\n1,x\n")
    with pytest.raises(InputError, match=r"x\.csv: no column 'verdict'"):
        tables.load(tmp_path / "x.csv", "verdict")
    with pytest.raises(InputError, match=r"x\.csv: no column 'verdict'"):
        tables.read(tmp_path / "x.csv", lambda _: np.zeros(1, np.uint8), ("x",), "verdict")
