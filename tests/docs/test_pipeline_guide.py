"""docs/import.md, *Bring a scikit-learn pipeline*: its commands run, and print what the page says."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
FILES = ROOT / "tests" / "data" / "sklearn"
# A BPF file system of its own, so that no pin of this machine is touched.
ALONE = ("unshare", "--mount", "sh", "-c", 'mount -t bpf bpf /sys/fs/bpf && exec "$@"', "guide")
RUN = """
import subprocess, sys
for command in sys.argv[1:]:
    subprocess.run([sys.executable, "-m", "ebpfnn", *command.split()], check=True)
    print("--", flush=True)
"""


def blocks() -> list[tuple[str, str]]:
    """Each command of the section, and what it prints."""
    section = (ROOT / "docs" / "import.md").read_text().split("## Bring a scikit-learn pipeline")[1].split("\n## ")[0]
    return re.findall(r"^```console\n\$ ebpfnn (.*?)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def rounded(text: str) -> str:
    """Without what differs between machines: times, the size of a file, and the trigger that this kernel has."""
    text = re.sub(r" +[\d.,]+ [nµm]?s in the kernel", " TIME", text)
    text = re.sub(r"behind .*; /sys", "behind TRIGGER; /sys", text)
    text = re.sub(r"checked .*", "checked", text)
    return re.sub(r"[\d,]+ bytes\n", "SIZE bytes\n", text)


def test_three_commands_have_a_pipeline_in_the_kernel(tmp_path: Path) -> None:
    with open(FILES / "iris.csv", newline="") as file:
        names, *rows = [row[:4] for row in csv.reader(file)]
    shutil.copy(FILES / "mlp.onnx", tmp_path / "pipe.onnx")
    np.savez(tmp_path / "rows.npz", samples=np.array(rows, np.float32), columns=names)
    (tmp_path / "rows.csv").write_text("".join(",".join(row) + "\n" for row in [names, *rows[::50]]))
    commands = [command for command, _ in blocks()]
    assert [command.split()[0] for command in commands] == ["quantize", "load", "infer"]
    environ = {**os.environ, "EBPFNN_BPFFS": "/sys/fs/bpf", "PYTHONPATH": str(ROOT), "COLUMNS": "128"}
    done = subprocess.run(
        [*ALONE, sys.executable, "-c", RUN, *commands, "unload pipe"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environ,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *printed, unloaded, rest = done.stdout.split("--\n")
    assert list(map(rounded, printed)) == [rounded(shown) for _, shown in blocks()]
    assert (unloaded, rest) == ("pipe: unloaded\n", "")
