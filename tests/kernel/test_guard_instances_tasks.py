"""Guards of threads that stay in the kernel: loaded, shown, braked, swapped and unloaded by the verbs."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cgroups import cgroup, end_of, remove, start
from instances import ebpfnn, names
from taskguards import FOREVER, calls, guard, network

from ebpfnn import Instance, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.instance import Store

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing", "perf_links")]
KILLED = -signal.SIGKILL


@pytest.fixture
def inside() -> Iterator[Path]:
    with cgroup() as made:
        yield made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "calls.safetensors"
    modelfile.save(network(), path)
    return path


def ends(inside: Path) -> int:
    return end_of(start(calls(50), inside))


def test_the_verbs(store: Store, inside: Path, model: Path) -> None:
    policy = ("--after", "1", "--most", "1", "--cgroup", str(inside), "--allow", 'comm == "sshd"', "--enforce")
    ran = ebpfnn(store, "load", str(model), "--action", "signal:KILL", *policy)
    assert ran.returncode == 0, ran.stderr
    assert " actions as the twin computes them" in ran.stdout
    assert f"every event in {inside} and is a guard: signal:KILL, enforcing; see `ebpfnn actions calls`" in ran.stdout
    instance = Instance.open("calls")
    with instance.brakes() as brakes:
        assert (ends(inside), end_of(start(calls(50)))) == (KILLED, 0)
        brakes.pause(True)
        assert ends(inside) == 0
        brakes.pause(False)
        brakes.enforce(0)
        assert ends(inside) == 0
        brakes.enforce(FOREVER)
        assert ends(inside / "below") == KILLED
    shown = ebpfnn(store, "actions").stdout
    assert "1 entries are allowed" in shown
    assert f"only in {inside}; of the threads that were acted on: 2 hit, 0 failed, 0 exempt, 0 outside" in shown
    told = json.loads(ebpfnn(store, "actions", "--json").stdout)
    assert (told["action"], told["cgroup"]) == ("signal:KILL", str(inside))
    assert told["outcomes"] == {"hit": 2, "failed": 0, "exempt": 0, "outside": 0}
    assert told["counts"]["bad"] == {"acted": 2, "audited": 46, "paused": 46, "capped": 0, "allowed": 0}
    assert ebpfnn(store, "unload").returncode == 0
    assert ends(inside) == 0
    assert names(store) == set()


def test_the_deadline_holds_when_who_loaded_it_was_killed(store: Store, inside: Path) -> None:
    def loads() -> None:
        Instance.load(network(), Plugins.installed().trigger("tracepoint"), name="calls", guard=guard(inside))
        with Instance.open("calls").brakes() as brakes:
            brakes.enforce(time.monotonic_ns() + 2_000_000_000)
            os.kill(os.getpid(), signal.SIGKILL)

    assert end_of(start(loads)) == KILLED
    assert ends(inside) == KILLED
    time.sleep(2)
    assert ends(inside) == 0
    Instance.open("calls").unload()


def test_a_swap_keeps_the_cgroup_itself_and_spares_who_swaps(store: Store, inside: Path) -> None:
    plugins = Plugins.installed()

    def loads() -> None:
        with Instance.load(network(), plugins.trigger("tracepoint"), name="calls", guard=guard(inside)) as instance:
            assert instance.about().guard["cgroup"] == str(inside)

    def swaps() -> None:
        instance = Instance.open("calls")
        with instance.brakes() as brakes:
            brakes.enforce(FOREVER)
        instance.swap(network(name="other"))
        (inside / "below" / "cgroup.procs").write_text("0")
        calls(50)()
        assert end_of(start(calls(50))) == KILLED
        with instance.brakes() as brakes:
            assert brakes.outcomes() == {"hit": 1, "failed": 0, "exempt": 46, "outside": 0}

    assert end_of(start(loads)) == 0
    assert end_of(start(swaps)) == 0
    instance = Instance.open("calls")
    assert instance.about().network == "other"
    assert instance.about().guard["cgroup"] == str(inside)
    assert ends(inside) == KILLED
    assert instance.is_attached()
    remove(inside / "below")
    remove(inside)
    assert not instance.is_attached()
    inside.mkdir()
    assert not instance.is_attached(), "what has its name now is another cgroup"
    instance.swap(network())  # it holds the cgroup, and not what has its name now
    assert not instance.is_attached()
    assert not instance.snapshot().attached
    assert ends(inside) == 0
    instance.unload()
    assert names(store) == set()


def test_apply_loads_a_guard_anew_whose_cgroup_was_made_again(store: Store, inside: Path, model: Path) -> None:
    """As systemd does with that of a service that starts again."""
    file = model.with_name("guards.toml")
    entry = {"name": "calls", "model": model.name, "action": "signal:KILL", "cgroup": str(inside)}
    brakes = "after = 1\nmost = 1\nenforce = true\n"
    file.write_text("[[instance]]\n" + "".join(f"{key} = '{value}'\n" for key, value in entry.items()) + brakes)
    assert ebpfnn(store, "apply", str(file)).returncode == 0
    remove(inside / "below")
    remove(inside)
    inside.mkdir()
    assert ends(inside) == 0
    ran = ebpfnn(store, "apply", str(file))
    assert ran.stdout.startswith("calls: reload (what it was attached to is gone)\n"), ran.stderr
    assert ends(inside) == KILLED
    assert ebpfnn(store, "apply", str(file)).stdout == "nothing to do\n"
    assert ebpfnn(store, "apply", "--unload", str(file)).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--action", "signal:KILL"], "harms processes, and nothing says which ones it may; give the cgroup that they are in"),
        (["--action", "signal:KILL", "--cgroup", "/"], "cgroup '/': this is not a cgroup of version 2"),
        (["--action", "signal:KILL", "--cgroup", "none-here"], "cgroup 'none-here' not found"),
        (["--cgroup", "any"], "--cgroup is for guards; give --action too"),
        (["--action", "signal:KILL", "--allow", "source in 10.0.0.0/8"], "has no field 'source'"),
    ],
)
def test_what_is_refused_before_anything_is_attached(store: Store, model: Path, arguments: list[str], fact: str) -> None:
    with cgroup() as inside:
        place = [] if "--cgroup" in arguments or "--allow" not in arguments else ["--cgroup", str(inside)]
        ran = ebpfnn(store, "load", str(model), *arguments, *place)
    assert ran.returncode != 0
    assert fact in ran.stderr.replace("\n", " "), ran.stderr
    assert len(ran.stderr.strip().splitlines()) <= 3
    assert names(store) == set()
