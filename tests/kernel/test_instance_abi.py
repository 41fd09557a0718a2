"""An ebpfnn and an instance of another: it is listed and unloaded, and nothing else happens to either."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from instances import ebpfnn, mounted, names
from networks import random_network

from ebpfnn import abi
from ebpfnn.errors import VersionError
from ebpfnn.instance import Instance, Store
from ebpfnn.kernel import Map

pytestmark = pytest.mark.root
SMALL = random_network((9, 5, 3), seed=1)
DIGIT = Path(__file__).parents[1] / "data" / "digits" / "7.png"
REFUSING = [["infer", "--instance", "other", str(DIGIT)], ["watch", "other", "--seconds", "1"], ["swap", "other", "mnist"]]
REFUSING += [["stats", "other", "--seconds", "0.1"]]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with mounted(tmp_path) as made:
        yield made


def run(store: Store, number: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line of an ebpfnn whose ABI version is ``number``."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(abi, "VERSION", number)
        patched.setenv("COLUMNS", "200")
        return ebpfnn(store, *arguments)


def rewrite(instance: Instance, **changed: Any) -> None:
    """Has both descriptions say something else, and more than is known."""
    with Map.open(instance.path / "about") as about:
        for index in (0, 1):
            key = struct.pack("<I", index)
            described = json.loads((about.lookup(key) or b"").rstrip(b"\0"))
            described |= {"new": [{}], **changed}
            data = json.dumps({name: value for name, value in described.items() if value != "absent"}).encode()
            about.update(key, data.ljust(about.value_size, b"\0"))


@contextmanager
def other(store: Store, number: int | str) -> Iterator[Instance]:
    """An instance ``other`` of that version beside one of today's."""
    Instance.load(SMALL, RunTrigger(), name="own", store=store)
    instance = Instance.load(SMALL, TracepointTrigger(), name="other", store=store)
    rewrite(instance, abi=number)
    yield instance


def callers(instance: Instance) -> dict[bytes, bytes]:
    with Map.open(instance.path / "callers") as held:
        return dict(held.items())


def pinned(instance: Instance) -> list[str]:
    return sorted(str(path) for path in instance.path.rglob("*"))


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize(
    ("instance_has", "number", "tells"),
    [(3, 2, 3), (1, 2, 1), ("absent", 2, 1), (2, 3, 2)],
    ids=["newer instance", "older instance", "instance before the number", "newer command"],
)
def test_it_is_listed_and_unloaded_and_all_else_refuses(store: Store, instance_has: int | str, number: int, tells: int) -> None:
    with other(store, instance_has) as instance:
        before = callers(instance), pinned(instance)
        listed = run(store, number, "list")
        assert listed.returncode == 0, listed.stderr
        [row] = [line for line in listed.stdout.splitlines() if line.startswith("other")]
        assert f"tracepoint syscalls:sys_enter_getcpu (ABI version {tells}; this ebpfnn has {number})" in row
        assert any(line.startswith("own ") for line in listed.stdout.splitlines())
        told = {each["instance"]: each["abi"] for each in json.loads(run(store, number, "list", "--json").stdout)}
        assert told == {"own": 2, "other": tells}
        for command in REFUSING:
            ran = run(store, number, *command)
            assert (ran.returncode, ran.stdout) == (1, ""), command
            [line] = ran.stderr.splitlines()
            fact = rf"with ABI version {tells}, and this ebpfnn has {number}; use that ebpfnn, or unload it"
            assert line.startswith("ebpfnn: instance 'other' was loaded by ebpfnn ")
            assert fact in line
        assert (callers(instance), pinned(instance)) == before
        ran = run(store, number, "unload", "other")
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "other: unloaded\n", "")
        assert {"own", "own_input"} <= names(store)
        assert not any(name.startswith("other") for name in names(store))
        assert run(store, 2, "infer", "--instance", "own", str(DIGIT)).stderr.count("ABI") == 0


def test_one_whose_pins_are_others_is_listed_and_unloaded_too(store: Store) -> None:
    instance = Instance.load(SMALL, RunTrigger(), name="other", store=store)
    rewrite(instance, abi=abi.VERSION + 1, labels="none", network=7)
    for pin in ("events", "watch", "input", "chooser"):
        (instance.path / pin).unlink()
    (instance.path / "state" / "more").mkdir()
    listed = run(store, 2, "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "(ABI version 3; this ebpfnn has 2)" in listed.stdout
    found = Instance.open("other", store)
    for ask in (found.about, found.session, found.statistics, found.is_attached, found.trigger, found.stats):
        with pytest.raises(VersionError, match="ABI version 3"):
            ask()
    instance.unload()
    assert names(store) == set()


def test_unload_all_takes_those_of_others_too(store: Store) -> None:
    rewrite(Instance.load(SMALL, RunTrigger(), name="other", store=store), abi=3)
    Instance.load(SMALL, RunTrigger(), name="own", store=store)
    ran = run(store, 2, "unload", "--all")
    assert (ran.returncode, ran.stderr, names(store)) == (0, "", set())


def test_an_only_instance_of_another_is_not_used_and_that_is_told(store: Store) -> None:
    rewrite(Instance.load(SMALL, RunTrigger(), name="other", store=store), abi=3)
    ran = run(store, 2, "infer", str(DIGIT))
    assert ran.returncode == 0
    assert "with ABI version 3, and this ebpfnn has 2" in ran.stderr
    assert "loading a network for this command only" in ran.stderr
