"""How long the end of an instance waits for links that cannot be detached, by a clock of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ebpfnn.errors import KernelError
from ebpfnn.instance import links


class Held:
    """A link that another process has open until ``gone`` seconds, and keeps its id as long."""

    clock = 0.0

    def __init__(self, number: int, gone: float) -> None:
        self.number, self.gone = number, gone

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def info(self) -> Any:
        return SimpleNamespace(id=self.number)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that detaches links which go after these many seconds, and returns how long it waited."""

    def wait(*gone: float) -> float:
        every = [Held(number, seconds) for number, seconds in enumerate(gone)]

        def from_id(number: int) -> Held:
            if Held.clock >= every[number].gone:
                raise KernelError("no such link", 2)
            return every[number]

        def sleep(seconds: float) -> None:
            Held.clock += seconds

        monkeypatch.setattr(Held, "clock", 0.0)
        monkeypatch.setattr(links, "time", SimpleNamespace(monotonic=lambda: Held.clock, sleep=sleep))
        monkeypatch.setattr(links, "Link", SimpleNamespace(from_id=from_id))
        monkeypatch.setattr(links, "_detached", lambda _: every)
        with links.detaching(Path("gone")):
            pass
        return Held.clock

    return wait


def test_all_links_are_waited_for(waited: Any) -> None:
    assert 0.3 <= waited(0.1, 0.3, 0.2) < 0.31


def test_links_that_others_keep_are_waited_for_a_second_in_all(waited: Any) -> None:
    """A perf event has a link on each CPU."""
    assert 1.0 <= waited(*[60.0] * 64) < 1.1
