"""Rates of an instance per second, counted for a while."""

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
    """Rates over ``seconds``: ``runs`` of the attached program per second, for events of all processes, and ``answered``.

    ``mean_ns`` is the mean time of a run, None if nothing ran. ``runs`` is also None if the kernel did not count, for the
    reason in ``uncounted``.
    """

    seconds: float
    runs: float | None
    mean_ns: float | None
    answered: float
    uncounted: str = ""


def measure(path: Path, seconds: float) -> Rates:
    """Counts for ``seconds``. Meanwhile the kernel counts runs of every program, which costs about 20 ns per run.

    Raises :class:`~ebpfnn.errors.KernelError` if the instance may not be opened.
    """
    with ExitStack() as held:
        pins = held.enter_context(Pins(path))
        uncounted = ""
        try:
            held.enter_context(run_statistics())
        except KernelError as refusal:  # counting needs CAP_SYS_ADMIN; the answers can be counted without it
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
