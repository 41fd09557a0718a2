"""Measuring, with rows that are played: what is timed, compared and told."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from ebpfnn_plugins.run import RunTrigger
from networks import random_network, samples
from numpy.typing import NDArray

from ebpfnn.bench import measure
from ebpfnn.bench.inputs import Inputs, corner_inputs, dense_inputs, few_of, noise_inputs, sparse_inputs
from ebpfnn.bench.measure import FEW, RUNS, Bench, on_the_way, time_cold, time_warm
from ebpfnn.bench.plot import front, plot, points
from ebpfnn.bench.rows import FIELDS, CodeSize, Row, baseline, peer, share, times_faster
from ebpfnn.bench.runner import Runner
from ebpfnn.bodies import modelfile
from ebpfnn.cli import bench_inputs, main
from ebpfnn.errors import InputError
from ebpfnn.network import QuantizedNetwork, encoding, reference
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.network.network import Next
from ebpfnn.network.preparation import Preparation


class PlayedRunner(Runner):
    """Takes as many nanoseconds a sample as it is told, and is wrong by ``off``."""

    def __init__(self, name: str, network: QuantizedNetwork, ns: float = 10, off: int = 0) -> None:
        super().__init__(name, len(network.labels))
        self.network, self.ns, self.off = network, ns, off
        self.calls: list[int] = []
        self.aimed: list[int] = []

    def load(self, samples: NDArray[np.uint8]) -> None:
        self.samples = samples

    def run(self, runs: int) -> float:
        self.calls.append(runs)
        return runs * self.ns

    def aim(self, index: int) -> None:
        self.aimed.append(index)

    def run_one(self) -> float:
        return 3 * self.ns

    def scores(self, count: int) -> NDArray[Any]:
        return reference.scores(self.network, self.samples[:count]) + self.off


class Compiled(PlayedRunner):
    def code(self) -> CodeSize:
        return CodeSize(20, 30, 4096, 5.0)


class Shifted(PlayedRunner):
    """In floats: every score is off by the same, which no label minds."""

    exact = False


class Empty(PlayedRunner):
    exact = None


SMALL = random_network((16, 4, 3), 1)


def played(network: QuantizedNetwork) -> list[PlayedRunner]:
    rows = [PlayedRunner("naive", network, 100), Compiled("compiled", network), PlayedRunner("wrong", network, off=1)]
    return [*rows, Shifted("floats", network, off=1), Empty("empty", network, 1)]


@pytest.fixture
def runners(monkeypatch: pytest.MonkeyPatch) -> dict[str, PlayedRunner]:
    """The rows of every network that is added, by their name and the network's."""
    made: dict[str, PlayedRunner] = {}

    def play(_bench: Bench, network: QuantizedNetwork, _images: int) -> Iterator[PlayedRunner]:
        for runner in played(network):
            made[f"{runner.name} {network.name}"] = runner
            yield runner

    monkeypatch.setattr(Bench, "_runners", play)
    return made


def measured(only: Sequence[str] = (), *, cold: bool = False) -> list[Row]:
    given = samples(16, 1)
    labels = reference.scores(SMALL, given).argmax(axis=1).astype(np.uint8)
    with Bench(RunTrigger(), only) as bench:
        bench.add(SMALL, [Inputs("sparse", given, labels), dense_inputs(SMALL, len(given))])
        bench.warm(range(3))
        if cold:
            bench.cold(range(2))
        return bench.rows


def test_every_row_is_measured_over_every_input_in_every_round(runners: dict[str, PlayedRunner]) -> None:
    rows = measured()
    assert [(row.name, row.input) for row in rows] == [
        (name, kind) for name in ("naive", "compiled", "wrong", "floats", "empty") for kind in ("sparse", "dense")
    ]
    assert all(len(row.rounds) == 3 and row.cache == "warm" for row in rows)
    assert {row.name: row.ns_min for row in rows} == {"naive": 100, "compiled": 10, "wrong": 10, "floats": 10, "empty": 1}


def test_what_is_compared_with_the_reference(runners: dict[str, PlayedRunner]) -> None:
    told = {row.name: (row.exact, row.agreement, row.accuracy) for row in measured() if row.input == "sparse"}
    assert told["compiled"] == (True, 1, 1)
    assert told["wrong"] == (False, 1, 1)
    assert told["floats"] == (None, 1, 1)
    assert told["empty"] == (None, None, None)
    assert {row.accuracy for row in measured() if row.input == "dense"} == {None}


