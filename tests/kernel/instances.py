"""A BPF file system for one test's instances, and what to find in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from forks import as_a_program

from ebpfnn.__main__ import main
from ebpfnn.instance import Store

ROOT = Path(__file__).parents[2]
PINS = ["about", "callers", "chooser", "events", "input", "locks", "networks", "output", "state", "stub", "watch"]


@contextmanager
def mounted(directory: Path) -> Iterator[Store]:
    """Instances under a file system of their own on ``directory``, which is gone at the end with all that is pinned in it."""
    ran = subprocess.run(["mount", "-t", "bpf", "bpf", directory], capture_output=True, text=True, check=False)
    if ran.returncode:
        pytest.skip(f"no BPF file system can be mounted: {ran.stderr.strip()}")
    try:
        yield Store(directory)
    finally:
        subprocess.run(["umount", directory], check=True)


def names(store: Store) -> set[str]:
    """What lies there, by whoever looks without sweeping: instances, what is unfinished, and names beside."""
    inside = (
        [path.name for path in store.directory.iterdir() if path.name not in ("~lock", "~changing")]
        if store.directory.is_dir()
        else []
    )
    return {*inside, *(path.name for path in store.root.iterdir() if path.is_symlink())}


def all_names(name: str) -> set[str]:
    """What is there of one instance."""
    return {name, *(f"{name}_{exported}" for exported in ("input", "output", "callers"))}


def ebpfnn(store: Store, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own, which is forked; :func:`started` starts Python anew."""
    words = ["ebpfnn", *arguments]
    status, told, complained = as_a_program(main, words, environment(store), stdin)
    return subprocess.CompletedProcess(words, status, told.decode(), complained.decode())


def started(store: Store, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as people start it: also for PyTorch, scikit-learn and onnxruntime, whose threads end at a fork."""
    command = [sys.executable, "-m", "ebpfnn", *arguments]
    return subprocess.run(command, env=environment(store), capture_output=True, text=True, timeout=120, check=False)


def environment(store: Store) -> dict[str, str]:
    """For processes that are to see its instances, and the project's and the tests' modules."""
    paths = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "tests" / "support"), str(ROOT / "tests" / "kernel")]
    return {**os.environ, "EBPFNN_BPFFS": str(store.root), "PYTHONPATH": os.pathsep.join(paths)}
