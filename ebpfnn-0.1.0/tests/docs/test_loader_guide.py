"""The loader's guide, run from top to bottom: its C is compiled, its Python executed, and what it shows compared."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from clang import FLAGS, find_clang

from ebpfnn import kernel
from ebpfnn.obj.sections import section_kind

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "loader.md"
# In a network and a BPF file system of its own, so that neither `lo` nor a pin of this machine is touched.
ALONE = ("unshare", "--net", "--mount", "sh", "-c", 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', "guide")
RUN = """
import contextlib, io, json, subprocess, sys
namespace, outputs = {"__name__": "__main__"}, []
for line, language, text in json.load(sys.stdin):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        if language == "python":
            exec(compile("\\n" * line + text, "docs/loader.md", "exec"), namespace)
        else:
            command = text.split("\\n")[0].removeprefix("$ ebpfnn ").split()
            print(subprocess.run([sys.executable, "-m", "ebpfnn", *command], capture_output=True, text=True, check=True).stdout)
    outputs.append(shown.getvalue())
json.dump(outputs, sys.stdout)
"""


class Block(NamedTuple):
    """A fenced block: the line of its opening fence (1 is the first), and ``expected``, what the guide says that it prints."""

    line: int
    language: str
    text: str
    expected: str = ""


def blocks() -> list[Block]:
    """Every block in order. A ``text`` block right behind a ``python`` block is what that prints."""
    guide = GUIDE.read_text()
    found: list[Block] = []
    end = 0
    for match in re.finditer(r"^```(\w+)\n(.*?)^```\n", guide, re.MULTILINE | re.DOTALL):
        language, text = match.groups()
        if language == "text" and found and found[-1].language == "python" and not guide[end : match.start()].strip():
            found[-1] = found[-1]._replace(expected=text)
        else:
            expected = text.partition("\n")[2] if language == "console" else ""
            found.append(Block(guide.count("\n", 0, match.start()) + 1, language, text, expected))
        end = match.end()
    return found


def agrees(shown: str, printed: str) -> bool:
    """Whether ``shown`` is what was printed; ``...`` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in shown.split("..."))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None


def masked(table: str) -> str:
    """Without what depends on the machine and the compiler: numbers and the width of columns."""
    plain = re.sub(r"\s+", " ", re.sub(r"\d+", "0", table)).strip()
    return re.sub(r" ?\.\.\. ?", "...", plain)


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """A directory with every file of the guide in it, compiled."""
    clang = find_clang()
    if clang is None:
        pytest.skip("clang is not installed")
    sources = [block.text for block in blocks() if block.language == "c"]
    for text in sources:
        (tmp_path / text.split()[1]).write_text(text)
    for path in tmp_path.glob("*.bpf.c"):
        command = [clang, *FLAGS, "-c", path.name, "-o", f"{path.stem}.o"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    return tmp_path


@pytest.mark.root
@pytest.mark.usefixtures("tracing")
def test_every_example_prints_what_the_guide_shows(objects: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("util-linux (unshare) is not installed")
    steps = [block for block in blocks() if block.language in ("python", "console")]
    ran = subprocess.run(
        [*ALONE, sys.executable, "-W", "error", "-c", RUN],
        input=json.dumps([step[:3] for step in steps]),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])},
        capture_output=True,
        text=True,
        check=False,
        cwd=objects,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    for step, printed in zip(steps, json.loads(ran.stdout), strict=True):
        mask = masked if step.language == "console" else str
        assert agrees(mask(step.expected), mask(printed)), f"line {step.line} prints:\n{printed}"


def test_the_comparison_sees_what_differs() -> None:
    assert agrees("a ... c\n", "a b b c\n")
    assert not agrees("a ... c\n", "a b d\n")
    assert not agrees("3\n", "4\n")
    assert not agrees("", "4\n")


def test_the_guide_has_examples_of_every_kind() -> None:
    assert {"c", "python", "console", "text"} <= {block.language for block in blocks()}
    assert sum(bool(block.expected) for block in blocks()) >= 8


def test_the_command_line_is_the_one_that_is_tested() -> None:
    (shell,) = (block.text.split() for block in blocks() if block.language == "sh")
    options = shell[1 : shell.index("-c")]
    assert set(options) <= set(FLAGS)


def test_the_table_of_links_is_whole() -> None:
    table = [line for line in GUIDE.read_text().splitlines() if line.startswith("| `attach_")]
    named = {name for line in table for name in re.findall(r"`(attach_\w+)", line)}
    assert named == {name for name in kernel.__all__ if name.startswith("attach_")}


def test_the_sections_of_the_table_are_known() -> None:
    rows = [line.split("|")[2] for line in GUIDE.read_text().splitlines() if line.startswith("| `attach_")]
    names = [name for row in rows for name in re.findall(r"`([^`]+)`", row) if not name.startswith(".")]
    assert len(names) > 30
    plain = [name.replace("/...", "/").rstrip("/") for name in names if name not in ("cgroup/...", "cgroup_skb/...")]
    assert [name for name in plain if section_kind(name) is None] == []
