"""The plans of the showcase of files, and the simulator, which does nothing where it was not asked to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools" / "showcase"))
plan, running = import_module("file_plan"), import_module("file_running")

TEXT = b"what was written" * 400


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) is installed")
    with running.simulator() as built:
        return Path(shutil.copy(built, tmp_path_factory.mktemp("built")))


def files(place: Path) -> dict[str, bytes]:
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("data/a", "data/below/b", "outside"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(TEXT)
    (tmp_path / "data" / "link").symlink_to("../outside")
    (tmp_path / "data" / "up").symlink_to("..")
    return tmp_path


def test_the_same_seed_gives_the_same_sessions() -> None:
    assert plan.plan(1, 2, 3) == plan.plan(1, 2, 3) != plan.plan(2, 2, 3)
    groups = [session.group for session in plan.plan(1, 2, 3)]
    assert len(set(groups)) == len(groups) == sum(2 if tool.label == plan.BENIGN else 3 for tool in plan.TOOLS)


def test_trees_are_bounded() -> None:
    for session in plan.plan(1, 20, 20):
        sizes = [size for _, size in session.tree.files]
        assert 20 <= len(sizes) <= 300
        assert max(sizes) <= 200_000


@pytest.mark.parametrize("pattern", ["copy", "overwrite", "replace"])
def test_nothing_changes_in_a_directory_that_is_not_the_showcases(pattern: str, simulator: Path, place: Path) -> None:
    before = files(place)
    ran = subprocess.run([simulator, pattern, "4096", "0", "100"], cwd=place / "data", capture_output=True, check=False)
    assert ran.returncode == 2
    assert b"not in a directory of the showcase" in ran.stderr
    assert files(place) == before


@pytest.mark.parametrize(("pattern", "suffix"), [("copy", ".locked"), ("overwrite", ".locked"), ("replace", "")])
def test_what_it_does_in_one_that_is(pattern: str, suffix: str, simulator: Path, place: Path) -> None:
    (place / "data" / running.MARK).touch()
    subprocess.run([simulator, pattern, "512", "0", "100"], cwd=place / "data", check=True)
    left = files(place)
    assert left.pop("outside") == TEXT
    assert left.pop("data/link") == TEXT
    assert set(left) == {f"data/{running.MARK}", f"data/a{suffix}", f"data/below/b{suffix}"}
    assert len(left[f"data/a{suffix}"]) == len(TEXT)
    assert TEXT[:100] not in left[f"data/a{suffix}"]


def test_a_part_of_each_file(simulator: Path, place: Path) -> None:
    (place / "data" / running.MARK).touch()
    subprocess.run([simulator, "overwrite", "512", "0", "20"], cwd=place / "data", check=True)
    changed = (place / "data" / "a.locked").read_bytes()
    assert changed[:512] != TEXT[:512]
    assert changed[-4096:] == TEXT[-4096:]


@pytest.mark.parametrize("size", [0, 1, 5000])
def test_contents(size: int) -> None:
    assert len(running.content(".txt", 1, size)) == size
    assert running.content(".c", 7, size).startswith(b"int f7(")
