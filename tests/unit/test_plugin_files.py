"""``--plugin``: a plugin from a file or a package, for one run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ebpfnn.cli import main
from ebpfnn.errors import PluginError
from ebpfnn.plugin import Plugins

INPUT = """
from ebpfnn.plugin import InputSource, hookimpl

EBPFNN_ABI = 2

class Own(InputSource):
    name = {name!r}
    def accepts(self, uri, head):
        return True
    def samples(self, uri, stream, shape):
        return iter(())

@hookimpl
def ebpfnn_inputs():
    return [Own()]
"""


HOOK = "from ebpfnn.plugin import hookimpl\nEBPFNN_ABI = 2\n@hookimpl"


@pytest.fixture(autouse=True)
def _nothing_stays_imported() -> Any:
    yield
    for name in [name for name in sys.modules if name.startswith("_ebpfnn_plugin_")]:
        del sys.modules[name]


def file(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def from_files(*paths: Path, disable: str = "tracepoint,run,image-file,image-stream") -> Plugins:
    return Plugins.installed({"EBPFNN_DISABLE": disable}, paths)


def test_a_file_and_a_package_are_plugins(tmp_path: Path) -> None:
    one = file(tmp_path / "one.py", INPUT.format(name="first"))
    file(tmp_path / "two" / "__init__.py", "from .inside import EBPFNN_ABI, ebpfnn_inputs")
    file(tmp_path / "two" / "inside.py", INPUT.format(name="second"))
    offers = from_files(one, tmp_path / "two").offered_inputs.offers
    told = [(offer.item.name, offer.plugin, offer.distribution) for offer in offers if offer.plugin in ("one", "two")]
    assert told == [("first", "one", str(one)), ("second", "two", str(tmp_path / "two"))]


def test_a_packages_init_is_the_package(tmp_path: Path) -> None:
    init = file(tmp_path / "mine" / "__init__.py", INPUT.format(name="own"))
    assert {offer.plugin for offer in from_files(init).offered_inputs.offers} >= {"mine"}


def test_it_takes_the_place_of_an_installed_plugin_of_its_name(tmp_path: Path) -> None:
    mine = file(tmp_path / "image-file.py", INPUT.format(name="image-file"))
    plugins = from_files(mine, disable="")
    [offer] = [offer for offer in plugins.offered_inputs.offers if offer.item.name == "image-file"]
    assert offer.distribution == str(mine)
    assert plugins.warnings == []


def test_one_that_is_disabled_is_not_executed(tmp_path: Path) -> None:
    bad = file(tmp_path / "bad.py", "1 / 0")
    assert "bad" not in {offer.plugin for offer in from_files(bad, disable="other, bad").offered_inputs.offers}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n\n1 / 0", r"bad\.py: plugin 'bad' cannot be used: ZeroDivisionError: division by zero \(line 3\)$"),
        ("import sys\nsys.exit(3)", r"bad\.py: plugin 'bad' cannot be used: SystemExit: 3 \(line 2\)$"),
        ("def broken(:", r"bad\.py: plugin 'bad' cannot be used: SyntaxError: invalid syntax \(bad\.py, line 1\)$"),
        ("raise OSError('out of\\npaper')", r"cannot be used: OSError: out of paper \(line 1\)$"),
        ("\0", r"bad\.py: plugin 'bad' cannot be used: (SyntaxError|ValueError): "),
        (
            "EBPFNN_ABI = 2\ndef ebpfnn_inputs():\n    return []",
            r"bad\.py: implements no hook; mark its functions with @ebpfnn",
        ),
        (
            HOOK + "\ndef ebpfnn_input(): ...",
            r"there is no hook 'ebpfnn_input'; did you",
        ),
        (
            HOOK + "\ndef ebpfnn_inputs():\n    1 / 0",
            r"cannot be used: ZeroDivisionError",
        ),
        (
            HOOK + "\ndef ebpfnn_inputs():\n    return [7]",
            r"which is not a InputSource",
        ),
    ],
)
def test_one_that_breaks_is_an_error_of_one_line(text: str, told: str, tmp_path: Path) -> None:
    bad = file(tmp_path / "bad.py", text)
    with pytest.raises(PluginError, match=told) as caught:
        from_files(bad)
    assert "\n" not in str(caught.value)
    if "ebpfnn.plugin" not in text and "def ebpfnn" not in text:
        assert "_ebpfnn_plugin_bad" not in sys.modules


@pytest.mark.parametrize(("line", "fact"), [("", "declares no ABI version"), ("EBPFNN_ABI = 3", "ABI version 3, and this")])
def test_one_of_another_abi_version_is_refused(line: str, fact: str, tmp_path: Path) -> None:
    own = file(tmp_path / "own.py", INPUT.format(name="own").replace("EBPFNN_ABI = 2", line))
    with pytest.raises(PluginError, match=rf"own\.py: plugin 'own' .*{fact}.* has 2; .*write EBPFNN_ABI = 2 into it"):
        from_files(own)


def test_what_is_no_plugin_is_refused(tmp_path: Path) -> None:
    for name in ("absent.py", "text.txt", "directory"):
        file(tmp_path / "text.txt", "")
        (tmp_path / "directory").mkdir(exist_ok=True)
        with pytest.raises(
            PluginError, match=rf"{name}: not a plugin; give a Python file, or a directory with an __init__\.py"
        ):
            from_files(tmp_path / name)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    one = file(tmp_path / "a" / "own.py", INPUT.format(name="one"))
    two = file(tmp_path / "b" / "own.py", INPUT.format(name="two"))
    with pytest.raises(PluginError, match=r"b/own\.py: a plugin 'own' was given as .*a/own\.py already; rename one of them$"):
        from_files(one, two)


@pytest.mark.parametrize(
    "arguments",
    [("--plugin", "{}", "plugins"), ("plugins", "--plugin", "{}"), ("--plugin", "{}", "plugins", "--plugin", "{other}")],
)
def test_the_option_stands_before_a_verb_or_behind_it(arguments: tuple[str, ...], tmp_path: Path) -> None:
    own = file(tmp_path / "own.py", INPUT.format(name="own"))
    other = file(tmp_path / "other.py", INPUT.format(name="another"))
    ran = CliRunner(env={"COLUMNS": "400"}).invoke(main, [each.format(own, other=other) for each in arguments])
    assert ran.exit_code == 0, ran.output
    assert str(own) in ran.output
    assert (str(other) in ran.output) == ("{other}" in arguments)


@pytest.mark.parametrize("verb", ["plugins", "doctor"])
def test_a_broken_one_ends_the_verb_with_one_line(verb: str, tmp_path: Path) -> None:
    bad = file(tmp_path / "bad.py", "1 / 0")
    ran = subprocess.run([sys.executable, "-m", "ebpfnn", verb, "--plugin", bad], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"ebpfnn: {bad}: plugin 'bad' cannot be used: ZeroDivisionError: division by zero (line 1)\n"


@pytest.mark.parametrize("verb", ["infer", "eval", "plugins", "doctor"])
def test_the_help_says_that_the_file_is_executed(verb: str) -> None:
    assert "Execute this Python file" in CliRunner().invoke(main, [verb, "--help"]).output


def test_the_directory_of_the_headers_is_printed() -> None:
    ran = CliRunner().invoke(main, ["include-dir"])
    assert ran.exit_code == 0
    assert (Path(ran.output.strip()) / "ebpfnn" / "shell.h").is_file()


def test_a_checkout_without_headers_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ebpfnn.cli.include_dir.DIRECTORY", tmp_path)
    ran = CliRunner().invoke(main, ["include-dir"])
    assert ran.exit_code == 1
    assert ran.stderr == f"ebpfnn: {tmp_path}: no headers in this checkout; run `make bpf`\n"
