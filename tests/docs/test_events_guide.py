"""The ten commands of docs/events.md: from nothing to a verdict on live traffic."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "events.md"


def commands() -> list[str]:
    text = GUIDE.read_text().partition("## From nothing to a verdict\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0].splitlines()


COLLECTING, DONE = 4, "-- done"
"""How many commands make and collect events, before a network is trained, and what a shell says at the end of its commands."""


def needs(library: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=f"training needs {library}")


class Shell:
    """A shell in a network of its own, as a newcomer's, whose ``python3`` is the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        programs = folder / "bin"
        programs.mkdir()
        (programs / "python3").symlink_to(sys.executable)
        (programs / "ebpfnn").symlink_to(Path(sys.executable).parent / "ebpfnn")
        (folder / "examples").symlink_to(ROOT / "examples")
        self.folder = folder
        self._process = subprocess.Popen(
            ["unshare", "--net", "sh", "-e"],
            cwd=folder,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, lines: list[str], seconds: int = 600) -> str:
        """What the commands say. Fails where one of them does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        end, told = Timer(seconds, self._process.kill), []
        end.start()
        try:
            print(*lines, f"echo {DONE}", sep="\n", file=self._process.stdin, flush=True)
            for line in self._process.stdout:
                if line == f"{DONE}\n":
                    return "".join(told)
                told.append(line)
        finally:
            end.cancel()
        pytest.fail("".join(told))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """Where the first four commands were typed; the last one is at the end."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("iproute2 (ip) or util-linux (unshare) is not installed")
    shell = Shell(tmp_path_factory.mktemp("guide"))
    try:
        shell.type(commands()[:COLLECTING])
        yield shell
        shell.type(commands()[-1:])
        assert not (Path("/run/netns") / "ebpfnn-lab").exists()
    finally:
        shell.close()
        subprocess.run(["ip", "netns", "delete", "ebpfnn-lab"], capture_output=True, check=False)


def test_there_are_ten_commands() -> None:
    assert len(commands()) == 10
    assert all(re.match(r"(for n in [\d ]+; do )?(ebpfnn|python3 examples/lab.py) ", each) for each in commands())


@pytest.mark.root
@pytest.mark.parametrize(
    "arch",
    [pytest.param("", marks=needs("torch")), pytest.param(" --arch forest:4x3 --leaf-rows 3", marks=needs("sklearn"))],
)
def test_the_ten_commands_give_a_verdict(collected: Shell, bpffs: Path, arch: str) -> None:
    trained = collected.folder / "guard.safetensors"
    trained.unlink(missing_ok=True)
    typed = [each + arch if each.startswith("ebpfnn train") else each for each in commands()[COLLECTING:-1]]
    told = collected.type([f"export EBPFNN_BPFFS={bpffs}", *typed])
    assert re.search(r"^guard: checked by \d+ made-up events", told, re.MULTILINE), told
    verdicts = re.findall(r"^\d\d:\d\d:\d\d\.\d+ +(\w+) .*source=10\.77\.0\.\d+", told, re.MULTILINE)
    assert len(verdicts) == 4, told
    assert verdicts.count("scan") >= 3, told
    assert told.rstrip().endswith("guard: unloaded"), told
    assert trained.exists()
