"""What an instance does a second, counted for a while."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ..errors import KernelError
from ..kernel.inspect.stats import run_statistics
from . import figures
from .pins import Pins


@dataclass(frozen=True)
class Rates:
    """What happened in ``seconds``, a second: ``runs`` of the attached program, others' events included, and ``answered``.

    ``mean_ns`` is the time of a run, None where nothing ran. ``runs`` is None too where the kernel did not count, for the
    reason in ``uncounted``.
    """

    seconds: float
    runs: float | None
    mean_ns: float | None
    answered: float
    uncounted: str = ""


def measure(path: Path, seconds: float) -> Rates:
    """Counts for ``seconds``, which has the kernel count every program of the machine, at some 20 ns a run.

    Raises :class:`~ebpfnn.errors.KernelError` where the instance may not be opened.
    """
    with ExitStack() as held:
        pins = held.enter_context(Pins(path))
        uncounted = ""
        try:
            held.enter_context(run_statistics())
        except KernelError as refusal:  # it asks for CAP_SYS_ADMIN; what was answered can be told without
            uncounted = "" if figures.counting() else str(refusal)
        stub = held.enter_context(pins.program())
        begun, before, answered = time.monotonic(), stub.info(), figures.read(pins).answered
        time.sleep(seconds)
        after, passed = stub.info(), time.monotonic() - begun
        answered = figures.read(pins).answered - answered
        runs = after.run_cnt - before.run_cnt
        mean = (after.run_time_ns - before.run_time_ns) / runs if runs else None
        if uncounted:
            return Rates(passed, None, None, answered / passed, uncounted)
        return Rates(passed, runs / passed, mean, answered / passed)