def test_a_row_that_was_wrong_once_stays_wrong(runners: dict[str, PlayedRunner]) -> None:
    given = dense_inputs(SMALL, 4)
    with Bench(RunTrigger()) as bench:
        bench.add(SMALL, [given])
        bench.warm(range(1))
        runners["wrong test"].off = 0
        bench.warm(range(1))
        assert [row.exact for row in bench.rows if row.name == "wrong"] == [False]


def test_cold_rows_are_rows_apart(runners: dict[str, PlayedRunner]) -> None:
    cold = [row for row in measured(cold=True) if row.cache == "cold"]
    assert [row.input for row in cold] == ["sparse"] * 5
    assert {(row.given, row.samples) for row in cold} == {(16, 16)}
    assert {row.name: row.ns_min for row in cold}["naive"] == 300
    assert all(len(row.rounds) == 2 for row in cold)
    assert {row.exact for row in cold if row.name == "compiled"} == {True}


def test_rows_may_be_named(runners: dict[str, PlayedRunner]) -> None:
    assert {row.name for row in measured(["naive", "wrong"])} == {"naive", "wrong"}


def test_a_call_is_long_and_in_whole_turns() -> None:
    quick = PlayedRunner("quick", SMALL)
    assert time_warm(quick, 500) == (10, 500)
    assert quick.calls == [500, 6000]
    many = PlayedRunner("many", SMALL)
    assert time_warm(many, RUNS) == (10, RUNS)
    assert many.calls == [FEW, RUNS, RUNS]
    short = PlayedRunner("short", SMALL)
    assert time_warm(short, 500, most=1700) == (10, 500)
    assert short.calls == [500, 1500]


def test_a_slow_row_runs_fewer_samples_and_says_so() -> None:
    slow = PlayedRunner("slow", SMALL, ns=100_000)
    assert time_warm(slow, RUNS) == (100_000, 2500)
    assert slow.calls == [FEW, 2500, 2500]
    slower = PlayedRunner("slower", SMALL, ns=1e9)
    assert time_warm(slower, RUNS) == (1e9, FEW)
    assert slower.calls == [FEW, FEW]


