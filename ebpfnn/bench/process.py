"""What one ``ebpfnn infer`` costs as a whole process: wall time and memory, imports and verifier included."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np

from ..datasets import mnist
from ..errors import SessionError


@dataclass(frozen=True)
class ProcessCost:
    """Wall seconds, and the largest resident set in MiB, over all runs."""

    seconds_min: float
    seconds_median: float
    peak_mib: float


def measure_process(model: str, runs: int = 7, columns: int = 0) -> ProcessCost:
    """Runs ``ebpfnn infer`` on one bundled digit: once to warm the caches, then ``runs`` times.

    A model of ``columns`` is given a row of as many zeros instead. Raises :class:`SessionError` where it fails.
    """
    with TemporaryDirectory() as directory:
        given = _write(Path(directory), columns)
        command = [sys.executable, "-m", "ebpfnn", "infer", "--quiet", "--model", model, str(given)]
        costs = [_run(command, directory) for _ in range(1 + runs)][1:]
    seconds = [cost[0] for cost in costs]
    return ProcessCost(min(seconds), median(seconds), max(cost[1] for cost in costs))


def _write(directory: Path, columns: int) -> Path:
    if columns:
        path = directory / "row.npy"
        np.save(path, np.zeros((1, columns), np.int64))
        return path
    from PIL import Image

    path = directory / "digit.png"
    Image.fromarray(mnist.read_test()[0][0]).save(path)
    return path


def _run(command: list[str], directory: str) -> tuple[float, float]:
    """Wall seconds and peak MiB of one run, by wait4(2)'s account; in ``directory``, since -m imports from where it runs."""
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=directory)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if status:
        raise SessionError(f"`{' '.join(command[1:])}` ended with status {process.returncode}; see `ebpfnn doctor`")
    return seconds, usage.ru_maxrss / 1024
