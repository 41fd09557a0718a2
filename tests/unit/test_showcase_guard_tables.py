"""The figures of the showcase of a guard, on runs that were made up."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools" / "showcase"))
tables, lab = map(import_module, ("guard_tables", "guard_lab"))


def run(done: int, acted: set[int], attack: int = 10) -> Any:
    """Ten honest connections that count and one that does not, four slow ones of which one is too late, and a flood."""
    honest = [(40_000 + n, 3.0, n < done) for n in range(10)] + [(40_100, 0.5, False)]
    slow = [(30_000 + n, 1.0, False) for n in range(3)] + [(30_003, 7.5, False)]
    sent = {"syn": attack, "ack": 500, "scan": 0, "slow": 40, "honest": 100}
    passed = {**dict.fromkeys(sent, 0), "syn": 5}
    return tables.Run("a", "all", lab.Outcome(honest, slow, sent, passed, {"server": 1.0}, 10.0), acted, 0.5, 8.0)


def test_what_was_acted_on_is_counted_by_port() -> None:
    found = run(10, {9_000, 9_100, 9_101, 30_000, 30_003, 40_001, 40_100})
    assert [found.flows(kind) for kind in ("scan", "ack", "syn", "slow")] == [(0, 0), (1, 1), (10, 2), (3, 1)]
    assert found.hurt == 1
    assert tables.f1([found], lab.PORTS) == pytest.approx(2 * 4 / (14 + 4 + 1))


def test_a_guard_that_does_nothing_looks_like_it() -> None:
    _, _, nothing = tables.table([run(2, set())], [run(8, set())]).splitlines()
    assert nothing == "| a | 25.0% | 10 | 8 (49.02%-94.33%) | - | 0.9% | - | 0.15 | 0.050 |"
    assert tables.f1([run(2, set())], lab.PORTS) == 0


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(0, 3000, 0, 0.00128), (3000, 3000, 0.99872, 1), (5, 10, 0.2366, 0.7634)]
)
def test_intervals(count: int, of: int, low: float, high: float) -> None:
    """As Wilson's formula gives them, and never outside of 0 and 1."""
    assert tables.wilson(count, of) == pytest.approx((low, high), abs=1e-4)
