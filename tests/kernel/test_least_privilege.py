"""CAP_BPF and CAP_PERFMON are enough: nobody has to be root, and who lacks one is told which."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ebpfnn_plugins.run import RunTrigger
from instances import ebpfnn, mounted, names
from networks import random_network
from unprivileged import run

from ebpfnn import Instance
from ebpfnn.instance import Store
from ebpfnn.kernel import tracefs

pytestmark = pytest.mark.root
DIGIT = "tests/data/digits/7.png"
BOTH = ("bpf", "perfmon")


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every user may reach: pytest closes its own to others, again whenever somebody starts it."""
    with tempfile.TemporaryDirectory(prefix="ebpfnn-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def place(open_to_all: Path) -> Iterator[Path]:
    """An empty directory to mount things on, and empty again at the end."""
    made = open_to_all / "place"
    made.mkdir()
    yield made
    assert not list(made.iterdir())


@pytest.fixture
def store(open_to_all: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Where anybody may pin instances."""
    directory = open_to_all / "bpf"
    directory.mkdir()
    monkeypatch.setenv("EBPFNN_BPFFS", str(directory))
    with mounted(directory) as made:
        yield made


def test_nobody_runs_a_network_with_two_capabilities(place: Path) -> None:
    ran = run(place, BOTH, "infer", "--trigger", "run", "--json", "--check", DIGIT)
    assert (ran.returncode, ran.stderr) == (0, "")
    result = json.loads(ran.stdout)
    assert (result["label"], result["check"]) == ("7", True)


@pytest.mark.usefixtures("tracing")
def test_nobody_attaches_to_a_tracepoint_where_tracefs_is_open(place: Path) -> None:
    ran = run(place, BOTH, "infer", "--trigger", "tracepoint", "--quiet", DIGIT, tracefs=tracefs())
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "7\n", "")


@pytest.mark.usefixtures("tracing")
def test_a_closed_tracefs_is_told_with_what_opens_it(place: Path) -> None:
    ran = run(place, BOTH, "infer", "--trigger", "tracepoint", DIGIT)
    assert ran.returncode == 1
    assert (
        "is not readable for this user; run as root, or let a group read it: mount -o remount,gid=GROUP,mode=750" in ran.stderr
    )
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("capabilities", "remedy"),
    [
        ((), "run as root (sudo), or grant CAP_BPF and CAP_PERFMON"),
        (("perfmon",), "run as root (sudo), or grant CAP_BPF (it has CAP_PERFMON)"),
        (("bpf",), "run as root (sudo), or grant CAP_PERFMON (it has CAP_BPF)"),
    ],
)
def test_what_is_missing_is_told_in_one_line(place: Path, capabilities: tuple[str, ...], remedy: str) -> None:
    ran = run(place, capabilities, "infer", "--trigger", "run", DIGIT)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.endswith(f"; {remedy}\n")
    assert ran.stderr.count("\n") == 1


@pytest.mark.usefixtures("tracing")
def test_nobody_keeps_a_network_in_the_kernel(place: Path, store: Store) -> None:
    loaded = run(place, BOTH, "load", "mnist", "--trigger", "tracepoint", "--name", "one", "--quiet", tracefs=tracefs())
    assert (loaded.returncode, loaded.stderr) == (0, "")
    inferred = run(place, BOTH, "infer", "--instance", "one", "--quiet", DIGIT)
    assert (inferred.returncode, inferred.stdout) == (0, "7\n"), inferred.stderr
    counted = run(place, BOTH, "stats", "one", "--seconds", "0.1", "--json")
    found = json.loads(counted.stdout)
    assert (counted.returncode, found["runs"]) == (0, None)
    assert found["uncounted"].endswith("; run as root (sudo), or grant CAP_SYS_ADMIN")
    watched = run(place, BOTH, "watch", "one", "--seconds", "0.1")
    assert (watched.returncode, watched.stdout) == (0, ""), watched.stderr
    assert run(place, BOTH, "unload", "one").returncode == 0
    assert names(store) == set()


def test_roots_instances_are_closed_to_others_who_are_told_so(place: Path, store: Store) -> None:
    with Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one") as instance:
        told = "Permission denied; ask who loaded it, or run as root (sudo)"
        for verb in (["stats", "one"], ["watch", "one"], ["swap", "one", "mnist"], ["unload", "one"]):
            assert told in run(place, BOTH, *verb).stderr
        alone = run(place, BOTH, "infer", "--trigger", "run", "--quiet", DIGIT)
        assert (alone.returncode, alone.stdout) == (0, "7\n"), alone.stderr
        instance.unload()


def test_nobody_keeps_root_from_unloading(place: Path, store: Store) -> None:
    """Whoever may look into a directory may lock it, and then keep the lock for ever."""
    with Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one") as instance:
        holding = subprocess.Popen(
            [
                "setpriv",
                "--reuid",
                "65534",
                "--clear-groups",
                "flock",
                "--no-fork",
                store.directory,
                "sh",
                "-c",
                "echo; exec sleep 600",
            ],
            stdout=subprocess.PIPE,
        )
        try:
            assert holding.stdout
            assert holding.stdout.readline() == b"\n"  # it holds it
            ran = ebpfnn(store, "unload", "one")
        finally:
            holding.kill()
            holding.communicate()
        assert (ran.returncode, instance.is_loaded()) == (0, False), ran.stderr


def checks(place: Path, capabilities: tuple[str, ...], **more: Any) -> tuple[int, dict[str, dict[str, str]]]:
    ran = run(place, capabilities, "doctor", "--json", **more)
    return ran.returncode, {check["name"]: check for check in json.loads(ran.stdout)}


def test_doctor_says_that_two_capabilities_are_enough(place: Path) -> None:
    status, told = checks(place, BOTH)
    assert status == 0
    assert told["capabilities"]["fact"] == "holds CAP_PERFMON, CAP_BPF"
    assert (told["trigger run"]["state"], told["trigger run"]["remedy"]) == ("ok", "")
    assert told["trigger run"]["fact"] == "ran a network; needs CAP_BPF, CAP_PERFMON"


def test_doctor_says_which_capability_a_trigger_is_without(place: Path) -> None:
    status, told = checks(place, ("bpf",))
    assert status == 1
    assert told["trigger run"]["fact"] == "CAP_PERFMON missing; needs CAP_BPF, CAP_PERFMON"
    assert told["trigger run"]["remedy"] == "run as root (sudo), or grant CAP_PERFMON"