def test_few_samples_are_a_kind_apart(runners: dict[str, PlayedRunner]) -> None:
    many = dense_inputs(SMALL, 20)
    (few,) = few_of(many, 8)
    assert few_of(few, 8) == []
    with Bench(RunTrigger(), ["compiled"]) as bench:
        bench.add(SMALL, [many, few])
        bench.warm(range(1))
        runner = runners["compiled test"]
        assert np.array_equal(runner.samples, many.samples[:8])
        assert runner.calls == [20, RUNS // 20 * 20, 8, RUNS // 20 * 20 // 8 * 8]
        assert [(row.given, row.samples, row.kind) for row in bench.rows] == [
            (20, 20, ("dense", "warm", 20)),
            (8, 8, ("dense", "warm", 8)),
        ]
        bench.cold(range(1))
        assert [row.given for row in bench.rows] == [20, 8, 20]


def test_caches_are_emptied_before_every_cold_run(monkeypatch: pytest.MonkeyPatch) -> None:
    walks: list[int] = []
    runner = PlayedRunner("played", SMALL)
    monkeypatch.setattr(measure, "_EVICTING", 640)
    monkeypatch.setattr(runner, "run_one", lambda: walks.append(len(runner.aimed)) or 7.0)
    assert time_cold(runner, 3, 2) == [7, 7]
    assert runner.aimed == [0, 1, 2, 0, 1, 2]
    assert walks == [1, 2, 3, 4, 5, 6]


def test_ratios() -> None:
    rows = [Row("naive", "a", "sparse", rounds=[30, 40]), Row("naive", "b", "sparse", rounds=[90]), Row("x", "b", "sparse")]
    rows[2].rounds = [10, 20, 60]
    assert (rows[2].ns_min, rows[2].ns_median) == (10, 20)
    assert times_faster(rows[2], baseline(rows, "naive", rows[2])) == 9
    other = Row("x", "c", "sparse", rounds=[10])
    assert times_faster(other, baseline(rows, "naive", other)) == 3
    dense = Row("x", "a", "dense", rounds=[10])
    assert times_faster(dense, baseline(rows, "naive", dense)) is None


def test_the_peer_is_vnni_or_the_fastest() -> None:
    rows = [
        Row("numpy", "a", "sparse", rounds=[50, 90]),
        Row("avx2-maddubs", "a", "sparse", rounds=[30]),
        Row("avx512-tables", "b", "sparse", rounds=[5]),
        Row("compiled", "b", "sparse", rounds=[10]),
    ]
    assert peer(rows) == "avx2-maddubs"
    assert share(rows[3], baseline(rows, "avx2-maddubs", rows[3])) == 10 / 30
    assert peer([*rows, Row("avx512-vnni", "a", "sparse", rounds=[40])]) == "avx512-vnni"
    assert peer(rows[2:]) is None
    assert share(rows[3], None) is None
    few = Row("compiled", "b", "sparse", given=8, rounds=[10])
    assert baseline(rows, "avx2-maddubs", few) is None


def test_what_goes_on_in_a_cascade() -> None:
    given = samples(16, 1)
    first, second, third = (replace(random_network((16, 3), seed), name=f"n{seed}") for seed in (1, 2, 3))
    lead = reference.margins(reference.scores(first, given))
    margin = int(np.sort(lead)[8]) + 1
    assert on_the_way(first, given) == ()
    two = replace(first, then=Next(second, margin))
    goes_on = np.count_nonzero(lead < margin)
    assert 0 < goes_on < len(given)
    assert on_the_way(two, given) == (goes_on / len(given),)
    three = replace(first, then=Next(replace(second, then=Next(third, 1)), margin))
    reached = given[lead < margin]
    tied = np.count_nonzero(reference.margins(reference.scores(second, reached)) < 1)
    assert on_the_way(three, given) == (goes_on / len(given), tied / len(given))
    never = replace(first, then=Next(replace(second, then=Next(third, 1)), 1))
    assert on_the_way(never, given[lead > 0]) == (0, 0)


def test_the_front_is_of_the_fastest_exact_row_of_each_network() -> None:
    rows = [
        Row("compiled", "a", "sparse", exact=True, rounds=[30]),
        Row("compiled:packed", "a", "sparse", exact=True, rounds=[20]),
        Row("compiled:rows", "a", "sparse", exact=False, rounds=[1]),
        Row("compiled", "a", "dense", exact=True, rounds=[2]),
        Row("compiled", "b", "sparse", exact=True, rounds=[10]),
        Row("avx2-intrinsics", "b", "sparse", exact=True, rounds=[5]),
        Row("compiled", "b", "sparse", "cold", exact=True, rounds=[3]),
    ]
    for row in rows:
        row.given = 60
    rows.append(Row("compiled", "a", "sparse", exact=True, given=5, rounds=[1]))
    found = points(rows)
    assert [(row.network, row.name) for row in found] == [("b", "compiled"), ("a", "compiled:packed")]
    assert front(found, {"a": 0.9, "b": 0.8}) == found
    assert front(found, {"a": 0.8, "b": 0.8}) == found[:1]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_dense_inputs_have_nothing_to_skip(bits: int) -> None:
    net = random_network([40, 3], 1, bits=bits)
    given = dense_inputs(net, 50).samples
    assert given.min() == (*net.input.thresholds, 1)[0]
    assert given.max() == 255


@pytest.mark.parametrize("bits", [1, 8])
def test_noise_has_every_level(bits: int) -> None:
    net = random_network([40, 3], 1, bits=bits)
    given = noise_inputs(net, 50)
    levels = encoding.levels(net.input, given.samples)
    assert (given.kind, given.samples.shape, levels.min(), levels.max()) == ("noise", (50, 40), 0, net.input.highest)


def test_dense_inputs_reach_thresholds_of_their_own() -> None:
    form = InputFormat((3,), 1, value_thresholds=((9,), (255,), (256,)))
    given = dense_inputs(replace(random_network([3, 3], 1, bits=1), input=form), 200).samples
    assert given.min(axis=0).tolist() == [9, 255, 255]


def test_samples_that_do_not_fit() -> None:
    with pytest.raises(InputError, match=r"the samples have shape 4x5, but 'test' takes 16; give others with --data DIR"):
        sparse_inputs(SMALL, np.zeros((2, 4, 5), np.uint8), np.zeros(2, np.uint8))
    assert sparse_inputs(SMALL, np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.uint8)).samples.shape == (2, 16)


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of digits, in a file; the trigger is not asked for anything."""
    path = tmp_path / "digits.safetensors"
    modelfile.save(random_network((784, 2, 10), 1), path)
    monkeypatch.chdir(tmp_path)
    return path


def bench(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["bench", "--rounds", "1", "--images", "8", *arguments], prog_name="ebpfnn")


def test_json_is_a_list_of_rows(runners: dict[str, PlayedRunner], digits: Path) -> None:
    ran = bench("--model", str(digits), "--json", "--cold")
    rows = json.loads(ran.stdout)
    assert all(tuple(row) == FIELDS for row in rows)
    old = ("name", "network", "input", "cache", "ns_min", "ns_median", "exact", "agreement", "accuracy")
    assert set(old) < set(FIELDS)
    assert {(row["input"], row["cache"]) for row in rows} == {("sparse", "warm"), ("sparse", "cold"), ("dense", "warm")}
    assert [row["exact"] for row in rows if row["name"] == "wrong"] == [False] * 3
    assert {row["samples"] for row in rows} == {8}
    assert {row["verified"] for row in rows if row["name"] == "compiled"} == {30}
    assert {row["verified"] for row in rows if row["name"] == "naive"} == {None}
    assert ran.exit_code == 1


def told(text: str) -> dict[str, list[str]]:
    """The lines of a table by their first word: its cells, which two spaces or more separate."""
    return {line.split()[0]: re.split(" {2,}", line.strip()) for line in text.splitlines() if line.strip()}


def test_the_table_tells_ratios_and_what_is_wrong(runners: dict[str, PlayedRunner], digits: Path) -> None:
    ran = bench("--model", str(digits))
    assert "test: ns per inference, minimum / median" in ran.stdout
    lines = told(ran.stdout)
    assert lines["row"][:4] == ["row", "sparse 8", "dense 8", "x naive"]
    assert lines["row"][-4:] == ["instructions", "verified", "tables KB", "load ms"]
    assert lines["compiled"][:4] == ["compiled", "10 / 10", "10 / 10", "10.00"]
    assert lines["compiled"][-4:] == ["20", "30", "4", "5"]
    assert lines["wrong"][1:3] == ["10 / 10 NO", "10 / 10 NO"]
    assert "NO" in lines["wrong"][3:]
    assert "100.0% of labels" in ran.stdout
    assert ran.exit_code == 1
    assert bench("--model", str(digits), "--row", "compiled").exit_code == 0
    shown = told(bench("--model", str(digits), "--row", "compiled", "--noise", "--cold").stdout)["row"]
    assert shown[1:5] == ["sparse 8", "dense 8", "noise 8", "sparse, cold"]


def test_too_few_samples_are_told(runners: dict[str, PlayedRunner], digits: Path) -> None:
    ran = bench("--model", str(digits), "--row", "compiled", "--images", "600")
    assert ran.stderr == ("ebpfnn: 512 samples of 'test', not 600: branch predictors learn few; give more with --data\n")
    assert bench("--model", str(digits), "--row", "compiled").stderr == ""


def test_more_samples_than_a_branch_predictor_learns(
    runners: dict[str, PlayedRunner], digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_inputs, "FEW", 6)
    monkeypatch.setattr(PlayedRunner, "scores", lambda self, count: reference.scores(self.network, self.samples[:count]))
    lines = told(bench("--model", str(digits), "--row", "compiled", "--row", "naive").stdout)
    assert lines["row"][1:4] == ["sparse 8", "sparse 6", "dense 8"]
    assert lines["compiled"][1:5] == ["10 / 10", "10 / 10", "10 / 10", "10.00"]


def test_a_slow_row_is_told(runners: dict[str, PlayedRunner], digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "FEW", 4)
    monkeypatch.setattr(measure, "_LONGEST_CALL_NS", 70)
    lines = bench("--model", str(digits), "--row", "compiled", "--row", "naive").stdout.splitlines()
    assert "test, naive: 4 of 8 samples, since it is slow" in lines
    assert "test, compiled: 7 of 8 samples, since it is slow" in lines


def test_the_front_is_one_table(runners: dict[str, PlayedRunner], digits: Path) -> None:
    other = Path("other.safetensors")
    modelfile.save(replace(modelfile.load(digits), name="other"), other)
    ran = bench("--model", str(digits), "--model", str(other), "--front")
    heads, *lines = (re.split(" {2,}", line.strip()) for line in ran.stdout.splitlines()[1:])
    assert heads[:7] == ["network", "row", "takes", "accuracy", "sparse 8", "noise 8", "sparse, cold"]
    assert [line[:3] for line in lines] == [["empty", "u8", "1 / 1"], ["test", "compiled*", "u8"], ["other", "compiled", "u8"]]
    assert lines[1][4:7] == ["10 / 10", "10 / 10", "30 / 30"]
    assert ran.exit_code == 0
    assert set(runners) == {
        f"{name} {network}" for name in ("naive", "compiled", "wrong", "floats", "empty") for network in ("test", "other")
    }


def test_the_front_has_the_bundled_networks_of_digits(runners: dict[str, PlayedRunner], tmp_path: Path) -> None:
    ran = bench("--front", "--row", "compiled")
    assert ran.exit_code == 0, ran.stderr
    found = {name.split()[1] for name in runners}
    assert {"mnist", "mnist-1bit", "mnist-1bit-64", "mnist-128", "mnist-table-128", "mnist-cascade"} <= found
    assert not {"mnist-cnn", "fashion"} & found


def test_rows_that_are_left_out_are_told(
    runners: dict[str, PlayedRunner], digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_out(bench: Bench, network: QuantizedNetwork, _images: int) -> Iterator[PlayedRunner]:
        yield PlayedRunner("compiled", network)
        bench.left_out |= {(network.name, name): f"'{network.name}' is too old" for name in ("torch", "numpy")}

    monkeypatch.setattr(Bench, "_runners", left_out)
    assert bench("--model", str(digits)).stderr == "ebpfnn: left out of test: torch, numpy: is too old\n"
    assert bench("--model", str(digits), "--row", "compiled").stderr == ""
    ran = bench("--model", str(digits), "--row", "torch")
    assert (ran.exit_code, "row 'torch' is left out: 'test' is too old" in ran.stderr) == (2, True)


def test_mistakes_in_what_is_asked(runners: dict[str, PlayedRunner], digits: Path) -> None:
    assert (
        "row 'nonesuch' does not exist; there are naive, compiled,"
        in bench("--model", "digits.safetensors", "--row", "nonesuch").stderr
    )
    twice = bench("--model", "digits.safetensors", "--model", "digits.safetensors")
    assert "two networks have the name 'test'" in twice.stderr
    assert (twice.exit_code, bench("--model", "digits.safetensors", "--images", "6145").exit_code) == (2, 2)
    named = bench("--model", "digits.safetensors", "--plot", "front.pdf")
    assert "front.pdf: a plot is written as .svg or .png; give such a name" in named.stderr


@pytest.fixture(scope="module")
def fonts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Draws once: matplotlib keeps the files of its fonts open."""
    pytest.importorskip("matplotlib")
    row = Row("compiled", "a", "sparse", exact=True, rounds=[1])
    for name in ("front.svg", "front.png"):
        plot([row], {"a": 0.5}, tmp_path_factory.mktemp("fonts") / name)


