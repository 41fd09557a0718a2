"""Every command of README.md runs, in a directory, a BPF file system and a network namespace of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "tests" / "data" / "digits"
DOWNLOADS = {
    "make demo": "installs packages; tests of fresh machines run it",
    "make dist": "installs packages; tests of fresh machines run it",
    'pip install "$(echo dist/': "needs what `make dist` builds",
    "make install": "changes this machine; tests of fresh machines run it",
    "pip install 'ebpfnn[train]'": "downloads PyTorch",
    "ebpfnn train --dataset FashionMNIST": "downloads the data set",
}
"""What is not run, and why."""
_FIRST = ("# ", "make ", "ebpfnn ", "pip ")
_PRIVATE = """
mount -t bpf bpf "$EBPFNN_BPFFS"
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
"""


def commands(block: str) -> list[str]:
    """The lines that are typed: those behind a prompt, where there is one."""
    lines = block.splitlines()
    typed = [line[2:] for line in lines if line.startswith("# ")] or lines
    return [re.sub(r"\s+# .*", "", line) for line in typed]


def blocks() -> list[list[str]]:
    found = re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return [commands(block) for block in found if block.startswith(_FIRST)]


def skipped(command: str) -> str | None:
    return next((reason for begun, reason in DOWNLOADS.items() if command.startswith(begun)), None)


def page() -> Image.Image:
    """Four digits, dark on light."""
    drawn = Image.new("L", (400, 160), 235)
    for column, digit in enumerate((2, 0, 4, 7)):
        with Image.open(DIGITS / f"{digit}.png") as image:
            drawn.paste(60, (10 + 95 * column, 30 + 8 * (column % 2)), image.resize((84, 84), Image.Resampling.BICUBIC))
    return drawn


@pytest.fixture
def place(tmp_path: Path, elsewhere: Run) -> Path:
    """What a reader of the page has: images, data, and files of networks."""
    for name, digit in (("digit", 7), ("a", 1), ("b", 2)):
        shutil.copy(DIGITS / f"{digit}.png", tmp_path / f"{name}.png")
    (tmp_path / "tests" / "data").mkdir(parents=True)
    (tmp_path / "tests" / "data" / "digits").symlink_to(DIGITS)
    (tmp_path / "tests" / "data" / "streams").symlink_to(DIGITS.parent / "streams")
    page().save(tmp_path / "page.png")
    shutil.copytree(DIGITS, tmp_path / "scans")  # no link, which find would not follow
    shutil.copy(DIGITS.parent / "streams" / "digits.tar", tmp_path)
    np.save(tmp_path / "images.npy", np.zeros((2, 28, 28), np.uint8))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    (tmp_path / "DIR").mkdir()
    for file in (ROOT / "ebpfnn" / "data" / "digits").glob("t10k-*"):
        for part in ("t10k", "train"):
            (tmp_path / "DIR" / file.name.replace("t10k", part)).symlink_to(file)
    for file in ("fashion.safetensors", "fashion.float.safetensors"):
        shutil.copy(ROOT / "ebpfnn" / "data" / file, tmp_path)
    random = np.random.default_rng(0)
    np.savez(tmp_path / "samples.npz", samples=random.integers(0, 256, (200, 100)).astype(np.uint8), labels=np.arange(200) % 4)
    rows = random.integers(0, 1500, (200, 3)).tolist()
    flows = ["port,length,gap", *(",".join(map(str, row)) for row in rows)]
    verdicts = ["verdict", *("attack" if row[0] > 700 else "benign" for row in rows)]
    (tmp_path / "new.csv").write_text("\n".join(flows) + "\n")
    (tmp_path / "flows.csv").write_text("".join(f"{flow},{verdict}\n" for flow, verdict in zip(flows, verdicts, strict=True)))
    ran = elsewhere(tmp_path, "ebpfnn export mnist --onnx model.onnx")
    assert ran.returncode == 0, ran.stderr
    (tmp_path / "bpf").mkdir()
    return tmp_path


def test_what_is_skipped_is_on_the_page() -> None:
    every = [command for block in blocks() for command in block]
    assert len(every) >= 30
    assert all(any(command.startswith(begun) for command in every) for begun in DOWNLOADS)
    assert sum(skipped(command) is not None for command in every) == len(DOWNLOADS) + 1  # of two blocks one is `make demo`


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("block", blocks(), ids=lambda block: block[0].split("#")[0].strip()[:40])
def test_the_commands_run(block: list[str], place: Path, elsewhere: Run) -> None:
    run = [command for command in block if skipped(command) is None]
    if not run:
        pytest.skip(f"{block[0]}: {skipped(block[0])}")
    for program in ("unshare", "ip"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    trained = [command for command in run if " train " in command]
    if trained:
        pytest.importorskip("sklearn" if all("--arch forest" in command for command in trained) else "torch")
    (place / "block.sh").write_text(_PRIVATE + "\n".join(run) + "\n")
    ran = elsewhere(place, "unshare --net --mount sh -ex block.sh", seconds=600, EBPFNN_BPFFS=str(place / "bpf"))
    assert ran.returncode == 0, ran.stderr[-3000:]
