"""What the child of a fork closes: its own descriptors, and nothing of the parent's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ebpfnn_plugins.run import RunTrigger
from forks import in_a_child
from instances import all_names, names
from netspace import namespace
from networks import random_network, samples

from ebpfnn import Instance
from ebpfnn.errors import SessionError
from ebpfnn.instance import Store, locks
from ebpfnn.instance.store import HELD, LOCKS
from ebpfnn.kernel.link import HeldLink, Link
from ebpfnn.kernel.link.probe_event import ProbeLink
from ebpfnn.plugin import Plugins

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL = random_network((9, 5, 3), seed=1)
SAMPLES = samples(9, seed=1)


def test_a_child_that_closes_leaves_what_the_parent_holds(store: Store) -> None:
    trigger = Plugins.installed().trigger("socket_filter")
    with namespace(), Instance.load(SMALL, trigger, "here", name="one") as instance:
        assert instance.holding
        assert in_a_child(instance.close) == ""
        assert locks.is_locked(instance.path / LOCKS / HELD)
        Store(store.root).sweep()
        assert names(store) == all_names("one")
        assert instance.is_attached()
    assert names(store) == set()


def test_a_child_that_closes_lets_the_instance_end_with_the_parent(store: Store) -> None:
    """The descriptors of the lock and of the socket are closed there too: a child that lives on keeps neither."""
    trigger = Plugins.installed().trigger("socket_filter")
    with namespace(), Instance.load(SMALL, trigger, "here", name="one") as instance:

        def close() -> None:
            instance.close()
            held = str(instance.path / LOCKS / HELD)
            staged = f"{store.directory}/~"
            left = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
            assert not [path for path in left if path == held or path.startswith((staged, "socket:"))], left

        assert in_a_child(close) == ""


def test_what_a_child_leaves_while_an_instance_is_made_is_the_parents(store: Store) -> None:
    staging = store.staging()
    with staging as staged:
        assert in_a_child(lambda: staging.__exit__(None, None, None)) == ""
        assert staged.is_dir()
        assert locks.is_locked(staged)
    assert names(store) == set()


def test_a_child_that_closes_a_watch_does_not_end_the_parents(store: Store) -> None:
    instance = Instance.load(SMALL, RunTrigger(), name="one", store=store)
    with instance.watch() as watch, instance.session() as session:
        assert in_a_child(watch.close) == ""
        with pytest.raises(SessionError, match="instance 'one' is watched by another process"):
            instance.watch()
        session.infer(SAMPLES[0])
        assert len(list(watch.read())) == 1
    instance.watch().close()


@pytest.mark.parametrize("take", [locks.lock, locks.try_lock])
def test_a_lock_is_not_given_up_by_a_child(take: object, tmp_path: Path) -> None:
    assert callable(take)
    held = take(tmp_path)
    with held:
        assert in_a_child(lambda: held.__exit__(None, None, None)) == ""
        assert locks.is_locked(tmp_path)
    assert not locks.is_locked(tmp_path)


def test_a_child_that_closes_an_attachment_leaves_it_in_place(tmp_path: Path) -> None:
    """Of those that a process holds: where the kernel has no link for them, as for filters of clsact."""
    undone = tmp_path / "undone"
    with HeldLink(os.open(os.devnull, os.O_RDONLY), "held", undone.mkdir) as link:
        number = link.fileno()
        assert in_a_child(lambda: (link.close(), os.fstat(number))) == "OSError: [Errno 9] Bad file descriptor"
        assert not undone.exists()
        assert in_a_child(link.detach) == ""  # which says what is meant
        undone.rmdir()
    assert undone.exists()


def test_a_child_that_closes_a_probe_leaves_its_event(tmp_path: Path) -> None:
    events = tmp_path / "uprobe_events"
    events.touch()
    with ProbeLink(Link(os.open(os.devnull, os.O_RDONLY), "probe"), events, "one") as link:
        assert in_a_child(link.close) == ""
        assert events.read_text() == ""
    assert events.read_text() == "-:ebpfnn/one"


def test_what_was_published_is_another_by_its_former_name(store: Store) -> None:
    """A process that has the same number, in another PID namespace, takes the name again."""
    with store.staging() as staged:
        store.publish(staged, "one")
        staged.mkdir()
    assert staged.is_dir()
    staged.rmdir()
    store.remove("one")
