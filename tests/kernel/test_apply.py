"""`ebpfnn apply`: what is loaded becomes what a file declares, all of it or nothing, also if it is killed."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from ebpfnn_plugins.run import RunTrigger
from flooding import FOREVER, Senders, network
from instances import ebpfnn, names
from netspace import run
from networks import random_network
from test_guard_instances import CALIBRATION
from test_instance_crash import killed_at

from ebpfnn import Instance, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.cli import main
from ebpfnn.declared.carry_out import NotTakenBack, carry_out
from ebpfnn.declared.plan import plan
from ebpfnn.errors import Error, KernelError, SessionError, UsageError
from ebpfnn.instance import Store
from ebpfnn.instance.ready import Compiled
from ebpfnn.network.layers import Dense

pytestmark = pytest.mark.root
SMALL, OTHER, WIDE = random_network((9, 5, 3), seed=1), random_network((9, 4, 3), seed=2), random_network((8, 4, 3), seed=3)


class File:
    """A file of instances, and models beside it."""

    def __init__(self, path: Path, store: Store) -> None:
        self.path, self.store, self.plugins = path, store, Plugins.installed()
        for name, made in (("small", SMALL), ("other", OTHER), ("wide", WIDE)):
            modelfile.save(made, path.parent / f"{name}.safetensors")

    def declare(self, *tables: dict[str, Any]) -> None:
        self.path.write_text("".join("[[instance]]\n" + _toml(each) for each in tables) or "instance = []")

    def steps(self) -> list[tuple[str, str]]:
        return [(step.name, step.verb) for step in plan(self.path, self.store, self.plugins).steps]

    def apply(self) -> list[tuple[str, str]]:
        found = plan(self.path, self.store, self.plugins)
        with self.store.changing():
            carry_out(found, self.store, self.plugins)
        assert self.steps() == []
        return [(step.name, step.verb) for step in found.steps]


def _toml(table: dict[str, Any]) -> str:
    shown = {key: str(value).lower() if isinstance(value, bool) else repr(value) for key, value in table.items()}
    return "".join(f"{key} = {value}\n" for key, value in shown.items())


def one(name: str, model: str = "small", **more: Any) -> dict[str, Any]:
    return {"name": name, "model": f"{model}.safetensors", "trigger": "run", **more}


@pytest.fixture
def file(store: Store, tmp_path: Path) -> File:
    (tmp_path / "etc").mkdir()
    return File(tmp_path / "etc" / "guards.toml", store)


def guard(file: File, name: str = "guard", trigger: str = "tc", **more: Any) -> dict[str, Any]:
    """An entry for a guard at ``here``, whose model is written beside the file."""
    mode = "generic" if trigger == "xdp" else ""
    modelfile.save(replace(network(trigger, mode), calibration=CALIBRATION), file.path.parent / f"{trigger}.safetensors")
    return {"name": name, "model": f"{trigger}.safetensors", "target": "here", "action": "drop", "after": 1, "most": 1, **more}


def test_what_differs_is_done_and_nothing_else(file: File, store: Store) -> None:
    file.declare(one("a"), one("b"))
    assert file.apply() == [("a", "load"), ("b", "load")]
    before = Instance.open("b")
    file.declare(one("a", "other"), one("b"))
    assert file.apply() == [("a", "swap")]
    assert Instance.open("a").about().architecture == "9-4-3"
    file.declare(one("a", "wide"), one("b"))  # which no swap can put there
    assert file.apply() == [("a", "reload")]
    file.declare(one("b"), one("c"))
    assert file.apply() == [("c", "load"), ("a", "unload")]
    assert before.is_loaded()
    modelfile.save(OTHER, file.path.parent / "small.safetensors")  # the same name, another model
    assert file.apply() == [("b", "swap"), ("c", "swap")]
    Instance.open("b").swap(SMALL)  # by hand
    assert file.apply() == [("b", "swap")]
    file.declare()
    assert sorted(file.apply()) == [("b", "unload"), ("c", "unload")]
    assert names(store) == set()


def test_what_others_have_loaded_is_left_alone(file: File, store: Store, tmp_path: Path) -> None:
    by_hand = Instance.load(SMALL, RunTrigger(), name="hand")
    second = File(tmp_path / "etc" / "more.toml", store)
    second.declare(one("second"))
    assert second.apply() == [("second", "load")]
    file.declare(one("a"))
    file.apply()
    for name, by in (("hand", "by hand"), ("second", f"by {second.path}")):
        file.declare(one("a"), one(name))
        with pytest.raises(
            Error, match=f"instance '{name}' was loaded {by}, not by {file.path}, which leaves it alone; unload"
        ):
            file.steps()
    file.declare()
    assert file.apply() == [("a", "unload")]
    assert by_hand.is_loaded()
    assert Instance.open("second").is_loaded()


def test_brakes_change_without_a_reload_and_only_if_they_differ(file: File, senders: Senders) -> None:
    def apply(**brakes: Any) -> list[str]:
        file.declare(guard(file, **brakes))
        return [verb for _, verb in file.apply()]

    assert apply() == ["load"]
    loaded = Instance.open("guard")
    assert senders.send(0, 500) == 1
    assert apply(enforce=True) == ["enforce"]
    assert senders.send(0, 500) == 0
    assert apply(enforce=True, **{"for": "10m"}) == ["enforce"]
    with loaded.brakes() as brakes:
        assert 0 < brakes.until_ns - time.monotonic_ns() <= 600 * 10**9
        brakes.pause(True)
        assert apply(enforce=True, **{"for": "20m"}) == ["enforce"]
        assert brakes.paused, "a pause is the operator's"
        brakes.pause(False)
        brakes.enforce(1)  # the time is over
        assert apply(enforce=True, **{"for": "20m"}) == []
        brakes.enforce(0)  # `ebpfnn audit`
        assert apply(enforce=True, **{"for": "20m"}) == ["enforce"]
        brakes.enforce(FOREVER)  # `ebpfnn enforce`
        assert apply(enforce=True, **{"for": "20m"}) == ["enforce"]
        assert apply(enforce=False) == ["audit"]
        assert brakes.until_ns == 0
        assert apply() == ["audit"]  # no longer declared, so left to the verbs from now on
        brakes.enforce(FOREVER)
        assert apply() == []
        brakes.pause(True)
    assert loaded.is_loaded()
    assert apply(lasting="5s", enforce=True) == ["reload", "enforce"]
    assert not loaded.is_loaded()
    assert Instance.open("guard").about().guard["lasting"] == 5 * 10**9
    assert senders.send(0, 500) == 1, "a pause is the operator's, also if what was paused is loaded anew"
    with Instance.open("guard").brakes() as brakes:
        brakes.pause(False)
    assert apply(lasting="6s", enforce=True) == ["reload", "enforce"]
    assert senders.send(0, 500) == 0
    Instance.open("guard").unload()


def test_all_is_checked_before_anything_is_changed(file: File, store: Store, senders: Senders) -> None:
    del senders
    modelfile.save(network("tc"), file.path.parent / "raw.safetensors")
    wrong = {
        "is not calibrated": {**guard(file, "g"), "model": "raw.safetensors"},
        "interface 'nowhere' not found": {**guard(file, "g"), "target": "nowhere"},
        "surce": guard(file, "g", allow=["surce == 1"]),
        "did you mean 'drop'": {**guard(file, "g"), "action": "drpo"},
        "group 'nobody-has-this' does not exist": one("g", group="nobody-has-this"),
        "give 1 to 64 characters": one("g.h"),
        "trigger 'ruin' not found": {**one("g"), "trigger": "ruin"},
        "guards.toml: not a": {**one("g"), "model": "guards.toml"},
    }
    for fact, entry in wrong.items():
        file.declare(one("a"), entry)
        with pytest.raises(Error, match=fact):
            file.steps()
        assert names(store) == set()
    run("ip", "route", "add", "default", "via", "10.77.0.2", "dev", "here")
    file.declare(guard(file, "g", enforce=True))
    with pytest.raises(UsageError, match=r'has a default route, .*; give for, such as for = "10m", after which it is in audit'):
        file.steps()


@pytest.mark.parametrize("trigger", ["tc", "xdp"])
def test_a_failure_in_the_middle_takes_all_back(file: File, store: Store, senders: Senders, trigger: str) -> None:
    """Two programs at an XDP hook do not fit: the second one fails, after everything else was done."""
    xdp = {"options": {"mode": "generic"}}
    own = guard(file, "guard", trigger, **(xdp if trigger == "xdp" else {}))
    toml = {**own, "enforce": True}
    file.declare(_inline(toml), one("a"), one("b"))
    file.apply()
    guarding, brakes_of = Instance.open("guard"), Instance.open("guard").brakes
    assert senders.send(0, 500) == 0
    both = [_inline({**guard(file, f"x{number}", "xdp"), **xdp}) for number in (1, 2)]
    file.declare(_inline({**toml, "lasting": "5s"}), one("a", "other"), *both)
    found = plan(file.path, store, file.plugins)
    expected = [("guard", "reload"), ("guard", "enforce"), ("a", "swap"), ("x1", "load"), ("x2", "load"), ("b", "unload")]
    assert [(step.name, step.verb) for step in found.steps] == expected
    before = Instance.open("a").statistics().swaps
    with pytest.raises(KernelError, match="another program is attached"):
        carry_out(found, store, file.plugins)
    assert {each.name for each in Instance.all(store)} == {"guard", "a", "b"}
    assert guarding.is_loaded()
    assert guarding.is_attached()
    assert guarding.about().guard["lasting"] == 60 * 10**9
    with brakes_of() as brakes:
        assert brakes.until_ns == FOREVER
    assert senders.send(0, 500) == 0  # it acts as before
    again = Instance.open("a")
    assert again.about().architecture == "9-5-3"
    assert again.statistics().swaps - before in (0, 2)  # not reached, or there and back
    file.declare(_inline(toml), one("a"), one("b"))
    assert file.steps() == []
    file.declare()
    file.apply()
    assert senders.send(0, 500) == 1
    assert names(store) == set()


@pytest.mark.usefixtures("tracing", "perf_links")
def test_a_guard_at_xdp_takes_another_name_beside_links_that_cannot_be_detached(
    file: File, store: Store, senders: Senders
) -> None:
    options = {"options": {"mode": "generic"}}
    file.declare(_inline(guard(file, "old", "xdp", enforce=True, **options)), {**one("t"), "trigger": "tracepoint"})
    file.apply()
    assert senders.send(0, 500) == 0
    file.declare(_inline(guard(file, "new", "xdp", enforce=True, **options)))
    assert file.apply() == [("new", "load"), ("new", "enforce"), ("old", "unload"), ("t", "unload")]
    assert senders.send(1, 500) == 0
    file.declare()
    file.apply()
    assert senders.send(1, 500) == 1
    assert names(store) == set()


def _inline(table: dict[str, Any]) -> dict[str, Any]:
    """Options as an inline table of TOML."""
    return {key: _Written(f"{{ mode = {value['mode']!r} }}") if key == "options" else value for key, value in table.items()}


class _Written(str):
    def __repr__(self) -> str:
        return str(self)


def test_brakes_and_swaps_are_taken_back(file: File, store: Store, senders: Senders, monkeypatch: pytest.MonkeyPatch) -> None:
    file.declare(guard(file, enforce=True), one("a"))
    file.apply()
    senders.send(0, 500)
    path = file.path.parent / "tc.safetensors"
    made = replace(network("tc"), calibration=CALIBRATION)
    layer = made.layers[0]
    assert isinstance(layer, Dense)
    file.declare(guard(file, enforce=False), one("z"))
    modelfile.save(replace(made, layers=(replace(layer, bias=np.array([900, 0], np.int32)),)), path)
    found = plan(file.path, store, file.plugins)
    assert [step.verb for step in found.steps] == ["swap", "audit", "load", "unload"]

    def fails(*_: object) -> Instance:
        raise KernelError("no memory; free some")

    digest = Instance.open("guard").about().digest
    with monkeypatch.context() as patched:
        patched.setattr(Instance, "make", fails)
        with pytest.raises(KernelError, match="no memory"):
            carry_out(found, store, file.plugins)
    instance = Instance.open("guard")
    assert (instance.about().digest, instance.statistics().swaps) == (digest, 2)
    with pytest.raises(SessionError, match=f"{path} has another network now than the one that was loaded"):
        instance.network()
    senders.send(1, 500)
    assert {case.swaps for case in instance.cases()} == {0}
    assert instance.network(1).name == made.name, "that of the swap that was taken back"
    wanted = path.read_bytes()
    modelfile.save(made, path)
    assert instance.network(0).name == instance.network().name == made.name, "cases are explained as before"
    path.write_bytes(wanted)
    with instance.brakes() as brakes:
        assert brakes.until_ns == FOREVER
    assert Instance.open("a").is_loaded()
    file.apply()
    file.declare()
    file.apply()
    assert names(store) == set()


def test_what_cannot_be_taken_back_is_told_and_the_rest_is_taken_back(
    file: File, store: Store, senders: Senders, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The link of the former guard cannot be made again, since its interface has gone."""
    mode = {"options": {"mode": "generic"}}
    file.declare(_inline(guard(file, "old", "xdp", **mode)), one("a"))
    file.apply()
    file.declare(_inline(guard(file, "new", "xdp", **mode)), one("a", "other"), {**one("z"), "model": "wide.safetensors"})
    found = plan(file.path, store, file.plugins)
    assert [step.name for step in found.steps] == ["new", "a", "z", "old"]
    make = Instance.make

    def fails(compiled: Compiled, group: int, store: Store) -> Instance:
        if compiled.ready.name == "z":
            run("ip", "link", "del", "here")
            raise KernelError("no memory; free some")
        return make(compiled, group, store)

    with monkeypatch.context() as patched:
        patched.setattr(Instance, "make", fails)
        fact = "no memory, and not all changes could be taken back: interface 'here' not found.*; look at `ebpfnn list`, and"
        with pytest.raises(NotTakenBack, match=fact):
            carry_out(found, store, file.plugins)
    assert {each.name for each in Instance.all(store)} == {"old", "a"}
    assert Instance.open("a").about().architecture == "9-5-3"
    file.declare()
    file.apply()
    assert names(store) == set()


