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

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "events.md"


def commands() -> list[str]:
    text = GUIDE.read_text().partition("## From nothing to a verdict\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[0].splitlines()


@pytest.fixture
def shell(tmp_path: Path, bpffs: Path) -> Iterator[subprocess.Popen[str]]:
    """A shell in a network of its own, as a newcomer's, whose ``python3`` is the one that runs the tests."""
    if shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("iproute2 (ip) or util-linux (unshare) is not installed")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    (programs / "ebpfnn").symlink_to(Path(sys.executable).parent / "ebpfnn")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    path = f"{programs}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-e"],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "EBPFNN_BPFFS": str(bpffs)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as started:
        yield started
        started.kill()
    subprocess.run(["ip", "netns", "delete", "ebpfnn-lab"], capture_output=True, check=False)


def test_there_are_ten_commands() -> None:
    assert len(commands()) == 10
    assert all(re.match(r"(for n in [\d ]+; do )?(ebpfnn|python3 examples/lab.py) ", each) for each in commands())


@pytest.mark.root
@pytest.mark.parametrize(("arch", "library"), [("", "torch"), (" --arch forest:4x3 --leaf-rows 3", "sklearn")])
def test_the_ten_commands_give_a_verdict(shell: subprocess.Popen[str], tmp_path: Path, arch: str, library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"training needs {library}")
    typed = [each + arch if each.startswith("ebpfnn train") else each for each in commands()]
    told, _ = shell.communicate("\n".join(typed), timeout=600)
    assert shell.returncode == 0, told
    assert re.search(r"^guard: checked by \d+ made-up events", told, re.MULTILINE), told
    verdicts = re.findall(r"^\d\d:\d\d:\d\d\.\d+ +(\w+) .*source=10\.77\.0\.\d+", told, re.MULTILINE)
    assert len(verdicts) == 4, told
    assert verdicts.count("scan") >= 3, told
    assert told.rstrip().endswith("guard: unloaded"), told
    assert not (Path("/run/netns") / "ebpfnn-lab").exists()
    assert (tmp_path / "guard.safetensors").exists()
