"""Guards at security hooks: what a process is denied, and who is denied nothing."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cgroups import cgroup, end_of, start
from ebpfnn_plugins.lsm import hook_fields
from instances import ebpfnn, names
from taskguards import FOREVER, POLICY, guard, network

from ebpfnn import Instance, Observation, Plugins
from ebpfnn.bodies import modelfile
from ebpfnn.errors import KernelError, UsageError
from ebpfnn.events.policy import Policy, entry
from ebpfnn.instance import Store
from ebpfnn.plugin import why_not
from ebpfnn.session.guarding import Guard

pytestmark = pytest.mark.root
Opened = Callable[..., Observation]


@pytest.fixture(autouse=True)
def _lsm() -> None:
    if lack := why_not(Plugins.installed().trigger("lsm")):
        pytest.skip(lack)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory: below an overlay there would be a second file system, which asks a second time."""
    with TemporaryDirectory(dir="/dev/shm") as made:
        Path(made).chmod(0o777)
        yield Path(made)


@pytest.fixture
def inside() -> Iterator[Path]:
    with cgroup() as made:
        yield made


def hooked(hook: str, inside: Path, action: str = "deny", policy: Policy = POLICY) -> Observation:
    event = {"trigger": "lsm", "target": hook}
    return Observation(network(event, "lsm"), Plugins.installed().trigger("lsm"), guard=guard(inside, action, policy))


def refused(path: Path, inside: Path | None) -> list[int]:
    """What a process in a cgroup is told when it removes ``path`` eight times: errnos, 0 where nothing was refused."""
    told, tells = os.pipe()

    def work() -> None:
        for _ in range(8):
            path.touch()
            number = 0
            try:
                path.unlink()
            except OSError as fault:
                number = fault.errno or -1
            os.write(tells, struct.pack("i", number))

    try:
        assert end_of(start(work, inside)) == 0
        return list(struct.unpack("8i", os.read(told, 32)))
    finally:
        os.close(told)
        os.close(tells)
        with suppress(FileNotFoundError):
            path.unlink()


@pytest.mark.parametrize("name", ["EPERM", "EROFS"])
def test_what_is_denied_is_denied_in_the_cgroup_alone(inside: Path, memory: Path, name: str) -> None:
    with hooked("inode_unlink", inside, "deny" if name == "EPERM" else f"deny:{name}") as found:
        assert refused(memory / "a", inside) == [0] * 8  # audit
        assert found.brakes.counts(("benign", "bad"))["bad"]["audited"] == 4
        found.brakes.enforce(FOREVER)
        assert refused(memory / "a", None) == [0] * 8
        assert refused(memory / "a", inside) == [0] * 4 + [getattr(errno, name)] * 4
        assert refused(memory / "a", inside / "below") == [0] * 4 + [getattr(errno, name)] * 4
        found.brakes.pause(True)
        assert refused(memory / "a", inside) == [0] * 8
        assert found.brakes.outcomes() == {"hit": 8, "failed": 0, "exempt": 0, "outside": 0}
    assert refused(memory / "a", inside) == [0] * 8


def test_who_is_allowed_and_who_loads_it_is_denied_nothing(inside: Path, memory: Path) -> None:
    def loads() -> None:
        policy = replace(POLICY, allowed=(entry('comm == "patient"'),))
        with hooked("inode_unlink", inside, policy=policy) as found:
            found.brakes.enforce(FOREVER)
            for _ in range(8):
                (memory / "own").touch()
                (memory / "own").unlink()
            assert found.brakes.outcomes()["exempt"] == 4
            assert refused(memory / "a", inside) == [0] * 4 + [errno.EPERM] * 4
            Path("/proc/self/comm").write_text("patient")
            assert refused(memory / "a", inside) == [0] * 8

    assert end_of(start(loads, inside)) == 0


def test_a_signal_at_a_hook_lets_it_go_on(inside: Path, memory: Path) -> None:
    def work() -> None:
        for number in range(9):
            (memory / "out").write_text(str(number))
            (memory / "out").unlink()

    with hooked("inode_unlink", inside, "signal:KILL") as found:
        found.brakes.enforce(FOREVER)
        assert end_of(start(work, inside)) == -9
        assert found.brakes.outcomes()["hit"] == 1


def test_hooks_that_deny_nothing(inside: Path) -> None:
    assert all(field.name != "returned" for field in hook_fields("task_free"))
    with pytest.raises(UsageError, match="security hook 'task_free' denies nothing; use another hook, or action signal"):
        hooked("task_free", inside)
    with pytest.raises(UsageError, match=r"security hook 'inode_xattr_skipcap' denies nothing"):
        hooked("inode_xattr_skipcap", inside)
    with pytest.raises(
        KernelError, match=r"security hook 'inode_unlnk' not found in the kernel's types; did you mean 'inode_unlink'"
    ):
        hooked("inode_unlnk", inside)
    with pytest.raises(UsageError, match=r"harms processes, .*--cgroup"):
        Observation(
            network({"trigger": "lsm", "target": "inode_unlink"}, "lsm"),
            Plugins.installed().trigger("lsm"),
            guard=Guard(POLICY, Plugins.installed().action("deny")),
        )


def test_an_observer_of_a_hook_denies_nothing(memory: Path) -> None:
    def work() -> None:
        os.setuid(54321)
        for _ in range(6):
            (memory / "a").touch()
            (memory / "a").unlink()

    trigger = Plugins.installed().trigger("lsm")
    with Observation(network({"trigger": "lsm", "target": "inode_unlink"}, "lsm"), trigger, filters=["uid == 54321"]) as seen:
        assert end_of(start(work)) == 0
        assert seen.counts()["observed"] == 6
        assert [(each.label, each.number) for each in seen.verdicts()] == [("bad", 6)]


def test_an_instance_is_swapped_and_unloaded(store: Store, inside: Path, memory: Path, tmp_path: Path) -> None:
    event = {"trigger": "lsm", "target": "inode_unlink"}
    modelfile.save(network(event, "lsm"), tmp_path / "calls.safetensors")
    options = ("--action", "deny:EACCES", "--after", "1", "--most", "1", "--cgroup", str(inside), "--enforce")
    ran = ebpfnn(store, "load", str(tmp_path / "calls.safetensors"), *options)
    assert ran.returncode == 0, ran.stderr
    assert "actions as the twin computes them" in ran.stdout
    assert refused(memory / "a", inside) == [0] * 4 + [errno.EACCES] * 4
    instance = Instance.open("calls")
    instance.swap(network(event, "lsm", name="other"))
    assert refused(memory / "a", inside) == [0] * 4 + [errno.EACCES] * 4
    instance.unload()
    assert refused(memory / "a", inside) == [0] * 8
    assert names(store) == set()
