"""Help, examples, completion, ``-v`` and ``infer --top``."""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from networks import random_network

from ebpfnn.bodies import modelfile
from ebpfnn.cli import VERBS, complete, main
from ebpfnn.cli.examples import EXAMPLES
from ebpfnn.cli.report import Report, as_json, as_label, as_text
from ebpfnn.plugin import Sample

ROOT = Path(__file__).parents[2]


def commands(group: click.Group, *above: str) -> Iterator[tuple[str, ...]]:
    """Every verb, and those below verbs."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*above, name)
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)


ALL = [" ".join(words) for words in commands(main)]


@pytest.mark.parametrize("verb", ALL)
def test_every_help_ends_with_examples(verb: str) -> None:
    ran = CliRunner().invoke(main, [*verb.split(), "--help"])
    assert ran.exit_code == 0
    assert 2 <= len(EXAMPLES[verb]) <= 3
    assert ran.stdout.endswith("Examples:\n" + "".join(f"    {line}\n" for line in EXAMPLES[verb]))


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines if line.startswith("ebpfnn ")])
def test_examples_are_commands_that_are_understood(line: str) -> None:
    words = shlex.split(line.partition(" > ")[0].partition(" && ")[0])[1:]
    context, command = click.Context(main, info_name="ebpfnn"), main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None
        command, words = found, words[1:]
    command.make_context("verb", words, parent=context).close()


@pytest.mark.parametrize("verb", ["infer", "bpf list", "plugins new"])
def test_help_of_a_verb_is_what_its_option_shows(verb: str) -> None:
    shown = CliRunner().invoke(main, ["help", *verb.split()], prog_name="ebpfnn")
    assert shown.stdout == CliRunner().invoke(main, [*verb.split(), "--help"], prog_name="ebpfnn").stdout
    assert shown.exit_code == 0


def test_help_of_no_verb_lists_them_and_of_an_unknown_one_is_wrong_usage() -> None:
    assert all(f"  {verb} " in CliRunner().invoke(main, ["help"]).stdout for verb in VERBS)
    ran = CliRunner().invoke(main, ["help", "nope"], prog_name="ebpfnn")
    assert (ran.exit_code, ran.stderr) == (2, "ebpfnn: no verb 'nope'; see 'ebpfnn --help'\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    ran = CliRunner().invoke(main, ["completion", shell])
    assert ran.exit_code == 0
    assert f"_EBPFNN_COMPLETE={shell}_complete" in ran.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("ebpfnn wat", ["plain,watch"]),
        ("ebpfnn load mnist-1bit-", ["plain,mnist-1bit-64", "file,mnist-1bit-"]),
        ("ebpfnn infer --model fash", ["plain,fashion", "file,fash"]),
        ("ebpfnn load --trigger raw", ["plain,raw_tracepoint"]),
        ("ebpfnn load --trigger xdp --target l", ["plain,lo"]),
        ("ebpfnn load --trigger tracepoint --target l", []),
        ("ebpfnn infer --input image-s", ["plain,image-stream"]),
        ("ebpfnn watch x", []),
        ("ebpfnn help inf", ["plain,infer"]),
        ("ebpfnn help plugins n", ["plain,new"]),
        ("ebpfnn help infer n", []),
    ],
)
def test_what_is_completed(typed: str, offered: list[str]) -> None:
    words = {"_EBPFNN_COMPLETE": "bash_complete", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    paths = os.pathsep.join([str(ROOT), str(ROOT / "plugins")])
    environ = {**os.environ, **words, "PYTHONPATH": paths}
    ran = subprocess.run([sys.executable, "-m", "ebpfnn"], env=environ, capture_output=True, text=True, check=False)
    assert ran.stderr == ""
    assert ran.stdout.split() == offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ((), [("mnist", "plain"), ("mnist-x", "plain"), ("mnist-128", "plain"), ("mn", "file")]),
        (("mnist",), [("mnist", "plain"), ("mnist-128", "plain"), ("mn", "file")]),
    ],
)
def test_swap_completes_an_instance_called_like_a_network_once(
    words: tuple[str, ...], offered: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ebpfnn.instance.Store.names", lambda _store: ["mnist", "mnist-x", "other"])
    monkeypatch.setattr("ebpfnn.bodies.modelfile.bundled", lambda: ["fashion", "mnist", "mnist-128"])
    context = click.Context(main)
    context.params["words"] = words
    found = complete.instance_or_network(context, click.Argument(["words"]), "mn")
    assert [(each.value, each.type) for each in found] == offered


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("laod", "no verb 'laod'; did you mean 'load'?"),
        ("nosuch", "no verb 'nosuch'; see 'ebpfnn --help'"),
        ("help laod", "no verb 'laod'; did you mean 'load'?"),
        ("help plugins nwe", "no verb 'nwe'; did you mean 'new'?"),
        ("bpf lst", "no verb 'lst'; did you mean 'list'?"),
        ("plugins nwe", "no verb 'nwe'; did you mean 'new'?"),
        ("infer --modle x", "no option '--modle'; did you mean '--model'?"),
        ("infer --network x", "no option '--network'; did you mean '--model'?"),
        (
            "infer --log-format json",
            "no option '--log-format'; give it before the verb: ebpfnn --log-format ... infer; see 'ebpfnn infer --help'",
        ),
        ("infer --xyz", "no option '--xyz'; see 'ebpfnn infer --help'"),
        (
            "load --network x",
            "no option '--network'; give it as an argument: ebpfnn load [NAME|FILE]; see 'ebpfnn load --help'",
        ),
        (
            "inspect --model x",
            "no option '--model'; give it as an argument: ebpfnn inspect [MODEL]; see 'ebpfnn inspect --help'",
        ),
        (
            "watch --instance x",
            "no option '--instance'; give it as an argument: ebpfnn watch [INSTANCE]; see 'ebpfnn watch --help'",
        ),
    ],
)
def test_an_unknown_verb_or_option_is_answered_with_what_is_near(line: str, told: str) -> None:
    ran = CliRunner().invoke(main, line.split(), prog_name="ebpfnn")
    assert (ran.exit_code, ran.stdout, ran.stderr) == (2, "", f"ebpfnn: {told}\n")


@pytest.mark.parametrize("arguments", [["-v", "export"], ["export", "--verbose"], ["-v", "export", "-v"]])
def test_verbose_tells_steps_on_standard_error(arguments: list[str], tmp_path: Path) -> None:
    raw = ["--raw", str(tmp_path / "raw")]
    file = modelfile.resolve("mnist")
    assert CliRunner().invoke(main, ["export", "mnist", "--raw", str(tmp_path / "quiet")]).stderr == ""
    ran = CliRunner().invoke(main, [*arguments, "mnist", *raw])
    assert ran.stderr == f"ebpfnn: network 'mnist' (784-32-10) read from {file}\n"
    assert ran.stdout == f"{tmp_path / 'raw'}\n"
    assert not logging.getLogger("ebpfnn").handlers


def report(top: int) -> Report:
    return Report(Sample(np.zeros(9, np.uint8), "a.png"), random_network((9, 5, 3), seed=1), "run", 0, (1, 0, 1), 820, top=top)


def test_top_shows_the_best_labels() -> None:
    assert as_label(report(1), 0) == "0"  # of equal scores the first, as the kernel has it
    assert as_label(report(2), 0) == "0\t2"
    assert as_label(report(9), 0) == "0\t2\t1"
    text = as_text(report(2), 5).split()
    assert (text[1], text[3], text[2] == text[4]) == ("0", "2", True)
    assert '"top": [{"label": "0", "confidence": 0.' in as_json(report(2), 0)
    assert '"top"' not in as_json(report(1), 0)
