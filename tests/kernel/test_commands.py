"""Commands as people type them: what may be left out where there is but one choice."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from forks import as_a_program
from instances import ROOT, ebpfnn, environment, names, started
from networks import random_network, samples

from ebpfnn import Instance
from ebpfnn.__main__ import main
from ebpfnn.bodies import modelfile
from ebpfnn.instance import Store

pytestmark = pytest.mark.root

SMALL = random_network((9, 5, 3), seed=1)
BLANK = b"P5 28 28 255\n" + bytes(28 * 28)


def test_load_takes_the_default_network(store: Store) -> None:
    ran = started(store, "load", "--trigger", "run")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("mnist: mnist (784-32-10) loaded")


def test_the_only_instance_need_not_be_named(store: Store) -> None:
    """By processes that import nothing but what each verb does."""
    assert started(store, "load", "--trigger", "run").returncode == 0
    assert started(store, "stats", "--seconds", "0.05").stdout.splitlines()[1].startswith("mnist ")
    ran = started(store, "watch", "--seconds", "0.1")
    assert (ran.returncode, ran.stderr[:17]) == (0, "ebpfnn: mnist: 0 ")
    assert started(store, "swap", "mnist-128").stdout.startswith("mnist: mnist-128 (784-128-10) is now in place")
    assert started(store, "unload").stdout == "mnist: unloaded\n"
    assert names(store) == set()


@pytest.mark.parametrize("command", [["watch"], ["stats"], ["swap", "mnist"], ["unload"]], ids=lambda words: words[0])
def test_without_a_name_there_must_be_one_instance(command: list[str], store: Store) -> None:
    ran = ebpfnn(store, *command)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == "ebpfnn: no instance is loaded; load one with `ebpfnn load`\n"
    for name in ("one", "two"):
        Instance.load(SMALL, RunTrigger(), name=name)
    ran = ebpfnn(store, *command)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert (
        ran.stderr
        == f"ebpfnn: several instances are loaded: 'one', 'two'; give the name of one; see 'ebpfnn {command[0]} --help'\n"
    )
    assert store.names() == ["one", "two"]


def test_infer_says_which_instances_it_did_not_take(store: Store) -> None:
    loaded = [Instance.load(SMALL, RunTrigger(), name=name) for name in ("one", "two")]
    checked = [each.statistics().answered for each in loaded]
    ran = ebpfnn(store, "infer", "--json", "--trigger", "run", stdin=BLANK)
    assert (ran.returncode, ran.stderr) == (0, "")
    ran = ebpfnn(store, "infer", "--json", stdin=BLANK)
    assert json.loads(ran.stdout)["model"] == "mnist"
    assert ran.stderr == (
        "ebpfnn: several instances are loaded: 'one', 'two'; loading a network for this command only; "
        "--instance NAME uses one\n"
    )
    assert "are loaded" not in ebpfnn(store, "infer", "--quiet", stdin=BLANK).stderr
    assert [each.statistics().answered for each in loaded] == checked


@pytest.mark.parametrize("columns", ["80", ""])
def test_what_lists_fits_80_columns(columns: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    network = modelfile.load(modelfile.resolve("mnist-cnn"))
    Instance.load(network, TracepointTrigger(), name="a-longer-name")
    for command in (["list"], ["plugins"], ["stats", "--seconds", "0.05"], ["models"]):
        lines = on_terminal(store, *command).splitlines()
        assert len(lines) > 1
        assert max(map(len, lines)) <= 80, command
    assert "a-longer-name  mnist-cnn  tracepoint" in on_terminal(store, "list")


def read_screen(screen: io.RawIOBase) -> bytes:
    text = b""
    with suppress(OSError):  # EIO: nobody has the terminal any more
        while more := screen.read(4096):
            text += more
    return text


def on_terminal(store: Store, *arguments: str) -> str:
    """What `ebpfnn ARGUMENTS` prints on a terminal, without its colors."""
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as screen, ThreadPoolExecutor(1) as pool:
        shown = pool.submit(read_screen, screen)
        try:
            status, _, complained = as_a_program(main, ["ebpfnn", *arguments], environment(store), terminal=theirs)
        finally:
            os.close(theirs)
        assert status == 0, complained
        text = shown.result()
    return re.sub(r"\x1b\[[\d;]*m", "", text.decode()).replace("\r\n", "\n")


def test_a_pipe_is_given_one_row_a_line(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Instance.load(modelfile.load(modelfile.resolve("mnist-cnn")), TracepointTrigger(), name="name" * 16)
    head, row = (re.split("  +", line) for line in ebpfnn(store, "list").stdout.splitlines())
    assert head == ["instance", "network", "trigger", "loaded", "answered", "runs", "ns/run"]
    assert row[:3] == ["name" * 16, "mnist-cnn", "tracepoint syscalls:sys_enter_getcpu"]
    assert len(row) == len(head)


def test_the_example_that_watches(store: Store) -> None:
    instance = Instance.load(SMALL, RunTrigger(), name="one")
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / "watch.py"), "one", "2"]
    watching = subprocess.Popen(command, env=environment(store), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "watching one\n"
        with instance.session() as session:
            for _ in range(2):
                session.infer(samples((9,), seed=1)[0])
        told, failed = watching.communicate(timeout=30)
    finally:
        watching.kill()
        watching.wait()
    assert (failed, watching.returncode) == ("", 0)
    assert [line.split()[2] for line in told.splitlines()] == ["ns", "ns"]


def test_what_cannot_be_told_does_not_stay_loaded(store: Store) -> None:
    command = [sys.executable, "-m", "ebpfnn", "load", "--trigger", "run"]
    with open("/dev/full", "w") as full:
        ran = subprocess.run(command, env=environment(store), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ran.returncode, names(store)) == (1, set())
    assert ran.stderr == "ebpfnn: standard output: no space left on the device; free some, or write elsewhere\n"
