"""What ``make oracle`` does, for as many specs as take some 20 seconds; and that it would see a fault."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from . import edges, judge, worlds
from .tell import Difference, Tally

SPECS = 30
root = pytest.mark.root


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("objects")


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ebpfnn keeps the verifier's log of what is refused."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.slow
@root
@pytest.mark.usefixtures("logs")
def test_random_specs_are_right_in_the_twin_and_in_the_kernel(objects: Path) -> None:
    tally, told = Tally(), list[Difference]()
    judge.judge_many(iter(range(SPECS)), tally, objects, told.append)
    assert not told, "\n".join(map(str, told))
    assert tally.specs == SPECS
    assert tally.loads >= 4 * SPECS
    assert tally.rows > 50 * SPECS
    assert tally.verdicts > 10 * SPECS


@pytest.mark.slow
@root
@pytest.mark.usefixtures("logs")
@pytest.mark.parametrize(("what", "world", "spec"), list(edges.specs()), ids=lambda each: each if isinstance(each, str) else "")
def test_specs_at_the_limits_are_right(objects: Path, what: str, world: worlds.World, spec: dict[str, Any]) -> None:
    tally = Tally()
    found = judge.Judge(5, tally, objects, world, spec)
    found.events = found.events[:25]
    found.judge()
    assert not tally.differences, "\n".join(map(str, tally.differences))
    assert tally.verdicts > 10


def test_random_specs_are_right_in_the_twin(objects: Path) -> None:
    tally, told = Tally(), list[Difference]()
    judge.judge_many(iter(range(1000, 1060)), tally, objects, told.append, kernel=False)
    assert not told, "\n".join(map(str, told))
    assert tally.rows > 2000


def test_what_is_beyond_a_limit_is_refused() -> None:
    tally, told = Tally(), list[Difference]()
    judge.judge_refusals(tally, told.append)
    assert not told, "\n".join(map(str, told))
    assert tally.refused > 300
