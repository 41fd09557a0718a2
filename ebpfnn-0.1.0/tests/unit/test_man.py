"""Man pages are written from the help of the commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ebpfnn.cli import VERBS
from ebpfnn.cli.examples import EXAMPLES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    subprocess.run([sys.executable, ROOT / "tools" / "man.py", directory], check=True, cwd=ROOT)
    return directory


def test_every_verb_has_a_page(pages: Path) -> None:
    assert {path.name for path in pages.iterdir()} == {"ebpfnn.1", *(f"ebpfnn-{verb}.1" for verb in VERBS)}


def test_a_page_has_what_the_help_has(pages: Path) -> None:
    text = (pages / "ebpfnn-infer.1").read_text().replace("\\-", "-")
    assert text.startswith('.TH "EBPFNN-INFER" 1')
    assert "\nebpfnn-infer - classify images with a network in the kernel\n" in text
    assert "\n.B --top K\n" in text
    assert all(f"\n{line}\n" in text for line in EXAMPLES["infer"])
    assert all(f"ebpfnn-{verb}" in (pages / "ebpfnn.1").read_text().replace("\\-", "-") for verb in VERBS)


def test_pages_are_well_formed(pages: Path) -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed")
    for page in pages.iterdir():
        ran = subprocess.run(["groff", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True, check=True)
        assert ran.stderr == "", page.name
