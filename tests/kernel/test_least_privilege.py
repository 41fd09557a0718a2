"""CAP_BPF and CAP_PERFMON are enough: nobody has to be root, and who lacks one is told which."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ebpfnn_plugins.run import RunTrigger
from instances import all_names, ebpfnn, mounted, names
from networks import random_network
from unprivileged import run

from ebpfnn import Instance
from ebpfnn.errors import NotSupported
from ebpfnn.instance import Store
from ebpfnn.kernel import tracefs
from ebpfnn.plugin import Plugins, why_not

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
        remedy = "run as root (sudo), or have it loaded for a Unix group of yours: ebpfnn load --group GROUP"
        fact = "is closed to this user (Permission denied)"
        for verb in (["stats", "one"], ["watch", "one"], ["swap", "one", "mnist"], ["infer", "--instance", "one", DIGIT]):
            refused = run(place, BOTH, *verb).stderr
            assert refused.startswith(f"ebpfnn: '{instance.path}")
            assert refused.endswith(f"' {fact}; {remedy}\n")
        for capabilities in ((), BOTH):
            listed = run(place, capabilities, "list")
            told = f"ebpfnn: instance 'one': '{instance.path}' {fact}; {remedy}\n"
            assert (listed.returncode, listed.stdout, listed.stderr) == (1, "", told)
        unloaded = f"'{store.directory}' belongs to user 0, so this user can unload nothing in it; run as root (sudo)"
        assert unloaded in run(place, BOTH, "unload", "one").stderr
        alone = run(place, BOTH, "infer", "--trigger", "run", "--quiet", DIGIT)
        assert (alone.returncode, alone.stdout) == (0, "7\n"), alone.stderr
        instance.unload()


def test_what_load_and_doctor_tell_a_user_to_do_lets_him_load(
    place: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one").close()  # from now on the directory is root's
    loading = ("load", "mnist", "--trigger", "run", "--quiet")
    refused = run(place, BOTH, *loading)
    fact = f"'{store.directory}' is not writable by this user, so no instance can be loaded there"
    own = f"{store.root}/mine"
    remedy = f"mkdir -p {own} && export EBPFNN_BPFFS={own}"
    told = f"{fact}; run as root (sudo), or load into a directory of your own: {remedy}"
    assert (refused.returncode, refused.stderr) == (1, f"ebpfnn: {told}\n")
    check = checks(place, BOTH)[1]["bpffs"]
    assert f"{check['fact']}; {check['remedy']}" == told
    subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", remedy], check=True)
    monkeypatch.setenv("EBPFNN_BPFFS", own)
    assert checks(place, BOTH)[1]["bpffs"] == {"name": "bpffs", "state": "ok", "fact": own, "remedy": ""}
    without = run(place, BOTH, *loading)  # what a stub can tail-call is a program of the network
    told = "refused with EPERM (Operation not permitted); run as root (sudo), or grant CAP_NET_ADMIN (it has CAP_BPF"
    assert (without.returncode, told in without.stderr) == (1, True)
    loaded = run(place, (*BOTH, "net_admin"), *loading)
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert names(Store(Path(own))) == all_names("mnist")


def test_a_file_system_that_is_closed_is_no_empty_one(place: Path, store: Store) -> None:
    with Instance.load(random_network((9, 5, 3), seed=1), RunTrigger(), name="one", group=65534):
        store.root.chmod(0o700)  # as systemd mounts it
        told = (
            f"ebpfnn: '{store.root}' is closed to this user; run as root (sudo), or have root open it: chmod o+x {store.root}"
        )
        for verb in (["list"], ["unload", "one"], ["load", "mnist", "--trigger", "run"]):
            ran = run(place, BOTH, *verb)
            assert (ran.returncode, ran.stdout) == (1, "")
            assert ran.stderr.startswith(told)
        alone = run(place, BOTH, "infer", "--trigger", "run", "--quiet", DIGIT)
        assert (alone.returncode, alone.stdout, alone.stderr) == (0, "7\n", "")
        subprocess.run(["chmod", "o+x", store.root], check=True)
        listed = run(place, BOTH, "list", "--json")
        assert [each["instance"] for each in json.loads(listed.stdout)] == ["one"]


@pytest.mark.parametrize(("name", "remedy"), [("", "mount -t bpf bpf {0}"), ("absent", "mkdir {0} && mount -t bpf bpf {0}")])
def test_a_place_in_the_environment_that_is_none_is_told_with_what_helps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str
) -> None:
    path = tmp_path / name
    monkeypatch.setenv("EBPFNN_BPFFS", str(path))
    network = random_network((9, 5, 3), seed=1)
    with pytest.raises(NotSupported, match=f"^EBPFNN_BPFFS={path} is not .*; unset EBPFNN_BPFFS, or ") as caught:
        Instance.load(network, RunTrigger(), name="one")
    command = remedy.format(path)
    assert str(caught.value).endswith(command)
    subprocess.run(["sh", "-ec", command], check=True)
    try:
        Instance.load(network, RunTrigger(), name="one").unload()
    finally:
        subprocess.run(["umount", path], check=True)


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
    assert granted(told["trigger run"]["remedy"]) == BOTH


def granted(remedy: str) -> tuple[str, ...]:
    """The capabilities that the command in ``remedy`` gives."""
    found = re.search("--inh-caps=([+a-z_,]+) --ambient-caps=([+a-z_,]+) ", remedy)
    assert found
    assert found[1] == found[2]
    return tuple(name.removeprefix("+") for name in found[1].split(","))


@pytest.mark.parametrize(
    ("name", "more", "target"),
    [
        ("socket_filter", ("net_raw",), "lo"),
        ("cgroup_skb", ("net_admin",), "."),
        ("tc", ("net_admin",), "lo"),
        ("xdp", ("net_admin",), "lo"),
        ("uprobe", ("sys_admin",), None),
    ],
)
def test_what_doctor_tells_to_grant_is_enough_to_attach(
    place: Path, name: str, more: tuple[str, ...], target: str | None
) -> None:
    trigger = Plugins.installed().trigger(name)
    if why_not(trigger):
        pytest.skip(why_not(trigger) or "")
    told = checks(place, BOTH)[1][f"trigger {name}"]
    assert told["state"] == "unavailable"
    assert told["fact"].startswith(f"CAP_{more[0].upper()} missing; needs CAP_BPF, ")
    options = ("--option", "mode=generic") if name == "xdp" else ()
    command = ("infer", "--trigger", name, *(("--target", target) if target else ()), *options, "--quiet", DIGIT)
    before = run(place, BOTH, *command)
    assert before.returncode == 1
    assert f"grant CAP_{more[0].upper()}" in before.stderr
    after = run(place, granted(told["remedy"]), *command)
    assert (after.returncode, after.stdout, after.stderr) == (0, "7\n", "")
    assert checks(place, granted(told["remedy"]))[1][f"trigger {name}"]["state"] == "ok"
