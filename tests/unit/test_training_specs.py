"""Training on collected rows: the network carries their spec, and its columns are results of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from guards import FLOW

from ebpfnn.bodies import modelfile
from ebpfnn.cli.train import command
from ebpfnn.errors import InputError, ModelError, UsageError
from ebpfnn.events import build, describe
from ebpfnn.network.events import carried
from ebpfnn.plugin import Plugins
from ebpfnn.preparation.tables.collected import SPEC, encode_about
from ebpfnn.quantize import floatfile
from ebpfnn.training import Options
from ebpfnn.training.data import Data, load

SPEC_OF_ROWS: dict[str, Any] = {
    **FLOW,
    "column": [
        {"name": "length", "reduce": "first", "of": "length", "n": 2},
        {"name": "gap", "reduce": "max", "of": "gap", "encode": {"kind": "bins", "bounds": [100, 1000]}},
    ],
}
ABOUT = carried(describe(build(SPEC_OF_ROWS)), "xdp", "generic")
NAMES = ("length.1", "length.2", "gap")


def rows(count: int = 120, seed: int = 1) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    columns = {name: random.integers(0, 2000, count).astype(np.uint64) for name in NAMES}
    label = np.where(columns["length.1"] > 900, "big", "small")
    own = {"key": [f"tgid={n}" for n in range(count)], "number": np.ones(count, np.uint64), "time": np.arange(count)}
    return {**columns, **own, "label": label, "group": np.arange(count) // 4}


def collected(path: Path, about: dict[str, Any] = ABOUT, **more: Any) -> Path:
    np.savez(path, **rows(), **{SPEC: np.frombuffer(encode_about(about), np.uint8)}, **more)
    return path


def as_csv(path: Path) -> Path:
    data = rows()
    lines = [",".join(data), *(",".join(map(str, row)) for row in zip(*data.values(), strict=True))]
    path.write_text("\n".join(lines) + "\n")
    return path


def read(tmp_path: Path, data: Path, **options: Any) -> Data:
    return load(Options(tmp_path / "made.safetensors", data, **options), Plugins.installed())


def test_a_network_carries_the_spec_of_its_data(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    data, made = collected(tmp_path / "rows.npz"), tmp_path / "made.safetensors"
    ran = CliRunner().invoke(command, ["--data", str(data), "--epochs", "1", "--threads", "1", "--output", str(made)])
    assert ran.exit_code == 0, ran.output
    network = modelfile.load(made)
    assert dict(network.events) == ABOUT
    assert dict(floatfile.load(floatfile.beside(made)).events) == ABOUT
    assert [each["name"] for each in network.input.preparation.options["columns"]] == list(NAMES)


def test_bounds_of_the_spec_are_taken_and_others_learned(tmp_path: Path) -> None:
    data = read(tmp_path, collected(tmp_path / "rows.npz"))
    first, _, gap = data.preparation.options["columns"]
    assert gap == {"name": "gap", "type": "integer", "encode": "bins", "bounds": [100, 1000], "step": 127}
    assert len(first["bounds"]) == 1  # what tells the classes apart
    asked = read(tmp_path, collected(tmp_path / "rows.npz"), columns="gap=bins:5")
    assert len(asked.preparation.options["columns"][2]["bounds"]) == 5


def test_a_spec_beside_a_table_without_one(tmp_path: Path) -> None:
    data = as_csv(tmp_path / "rows.csv")
    assert read(tmp_path, data).events == {}
    toml = tmp_path / "flow.toml"
    toml.write_text(
        'name = "flow"\nkey = "flow"\n[[event]]\ntrigger = "xdp"\n'
        '[[column]]\nname = "length"\nreduce = "first"\nof = "length"\nn = 2\n'
        '[[column]]\nname = "gap"\nreduce = "max"\nof = "gap"\n'
    )
    found = read(tmp_path, data, spec=str(toml)).events
    assert (found["trigger"], found["mode"], found["spec"]["name"]) == ("xdp", "", "flow")
    with pytest.raises(InputError, match=r"collected with another spec than '.*flow.toml'; leave out --spec"):
        read(tmp_path, collected(tmp_path / "rows.npz"), spec=str(toml))
    with pytest.raises(ModelError, match="spec 'nothing' not found"):
        read(tmp_path, data, spec="nothing")


def test_a_column_that_is_no_result_of_the_spec(tmp_path: Path) -> None:
    data = collected(tmp_path / "rows.npz", gaps=np.arange(120))
    with pytest.raises(InputError, match=r"column 'gaps' is no result of spec 'flow'; did you mean 'gap'\?.*--ignore gaps"):
        read(tmp_path, data)
    assert read(tmp_path, data, ignore=("gaps",)).events == ABOUT


def test_two_files_of_two_specs(tmp_path: Path) -> None:
    collected(tmp_path / "train.npz")
    collected(tmp_path / "test.npz", {**ABOUT, "mode": "native"})
    with pytest.raises(InputError, match=r"test.npz: its rows were collected with another spec, trigger or mode than"):
        read(tmp_path, tmp_path)
    collected(tmp_path / "test.npz")
    assert read(tmp_path, tmp_path).events == ABOUT


@pytest.mark.parametrize(
    "about", [{"spec": {}}, {**ABOUT, "mode": "x"}, {**ABOUT, "trigger": 3}, {**ABOUT, "spec": {"name": "a", "column": 5}}]
)
def test_a_damaged_spec(tmp_path: Path, about: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"rows.npz: its spec is damaged.*; collect again"):
        read(tmp_path, collected(tmp_path / "rows.npz", about))


def test_pictures_have_no_spec(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", samples=np.zeros((9, 4), np.uint8), labels=np.arange(9) % 2)
    with pytest.raises(UsageError, match="--spec: the data are no table"):
        read(tmp_path, tmp_path / "a.npz", spec="flow")
