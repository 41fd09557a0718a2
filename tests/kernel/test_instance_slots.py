"""Slots of one instance that threads of many processes share."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ebpfnn_plugins.tracepoint import TracepointTrigger
from forks import in_a_child
from instances import environment
from networks import random_network, samples

from ebpfnn import Instance, abi
from ebpfnn.errors import SessionError
from ebpfnn.instance import Store, claims, locks
from ebpfnn.instance.pins import Pins
from ebpfnn.instance.store import CALLERS_LOCK, LOCKS
from ebpfnn.kernel import Map
from ebpfnn.network import reference
from ebpfnn.session.runner import Runner

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL = random_network((9, 5, 3), seed=1)
SAMPLE = samples(9, seed=1)[0]
CHILD = """
import numpy as np, sys
from networks import samples
from ebpfnn import Instance
with Instance.open("one").session() as session:
    print(session.infer(samples(9, seed=1)[0]).scores.tolist(), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def instance(store: Store) -> Instance:
    return Instance.load(SMALL, TracepointTrigger(), name="one")


def callers(instance: Instance) -> dict[int, int]:
    """Slots by thread id."""
    with Pins(instance.path) as pins:
        return {struct.unpack("<I", k)[0]: struct.unpack("<I", v)[0] for k, v in pins.maps[abi.CALLERS].items()}


def register(instance: Instance, threads: dict[int, int]) -> None:
    with Pins(instance.path) as pins:
        for thread, slot in threads.items():
            pins.maps[abi.CALLERS].update(struct.pack("<I", thread), struct.pack("<I", slot))


def dead_thread() -> int:
    """The id of a process that was there, and was waited for."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_a_slot_lasts_as_long_as_its_session(instance: Instance) -> None:
    assert callers(instance) == {}
    with instance.session() as session:
        session.infer(SAMPLE)
        assert callers(instance) == {threading.get_native_id(): 0}
        with instance.session() as second, pytest.raises(SessionError, match="has a slot already; use one session a thread"):
            second.infer(SAMPLE)
        assert callers(instance) == {threading.get_native_id(): 0}
    assert callers(instance) == {}
    with pytest.raises(SessionError, match="is closed; open another"):
        session.infer(SAMPLE)


def test_processes_get_slots_of_their_own(instance: Instance, store: Store) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], env=environment(store), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline().decode() == f"{reference.scores(SMALL, SAMPLE).tolist()}\n"
        with instance.session() as session:
            session.infer(SAMPLE)
            assert callers(instance) == {child.pid: 0, threading.get_native_id(): 1}
        child.kill()
        child.communicate()
        assert callers(instance) == {child.pid: 0}
        with instance.session() as session:
            session.infer(SAMPLE)
            assert callers(instance) == {threading.get_native_id(): 0}
    finally:
        child.kill()
        child.communicate()


def test_a_thread_that_has_the_number_of_a_dead_one(instance: Instance) -> None:
    register(instance, {threading.get_native_id(): 5})
    with instance.session() as session:
        assert session.infer(SAMPLE).scores.tolist() == reference.scores(SMALL, SAMPLE).tolist()
    assert callers(instance) == {}


def test_a_full_table(instance: Instance) -> None:
    """Full of the living, who are threads of this process that wait; a dead one's slot is given out."""
    done = threading.Event()
    waiting = [threading.Thread(target=done.wait) for _ in range(abi.MAX_SLOTS)]
    for thread in waiting:
        thread.start()
    try:
        living = [thread.native_id or 0 for thread in waiting]
        register(instance, {thread: slot for slot, thread in enumerate([*living[1:], dead_thread()])})
        with instance.session() as session:
            session.infer(SAMPLE)
            assert callers(instance)[threading.get_native_id()] == abi.MAX_SLOTS - 1
        register(instance, {living[0]: abi.MAX_SLOTS - 1})
        with instance.session() as session, pytest.raises(SessionError, match="all 64 slots are used by running threads"):
            session.infer(SAMPLE)
    finally:
        done.set()
        for thread in waiting:
            thread.join()


def test_another_pid_namespace(instance: Instance, store: Store) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("unshare(1) is not installed")
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", CHILD]
    ran = subprocess.run(command, env=environment(store), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if "unshare" in ran.stderr:
        pytest.skip(ran.stderr.strip())
    assert "SessionError: network 'test' was loaded in another PID namespace, where threads have other ids" in ran.stderr


def infer_until_it_is_gone(session: Runner) -> None:
    """The kernel detaches what is unloaded when it comes to it, soon."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        session.infer(SAMPLE)


def test_an_instance_that_is_unloaded_meanwhile(instance: Instance) -> None:
    with instance.session() as session:
        session.infer(SAMPLE)
        instance.unload()
        with pytest.raises(SessionError, match="instance 'one' was unloaded; `ebpfnn list` shows what is loaded"):
            infer_until_it_is_gone(session)


def test_an_instance_that_is_replaced_meanwhile(instance: Instance) -> None:
    with instance.session() as session:
        session.infer(SAMPLE)
        instance.unload()
        again = Instance.load(random_network((9, 5, 3), seed=2), TracepointTrigger(), name="one")
        with pytest.raises(SessionError, match="instance 'one' was unloaded"):
            infer_until_it_is_gone(session)
    assert callers(again) == {}


def test_threads_of_one_session(instance: Instance) -> None:
    found: list[list[int]] = []
    with instance.session() as session:

        def infer() -> None:
            for _ in range(100):
                found.append(session.infer(SAMPLE).scores.tolist())

        threads = [threading.Thread(target=infer) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [reference.scores(SMALL, SAMPLE).tolist()] * 800
    assert callers(instance) == {}


def test_a_slot_comes_back_while_the_kernels_thread_is_there(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for a moment after join(): every number that this process ever had stays its own here."""
    monkeypatch.setattr(claims, "is_ours", lambda thread: True)
    monkeypatch.setattr(claims, "exists", lambda thread: True)
    with instance.session() as session:
        for _ in range(abi.MAX_SLOTS + 1):
            thread = threading.Thread(target=session.infer, args=(SAMPLE,))
            thread.start()
            thread.join()
        assert list(callers(instance).values()) == [0]
    assert callers(instance) == {}


def test_another_process_keeps_a_number_that_was_a_thread_of_ours(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    with instance.session() as session:
        session.infer(SAMPLE)
        monkeypatch.setattr(claims, "is_ours", lambda thread: False)
    assert callers(instance) == {threading.get_native_id(): 0}


def test_a_session_leaves_what_another_claimed_by_the_same_number(instance: Instance) -> None:
    """A thread ended, and one that was given its number claimed in another session: here the same thread, forgotten."""
    with instance.session() as former, instance.session() as latter:
        former.infer(SAMPLE)
        claims._claimed.clear()
        register_again(instance)
        latter.infer(SAMPLE)
        former.close()
        assert callers(instance) == {threading.get_native_id(): 0}
        latter.infer(SAMPLE)


def register_again(instance: Instance) -> None:
    with Pins(instance.path) as pins:
        pins.maps[abi.CALLERS].delete(struct.pack("<I", threading.get_native_id()))


def test_the_slots_of_other_users_threads_are_not_given_out(instance: Instance, store: Store) -> None:
    """kill(2) may not reach them, which says that they are there: root without CAP_KILL, and a thread of nobody's."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv(1) is not installed")
    theirs = subprocess.Popen(["setpriv", "--reuid=65534", "--clear-groups", "sleep", "600"])
    command = ["setpriv", "--bounding-set=-kill", sys.executable, "-c", CHILD]
    child = subprocess.Popen(command, env=environment(store), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        register(instance, {theirs.pid: 0})
        assert child.stdout is not None
        assert child.stdout.readline().decode() == f"{reference.scores(SMALL, SAMPLE).tolist()}\n"
        assert callers(instance) == {theirs.pid: 0, child.pid: 1}
    finally:
        for each in (child, theirs):
            each.kill()
            each.communicate()


def test_a_lock_is_given_up_although_a_child_has_its_descriptor(tmp_path: Path) -> None:
    """It is one lock for both: flock(2)."""
    for take in (locks.lock, locks.try_lock):
        with take(tmp_path):
            child = os.fork()
            if not child:
                signal.pause()
                os._exit(0)
        try:
            assert not locks.is_locked(tmp_path)
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def test_a_session_that_is_closed_while_a_thread_claims(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """close() waits for the claim, and gives back what it took: else the thread's next session finds it taken."""
    session, register_now = instance.session(), claims.register
    told = list[str]()

    def register_late(callers: Map, thread: int, slot: int) -> None:
        closing.start()
        closing.join(0.3)  # as long as a close() that does not wait may take
        register_now(callers, thread, slot)

    def infer() -> None:
        try:
            session.infer(SAMPLE)
        except SessionError as raised:
            told.append(str(raised))
        closing.join()
        monkeypatch.setattr(claims, "register", register_now)
        with instance.session() as another:
            another.infer(SAMPLE)

    monkeypatch.setattr(claims, "register", register_late)
    closing, inferring = threading.Thread(target=session.close), threading.Thread(target=infer)
    inferring.start()
    inferring.join()
    assert told in ([], [f"the session of '{SMALL.name}' is closed; open another"])  # it may be told before it is done
    assert callers(instance) == {}


def test_claims_that_are_closed(instance: Instance) -> None:
    """Told to a thread that was on its way when the session was closed."""
    with Pins(instance.path) as pins:
        closed = claims.SharedClaims(pins.maps[abi.CALLERS], instance.path / LOCKS / CALLERS_LOCK)
        closed.close()
        closed.close()
        with pytest.raises(SessionError, match=r"^this session is closed; open another$"):
            closed.claim(threading.get_native_id(), lambda slot: None)


def test_a_child_closes_a_session_in_which_a_thread_claims(instance: Instance) -> None:
    """The thread is not in the child, and gives up no lock there."""
    with instance.session() as session:
        slots = session._slots
        assert slots is not None
        assert isinstance(slots._claims, claims.SharedClaims)
        said = "SessionError: the session of "
        with slots._claims._lock:
            assert in_a_child(lambda: (signal.alarm(10), session.close(), session.slot())).startswith(said)
        session.infer(SAMPLE)


def test_a_slot_of_the_parent_runs_in_no_child(instance: Instance) -> None:
    with instance.session() as session:
        slot = session.slot()
        slot.sample[...] = SAMPLE
        slot.run()
        refused = in_a_child(slot.run)
        assert refused == f"SessionError: this session belongs to process {os.getpid()}; open another after a fork"
        slot.run()
        assert slot.scores.tolist() == reference.scores(SMALL, SAMPLE).tolist()