@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize("name", ["front.svg", "front.png"])
def test_plots(runners: dict[str, PlayedRunner], digits: Path, name: str) -> None:
    ran = bench("--model", str(digits), "--row", "compiled", "--row", "naive", "--plot", name)
    assert ran.exit_code == 0, ran.stderr
    assert Path(name).read_bytes().startswith(b"<?xml" if name.endswith("svg") else b"\x89PNG")


def test_a_plot_without_matplotlib(runners: dict[str, PlayedRunner], digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    assert "pip install 'ebpfnn[report]'" in bench("--model", str(digits), "--plot", "front.svg").stderr


def columns_network(encode: str, bounds: int, **member: int) -> QuantizedNetwork:
    """Two columns: one of a single bound, and one of ``bounds``."""
    described = [
        {"name": name, "type": "integer", "encode": encode, "bounds": list(range(count)), **member}
        for name, count in (("one", 1), ("more", bounds))
    ]
    size = 1 + bounds if encode == "thermometer" else 2
    form = InputFormat((size,), prepared=Preparation("columns", {"columns": described}))
    return replace(random_network([size, 3], 1), input=form)


@pytest.mark.parametrize("shape", [(3, 5, 7), (11, 13), (24,)], ids=str)
@pytest.mark.parametrize("bits", [1, 8])
def test_corners_have_the_shape_and_the_levels_of_the_network(shape: tuple[int, ...], bits: int) -> None:
    net = random_network(f"{prod(shape)}-3", 1, shape, bits=bits)
    drawn = {given.kind: given.samples for given in corner_inputs(net, 200)}
    assert list(drawn) == ["drawn-blank", "drawn-sparse", "drawn-dense", "drawn-noise"]
    assert {(samples.shape, samples.dtype.name) for samples in drawn.values()} == {((200, *shape), "uint8")}
    lowest = (*net.input.thresholds, 1)[0]
    assert not drawn["drawn-blank"].any()
    assert drawn["drawn-dense"].min() == lowest
    assert (drawn["drawn-noise"].min(), drawn["drawn-noise"].max()) == (0, 255)
    some = drawn["drawn-sparse"][drawn["drawn-sparse"] > 0]
    assert some.min() >= lowest
    assert 0.1 < some.size / drawn["drawn-sparse"].size < 0.15


def test_corners_of_columns_are_samples_that_rows_can_give() -> None:
    drawn = {given.kind: given.samples for given in corner_inputs(columns_network("bins", 5, step=40), 400)}
    assert np.unique(drawn["drawn-noise"][:, 0]).tolist() == [0, 40]
    assert np.unique(drawn["drawn-noise"][:, 1]).tolist() == [0, 40, 80, 120, 160, 200]
    assert np.unique(drawn["drawn-dense"][:, 1]).tolist() == [40, 80, 120, 160, 200]
    drawn = {given.kind: given.samples for given in corner_inputs(columns_network("thermometer", 5), 400)}
    assert {tuple(row) for row in drawn["drawn-noise"][:, 1:].tolist()} == {(1,) * n + (0,) * (5 - n) for n in range(6)}
    assert drawn["drawn-dense"].all()


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of two columns in ``columns.safetensors``, and rows with classes."""
    modelfile.save(replace(columns_network("bins", 5, step=40), name="columns"), tmp_path / "columns.safetensors")
    (tmp_path / "rows.csv").write_text("one,more,class\n0,0,0\n0,3,1\n-1,4,2\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "rows.csv"


def test_samples_are_drawn_for_networks_of_other_shapes(runners: dict[str, PlayedRunner], table: Path) -> None:
    ran = bench("--model", "columns.safetensors", "--row", "compiled")
    assert ran.exit_code == 0, ran.stderr
    assert ran.stderr == "ebpfnn: no --data given; samples of 'columns' are drawn: blank, sparse, dense and noise\n"
    assert told(ran.stdout)["row"][1:5] == [f"drawn-{kind} 8" for kind in ("blank", "sparse", "dense", "noise")]
    assert runners["compiled columns"].samples.shape == (8, 2)
    plotted = bench("--model", "columns.safetensors", "--plot", "front.svg")
    assert "--plot needs samples with labels for 'columns'; give some with --data" in plotted.stderr


def test_samples_are_given_to_networks_of_other_shapes(runners: dict[str, PlayedRunner], table: Path) -> None:
    ran = bench("--model", "columns.safetensors", "--data", str(table), "--label", "class", "--row", "compiled", "--json")
    assert ran.exit_code == 0, ran.stderr
    rows = json.loads(ran.stdout)
    assert [row["input"] for row in rows] == ["data", "dense"]
    assert (rows[0]["accuracy"] is None, rows[1]["accuracy"]) == (False, None)
    wrong = bench("--model", "columns.safetensors", "--data", "nonesuch.csv")
    assert (wrong.exit_code, len(wrong.stderr.splitlines())) == (1, 1)
    assert "nonesuch.csv" in wrong.stderr
