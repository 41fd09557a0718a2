"""Documentation that can be checked is: links, commands, examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ebpfnn.cli import VERBS

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pages
def test_every_block_of_code_has_an_end(page: Path) -> None:
    fences = re.findall(r"^```(.*)$", page.read_text(), re.MULTILINE)
    assert len(fences) % 2 == 0
    assert not any(fences[1::2]), "a block begins in another one"


@pages
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:bpf|ebpfnn|plugins|tests|tools|docs)/[\w/.-]+\.\w+)`", page.read_text()):
        assert (ROOT / name).exists(), name


@pages
def test_commands_exist(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(r"^(?:.*\| )?ebpfnn ([a-z]+(?:-[a-z]+)*)", text, re.MULTILINE)) <= set(VERBS)
    assert set(re.findall(r"`ebpfnn ([a-z]+(?:-[a-z]+)*)", text)) <= set(VERBS)


@pages
def test_make_targets_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    (trained,) = re.findall(r"addprefix train-,([\w -]+)\)", re.sub(r"\\\n\s*", " ", makefile))
    known = {*re.findall(r"^([a-z-]+):", makefile, re.MULTILINE), *(f"train-{name}" for name in trained.split())}
    assert set(re.findall(r"`make ([\w-]+)", page.read_text())) <= known


def test_no_placeholder_is_left() -> None:
    for page in PAGES:
        assert not re.search(r"@@|TODO|XXX", page.read_text()), page.name


FOLDERS = sorted({path.parent for room in ("obj", "kernel") for path in (ROOT / "ebpfnn" / room).rglob("*.py")})


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_every_file_of_the_loader_has_its_place(folder: Path) -> None:
    text, name = (ROOT / "docs" / "architecture.md").read_text(), folder.relative_to(ROOT / "ebpfnn")
    rows = re.findall(rf"^\| `{name}/`[^|]*\|([^|]*)\|$", text, re.MULTILINE)
    told = [each for row in rows for each in re.findall(r"`(\w+)`", row)]
    assert sorted(told) == sorted({path.stem for path in folder.glob("*.py")} - {"__init__"})


@pytest.mark.root
def test_the_python_example_of_the_readme_runs() -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    ran = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("7 ")
    assert set(re.findall(r"^(?:from|import) (\w+)", example, re.MULTILINE)) == {"ebpfnn"}
    assert "from " not in example


def test_public_names_are_there_when_they_are_asked_for() -> None:
    import ebpfnn

    assert all(getattr(ebpfnn, name) is not None for name in ebpfnn.__all__)
    assert ebpfnn.load("mnist").name == "mnist"
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = ebpfnn.nope


@pytest.mark.root
@pytest.mark.parametrize(
    ("script", "arguments", "told"),
    [("infer.py", ["tests/data/digits/7.png"], r"7 in [\d,]+ ns\n"), ("own_trigger.py", [], r"7 7 7 7\n")],
)
def test_examples_run(script: str, arguments: list[str], told: str) -> None:
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / script), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.fullmatch(told, ran.stdout), ran.stdout
