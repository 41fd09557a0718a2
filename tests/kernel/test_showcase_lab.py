"""Labs of the showcase of flows: sessions reach the services, and nothing stays, however a run ends."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from waiting import wait_until

TOOLS = Path(__file__).parents[2] / "tools" / "showcase"
sys.path.append(str(TOOLS))
addresses, lab, plan, running = map(import_module, ("addresses", "lab", "plan", "running"))

pytestmark = [pytest.mark.root, pytest.mark.skipif(shutil.which("ip") is None, reason="iproute2 (ip) is not installed")]
FETCH = f"import urllib.request as u; u.urlopen('http://{addresses.SERVER}:{addresses.HTTP}/bytes/20000').read()"
WAITS = "import time; time.sleep(60)"


def session(number: int, code: str) -> Any:
    return plan.Session(number, plan.BENIGN, "python", (plan.Step((sys.executable, "-c", code)),))


def received() -> int:
    """Packets that have come in at the server's interface, seen from the namespace of this thread."""
    lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return next(int(line.split(":")[1].split()[1]) for line in lines if line.strip().startswith(lab.HERE + ":"))


def namespaces() -> set[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line.startswith("showcase-")}


@contextmanager
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = namespaces()
    yield
    assert namespaces() == before
    assert not list(tmp_path.iterdir())


def test_each_session_is_observed_alone_and_reaches_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, int] = {}

    @contextmanager
    def watching(of: Any) -> Iterator[None]:
        before = received()
        yield
        seen[of.group] = received() - before

    told: list[Any] = []
    sessions = [session(number, FETCH) for number in range(4)]
    with nothing_stays(tmp_path, monkeypatch):
        running.run_all(sessions, 2, watching, told.append)
    assert sorted(told, key=lambda of: of.number) == sessions
    assert len(seen) == 4
    assert min(seen.values()) >= 8


def test_a_session_ends_in_time_and_its_processes_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SECONDS", 0.5)
    # One that leaves its process group, as a daemon does.
    stays = f"import os; os.fork() or os.setsid(); open('/proc/self/comm', 'w').write('showcase-stays'); {WAITS}"
    with nothing_stays(tmp_path, monkeypatch):
        began = time.monotonic()
        running.run_all([session(0, stays)], 1, lambda of: nullcontext(), lambda of: None)
        assert time.monotonic() - began < 45  # not the 60 of its processes
    assert not [path for path in Path("/proc").glob("[0-9]*/stat") if _runs(path, "(showcase-stays)")]


def waiting(code: str) -> int:
    """How many processes run that Python code."""
    return sum(_arguments(path)[-1:] == [code] for path in Path("/proc").glob("[0-9]*/cmdline"))


def _arguments(path: Path) -> list[str]:
    try:
        return path.read_text().rstrip("\0").split("\0")
    except OSError:
        return []


def _runs(path: Path, name: str) -> bool:
    try:
        _, called, state, *_ = path.read_text().split()
    except OSError:
        return False
    return called == name and state != "Z"  # init may not have waited for it yet


def test_a_failure_ends_all_labs_and_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def watching(of: Any) -> Any:
        raise OSError("no such hook")

    with nothing_stays(tmp_path, monkeypatch), pytest.raises(OSError, match="no such hook"):
        running.run_all([session(number, FETCH) for number in range(9)], 2, watching, lambda of: None)


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"{WAITS}  # {tmp_path}"  # of no other test
    script = f"""
import sys; sys.path.append({str(TOOLS)!r})
from contextlib import nullcontext
import plan, running
steps = (plan.Step((sys.executable, "-c", {code!r})),)
sessions = [plan.Session(n, "benign", "python", steps) for n in range(9)]
try:
    running.run_all(sessions, 2, lambda of: nullcontext(), lambda of: None)
except KeyboardInterrupt:
    sys.exit(130)
"""
    with nothing_stays(tmp_path, monkeypatch):
        process = subprocess.Popen([sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)})
        assert wait_until(lambda: waiting(code) == 2)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
