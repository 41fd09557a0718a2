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
MEANS = [13, 2.3, 2.4, 19.5, 100, 2.3, 2, 0.36, 1.6, 5, 0.96, 2.6, 750]
"""Of the columns of the forest's data, wine."""
DEVIATIONS = [0.8, 1.1, 0.27, 3.3, 14, 0.6, 1, 0.12, 0.57, 2.3, 0.23, 0.7, 315]
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
    text = re.sub(r"[\d,]+ verified instructions; [\d,]+ ms", "VERIFIED", text)
    text = re.sub(r"[\d,.]+ [nµm]?s an inference", "TIME an inference", text)
    return re.sub(r"[\d,]+ bytes\n", "SIZE bytes\n", text)


def ran(folder: Path, commands: list[str]) -> list[str]:
    """What each of ``commands`` prints, the last of which unloads what was loaded."""
    environ = {**os.environ, "EBPFNN_BPFFS": "/sys/fs/bpf", "PYTHONPATH": str(ROOT), "COLUMNS": "128"}
    command = [*ALONE, sys.executable, "-c", RUN, *commands]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environ, check=False)
    assert done.returncode == 0, done.stderr
    *printed, rest = done.stdout.split("--\n")
    assert (printed[-1], rest) == ("pipe: unloaded\n", "")
    return printed


def test_three_commands_have_a_pipeline_in_the_kernel(tmp_path: Path) -> None:
    with open(FILES / "iris.csv", newline="") as file:
        names, *rows = [row[:4] for row in csv.reader(file)]
    shutil.copy(FILES / "mlp.onnx", tmp_path / "pipe.onnx")
    np.savez(tmp_path / "rows.npz", samples=np.array(rows, np.float32), columns=names)
    (tmp_path / "rows.csv").write_text("".join(",".join(row) + "\n" for row in [names, *rows[::50]]))
    commands = [command for command, _ in blocks()]
    assert [command.split()[0] for command in commands] == ["quantize", "load", "infer"]
    printed = ran(tmp_path, [*commands, "unload pipe"])
    assert list(map(rounded, printed[:3])) == [rounded(shown) for _, shown in blocks()]


def test_three_commands_have_a_forest_in_the_kernel(tmp_path: Path) -> None:
    """Its labels are those of onnxruntime, row by row."""
    import onnxruntime

    shutil.copy(ROOT / "tests" / "data" / "trees" / "skl-forest.onnx", tmp_path / "pipe.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "pipe.onnx"))
    (taken,) = session.get_inputs()
    given = np.random.default_rng(5).normal(MEANS, DEVIATIONS, (60, len(MEANS))).astype(np.float32)
    wanted = [str(label) for label in session.run(None, {taken.name: given})[0]]
    assert len(set(wanted)) == 3
    names = [f"x{place}" for place in range(given.shape[1])]
    np.savez(tmp_path / "rows.npz", samples=given, columns=names)
    lines = [",".join(names), *(",".join(map(str, row)) for row in given)]
    (tmp_path / "rows.csv").write_text("\n".join(lines) + "\n")
    commands = [command for command, _ in blocks()]
    quantized, loaded, inferred, _ = ran(tmp_path, [*commands[:2], commands[2] + " --quiet", "unload pipe"])
    assert f"label for {len(given)} of {len(given)} rows" in quantized
    assert loaded.startswith("pipe: pipe (forest:")
    assert inferred.split() == wanted
