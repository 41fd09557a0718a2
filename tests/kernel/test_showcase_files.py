"""Sessions of the showcase of files: they work on what was made for them, as a user without a name, and nothing stays."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[2] / "tools" / "showcase"))
plan, running = import_module("file_plan"), import_module("file_running")

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler (cc) is installed"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv(1) is not installed"),
]
TREE = plan.Tree((("a.txt", 100), ("d/b.txt", 5000)))


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def run(script: str) -> str:
    """What is said of a session with ``script``; what it left in its directory is gone by then."""
    said: list[str] = []
    session = plan.FileSession(0, plan.BENIGN, "test", TREE, script)
    running.run_all([session], lambda of: nullcontext(), lambda of, text: said.append(text))
    (text,) = said
    return text


def test_a_session_is_alone(tmp_path: Path) -> None:
    shown = run("id -u; ls data data/d; ls /sys/class/net; pwd; touch /root/x; exit 3").splitlines()
    assert shown[0] == str(running.UID)
    assert shown[1:-1] == ["data:", "a.txt", "d", "", "data/d:", "b.txt", *shown[7:-2], "/mnt"]
    assert "Permission denied" in shown[-1]
    assert not list(tmp_path.iterdir())


def test_one_that_succeeds_says_nothing() -> None:
    assert run("echo done") == ""


def test_a_simulator_works_in_a_session() -> None:
    assert run("(cd data; ../simulator copy 4096 0 100) && test -e data/d/b.txt.locked && ! test -e data/a.txt") == ""


def test_a_session_ends_in_time_and_its_daemons_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(running, "SECONDS", 0.5)
    began = time.monotonic()
    assert run("setsid sleep 61.5 & sleep 61.5") == ""
    assert time.monotonic() - began < 45  # not the 61.5 of its processes
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if _command(path) == "sleep 61.5"]
    assert not list(tmp_path.iterdir())


def _command(path: Path) -> Any:
    try:
        return path.read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    except OSError:
        return None
