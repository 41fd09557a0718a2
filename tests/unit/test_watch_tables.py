"""What `ebpfnn watch` shows on a terminal."""

from __future__ import annotations

import io
import time
from dataclasses import replace

import pytest
from rich.console import Console

from ebpfnn.cli import watch_tables
from ebpfnn.cli.watch_tables import Tally, as_line
from ebpfnn.errors import KernelError
from ebpfnn.instance import Event


def event(index: int, status: int = 0) -> Event:
    return Event(time.monotonic_ns(), 1500, 7, status, "" if status else "ab"[index], index, 250, 0.01, "small")


@pytest.fixture
def tally() -> Tally:
    return Tally(("a", "b"))


def test_a_line_tells_what_how_sure_how_long_and_whose() -> None:
    assert as_line(event(1)).split("  ", 1)[1] == "b  2.50  1.50 µs  source 7  small"
    assert as_line(event(0, -2)).split("  ", 1)[1] == f"failed: {KernelError.describe(2)}  -  -  source 7  small"


def test_a_score_without_a_unit_is_shown_as_it_is() -> None:
    alone = replace(event(1), score=1250, score_scale=None)
    assert as_line(alone).split("  ", 1)[1] == "b  score 1,250  1.50 µs  source 7  small"


def test_the_page_has_a_rate_a_histogram_and_the_last_events(tally: Tally) -> None:
    for each in [*[event(0)] * 3, event(1), event(0, -2)]:
        tally.add(each)
    tally.lost = 4
    page = io.StringIO()
    Console(file=page, width=100).print(watch_tables._page("one", tally))
    head, _headings, *rows = page.getvalue().splitlines()
    assert head.startswith("one: 5 inferences, ")
    assert head.endswith("per second, 4 lost; press Ctrl-C to stop")
    assert [row.split()[:2] for row in rows[:3]] == [["a", "3"], ["b", "1"], ["(failed)", "1"]]
    assert [row.count("█") for row in rows[:3]] == [40, 13, 13]
    assert rows[3].split("  ")[0] == "time"
    assert rows[3].split()[-2:] == ["source", "network"]
    assert len(rows) == 4 + 5
    assert "failed: ENOENT" in rows[4]  # the newest comes first


def test_the_rate_is_that_of_the_last_seconds(tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [tally._begun]
    monkeypatch.setattr("ebpfnn.cli.watch_tables.time.monotonic", lambda: clock[0])
    rates = []
    for second in range(1, 9):
        clock[0] = tally._begun + second
        tally.total += 100 if second <= 4 else 0
        rates.append(tally.rate())
    assert rates[3] == pytest.approx(100)
    assert rates[-1] == 0
