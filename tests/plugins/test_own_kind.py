"""A kind of models that somebody else brings: the guide's, through every verb, and broken ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "kernel"))

from instances import mounted  # noqa: E402

PAGE = (ROOT / "docs" / "plugins.md").read_text()
GUIDE = PAGE.partition("## A kind of models of your own\n")[2].partition("\n## ")[0]
CONSOLES = re.findall(r"^```console\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
EXCERPT, MAKE = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
MODEL = "--plugin nearest/nearest --model centroids.safetensors"


def commands(console: str) -> str:
    return "\n".join(line[2:] for line in console.splitlines() if line.startswith("$ "))


def steady(text: str) -> list[str]:
    """Without times, which differ from run to run."""
    return [re.sub(r"\s+[\d.]+ [µm]s in the kernel", " T", line).rstrip() for line in text.splitlines()]


def told(console: str) -> list[str]:
    return steady("\n".join(line for line in console.splitlines() if not line.startswith("$ ")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, elsewhere: Run) -> Path:
    """The folder of the guide, with the plugin, the model and a digit."""
    folder = tmp_path_factory.mktemp("kind")
    (folder / "make.py").write_text(MAKE)
    shutil.copy(ROOT / "tests" / "data" / "digits" / "7.png", folder)
    ran = elsewhere(folder, commands(CONSOLES[0]) + "\npython make.py")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == told(CONSOLES[0])
    return folder


@pytest.mark.root
@pytest.mark.usefixtures("tracing")
def test_the_commands_of_the_guide_print_what_it_says(folder: Path, elsewhere: Run) -> None:
    ran = elsewhere(folder, commands(CONSOLES[1]))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert steady(ran.stdout)[: len(told(CONSOLES[1]))] == told(CONSOLES[1])


def test_the_guide_quotes_the_plugin(folder: Path) -> None:
    written = (folder / "nearest" / "nearest" / "__init__.py").read_text()
    lines = {line.strip() for line in written.splitlines()}
    own = {"def scores(self, model, samples):", "...", "def compile(self, model, features, plan=None):"}
    quoted = {line.strip() for line in EXCERPT.splitlines() if line.strip()} - own
    assert {line.replace("return 2 *", "scores: NDArray[np.int32] = 2 *") for line in quoted} <= lines


@pytest.mark.root
@pytest.mark.usefixtures("tracing")
def test_it_goes_through_the_verbs_from_a_file(folder: Path, tmp_path: Path, elsewhere: Run) -> None:
    plugin, place = "--plugin nearest/nearest", tmp_path / "bpf"
    place.mkdir()
    with mounted(place):
        ran = elsewhere(
            folder,
            f"""
            ebpfnn load {plugin} centroids.safetensors --quiet
            ebpfnn infer {plugin} --instance centroids --check --json 7.png
            ebpfnn swap {plugin} centroids.safetensors
            ebpfnn list --json > listed.json
            ebpfnn unload --quiet 2>/dev/null || ebpfnn unload
            ebpfnn eval {plugin} centroids.safetensors --data bundled --json
            ebpfnn inspect {plugin} centroids.safetensors --json > inspected.json
            ebpfnn bench {plugin} --model centroids.safetensors --images 16 --rounds 1 --json > rows.json
            ebpfnn plugins {plugin} --json > plugins.json""",
            EBPFNN_BPFFS=str(place),
        )
    assert ran.returncode == 0, ran.stderr
    infer, swapped, *_, evaluated = ran.stdout.splitlines()
    assert (json.loads(infer)["label"], json.loads(infer)["check"]) == ("7", True)
    assert swapped == "centroids: centroids (nearest:10) is now in place; checked by the event itself (tracepoint)"
    assert (json.loads(evaluated)["agreement"], json.loads(evaluated)["disagreements"]) == (512, [])
    [listed] = json.loads((folder / "listed.json").read_text())
    assert (listed["kind"], listed["result"], listed["swaps"]) == ("nearest", "label", 1)
    inspected = json.loads((folder / "inspected.json").read_text())
    assert (inspected["kind"], inspected["facts"]) == ("nearest", {"centroids": "10 of 784 values"})
    assert inspected["kernel"]["verified"] > inspected["code"]["instructions"] > 0
    rows = {row["name"]: row["exact"] for row in json.loads((folder / "rows.json").read_text())}
    assert rows["compiled"] is True
    assert rows["reference"] is True
    offered = json.loads((folder / "plugins.json").read_text())["plugins"]
    assert ("body", "nearest") in {(row["kind"], row["name"]) for row in offered}


def test_without_the_plugin_the_file_says_which_is_missing(folder: Path, elsewhere: Run) -> None:
    ran = elsewhere(folder, "ebpfnn inspect centroids.safetensors || true")
    fact = "it is of kind 'nearest', and this ebpfnn knows network, trees"
    remedy = "install the plugin that has it, or give it with --plugin"
    assert ran.stderr == f"ebpfnn: centroids.safetensors: {fact}; {remedy}\n"


@pytest.mark.parametrize("verb", ["export --raw out", "cascade mnist --data bundled"])
def test_what_takes_networks_alone_says_so(verb: str, folder: Path, elsewhere: Run) -> None:
    name, *rest = verb.split(" ", 1)
    ran = elsewhere(folder, f"ebpfnn {name} --plugin nearest/nearest centroids.safetensors {rest[0]} || true")
    fact = f"model 'centroids' is of kind 'nearest', and `ebpfnn {name}` takes networks alone"
    assert ran.stderr == f"ebpfnn: {fact}; give a network, such as one that `ebpfnn models` lists\n"
    assert not (folder / "out").exists()


BROKEN = [
    ("if set(tensors)", "tensors['nothing']\n        if set(tensors)", "inspect", "failed: KeyError: 'nothing' ("),
    ("return Centroids(centroids=", "return None and Centroids(centroids=", "inspect", "build() gave NoneType"),
    ("code = BodyCode(features)", "code = BodyCode(1 / 0)", "inspect", "failed: ZeroDivisionError: "),
    ("return code.finish(", "return None and code.finish(", "inspect", "compile() gave NoneType, not a Body"),
    ("code.sample(R6)", "code.asm.goto('x')", "inspect", "failed: ObjectError: function 'ebpfnn_infer' jumps"),
    ("shape = model.input_shape", "shape = model.nothing", "eval", "failed: AttributeError: 'Centroids' "),
    ("return scores\n", "return scores * 1.5\n", "eval", "scores() gave float64 [512, 10], not int32"),
    ('{"centroids": f"{', '{"centroids": 1, "more": f"{', "inspect", "facts() must give text by name"),
    ('return f"{self.kind}:', 'return None and f"', "inspect", "build() gave wrong: its architecture is None"),
    ("model = Centroids\n", "model = int\n", "inspect", "`model` is <class 'int'>, not a subclass of Model"),
]


@pytest.mark.root
@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken[3])
def test_a_broken_kind_is_one_line_that_names_the_plugin(
    broken: tuple[str, str, str, str], folder: Path, tmp_path: Path, elsewhere: Run
) -> None:
    old, new, verb, fact = broken
    shutil.copytree(folder, tmp_path / "it")
    module = tmp_path / "it" / "nearest" / "nearest" / "__init__.py"
    text = module.read_text()
    assert text.count(old) == 1
    module.write_text(text.replace(old, new))
    data = " --data bundled --no-kernel" if verb == "eval" else ""
    ran = elsewhere(tmp_path / "it", f"ebpfnn {verb} --plugin nearest/nearest centroids.safetensors{data} || true")
    assert ran.stderr.startswith("ebpfnn: plugin 'nearest' (nearest/nearest)"), ran.stderr
    assert fact in ran.stderr
    assert ran.stderr.endswith("; fix it, or leave it out with EBPFNN_DISABLE=nearest\n")
    assert ran.stderr.count("\n") == 1


@pytest.mark.root
def test_code_that_the_kernel_refuses_is_told_with_its_kind(folder: Path, tmp_path: Path, elsewhere: Run) -> None:
    shutil.copytree(folder, tmp_path / "it")
    module = tmp_path / "it" / "nearest" / "nearest" / "__init__.py"
    module.write_text(module.read_text().replace("code.sample(R6)", "code.asm.mov(R6, 0)"))
    ran = elsewhere(tmp_path / "it", f"ebpfnn infer {MODEL} --trigger run 7.png || true", TMPDIR=str(tmp_path))
    assert "the kernel refused the compiled code, which is a bug in the plugin of the kind of models 'nearest'" in ran.stderr
    assert "--twin" not in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert len(list(tmp_path.glob("ebpfnn-*/verifier.log"))) == 1


@pytest.mark.root
def test_code_that_computes_something_else_is_found_at_load(folder: Path, tmp_path: Path, elsewhere: Run) -> None:
    shutil.copytree(folder, tmp_path / "it")
    module = tmp_path / "it" / "nearest" / "nearest" / "__init__.py"
    module.write_text(module.read_text().replace('"*=", 2 * value', '"*=", value'))
    place = tmp_path / "bpf"
    place.mkdir()
    command = "ebpfnn load --plugin nearest/nearest centroids.safetensors --trigger run || true; ebpfnn list"
    with mounted(place):
        ran = elsewhere(tmp_path / "it", command, EBPFNN_BPFFS=str(place))
    assert "network 'centroids': the scores in the kernel differ from the reference (sample 0 of the proof" in ran.stderr
    assert ran.stdout == "no networks are loaded; load one with `ebpfnn load`\n"