def test_who_is_killed_leaves_a_job_that_the_next_run_finishes(file: File, store: Store) -> None:
    wanted = (one("a", "wide"), one("b", "other"), one("d"))
    seen = set()
    for step in count(1, 13):
        file.declare(one("a"), one("b"), one("c"))
        file.apply()
        file.declare(*wanted)
        found = plan(file.path, store, file.plugins)
        assert [each.verb for each in found.steps] == ["reload", "swap", "load", "unload"]
        killed = killed_at(step, lambda found=found: carry_out(found, store, file.plugins))  # type: ignore[misc]
        left = file.apply()
        seen.add(tuple(verb for _, verb in left))
        assert {each.name for each in Instance.all(store)} == {"a", "b", "d"}
        assert len(names(store)) == 12
        if not killed:
            break
    assert step > 60, step
    assert () in seen
    assert len(seen) > 3
    file.declare()
    file.apply()


def test_the_verb(file: File, store: Store) -> None:
    def apply(*options: str) -> tuple[int, str, str]:
        ran = CliRunner().invoke(main, ["apply", str(file.path), *options], prog_name="ebpfnn")
        return ran.exit_code, ran.stdout, ran.stderr

    file.declare(one("a"))
    assert apply("--dry-run") == (3, "a: load (not loaded)\n", "")
    assert names(store) == set()
    ran = ebpfnn(store, "apply", str(file.path))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "a: load (not loaded)\n", "")
    for options in ((), ("--dry-run",)):
        assert apply(*options) == (0, "nothing to do\n", "")
    with store.changing():
        assert apply() == (1, "", "ebpfnn: another `ebpfnn apply` is running; wait until it has ended\n")
    file.path.write_text("[[instance]]\nnam = 'a'")
    status, _, told = apply()
    assert (status, told.count("\n")) == (2, 1)
    assert "'nam' is not known; did you mean 'name'?" in told
    file.path.unlink()
    assert apply()[0] == 1
    assert apply("--unload", "--dry-run") == (3, "a: unload (asked for)\n", "")
    assert apply("--unload") == (0, "a: unload (asked for)\n", "")
    assert apply("--unload") == (0, f"nothing to do: nothing that {file.path.resolve()} declared is loaded\n", "")
    assert names(store) == set()
