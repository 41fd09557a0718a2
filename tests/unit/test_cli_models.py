"""``ebpfnn models``, and names that are nearly right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.cli.models import RECORDED_NS
from ebpfnn.errors import ModelError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def told(*arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(CliRunner().invoke(main, ["models", "--json", *arguments]).stdout)
    return found


@pytest.mark.usefixtures("place")
def test_what_ships_is_listed_with_what_is_known_of_it() -> None:
    rows = {row["name"]: row for row in told()}
    assert list(rows) == modelfile.bundled()
    mnist = rows["mnist"]
    assert mnist["file"] == str(modelfile.BUNDLED / "mnist.safetensors")
    assert mnist["bytes"] == (modelfile.BUNDLED / "mnist.safetensors").stat().st_size
    assert (mnist["architecture"], mnist["input"]) == ("784-32-10", {"shape": [28, 28], "bits": 8, "packed": False})
    assert (mnist["accuracy"], mnist["data"]) == ("98.20%", "MNIST (LeCun, Cortes, Burges)")
    assert (mnist["ns"], mnist["ns_source"]) == (812, "recorded")


def test_what_lies_here_is_listed_with_nothing_made_up(place: Path) -> None:
    modelfile.save(random_network((9, 5, 3), seed=1), place / "small.safetensors")
    (place / "broken.safetensors").write_bytes(b"no")
    (place / "x.float.safetensors").write_bytes(b"no")
    ran = CliRunner().invoke(main, ["models", "--json"])
    small = json.loads(ran.stdout)[-1]
    assert (small["name"], small["file"], small["architecture"]) == ("test", "small.safetensors", "9-5-3")
    assert (small["accuracy"], small["data"], small["ns"], small["ns_source"]) == (None, None, None, None)
    assert ran.stderr.startswith("ebpfnn: broken.safetensors: ")
    assert (ran.stderr.count("\n"), ran.exit_code) == (1, 0)


def test_a_pipe_is_given_one_row_a_line_and_nothing_else(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    modelfile.save(random_network((9, 5, 3), seed=1), place / f"{'long' * 30}.safetensors")
    head, *rows = [re.split(" {2,}", line) for line in CliRunner().invoke(main, ["models"]).stdout.splitlines()]
    assert head == ["name", "architecture", "input", "bits", "accuracy", "ns", "size"]
    assert [row[0] for row in rows] == [*modelfile.bundled(), f"{'long' * 30}.safetensors"]
    assert rows[1][:6] == ["mnist", "784-32-10", "28x28", "8", "98.20%", "812"]
    assert {len(row) for row in rows} == {len(head)}


def test_the_table_fits_a_terminal_and_says_where_times_are_from(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    for module in ("tables", "models"):
        monkeypatch.setattr(f"ebpfnn.cli.{module}.on_terminal", lambda: True)
    modelfile.save(random_network((9, 5, 3), seed=1), place / "small.safetensors")
    ran = CliRunner().invoke(main, ["models"])
    assert max(map(len, ran.stdout.splitlines())) <= 80
    assert all(f"\n{name} " in ran.stdout for name in [*modelfile.bundled(), "small.safetensors"])
    assert "ns: time of one inference on " in ran.stdout


def test_recorded_times_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    front = page.partition("## The front")[2].partition("\n## ")[0]
    assert all(re.search(rf"\b{ns:,}\b", front) for ns in RECORDED_NS.values())
    assert RECORDED_NS.keys() <= set(modelfile.bundled())


@pytest.mark.parametrize(("name", "near"), [("mnits", "mnist"), ("mnist-cn", "mnist-cnn"), ("fashoin", "fashion")])
def test_a_network_that_is_nearly_named_is_told(name: str, near: str) -> None:
    with pytest.raises(ModelError, match=rf"network '{name}' not found; did you mean '{near}'.*\?$"):
        modelfile.resolve(name)


def test_a_network_that_is_like_none_has_them_all_listed() -> None:
    with pytest.raises(ModelError, match=r"network 'x' not found; give a path, or a bundled one: fashion, mnist,"):
        modelfile.resolve("x")
