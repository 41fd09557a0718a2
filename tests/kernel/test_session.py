"""Sessions: slots for threads, samples that fit, and an end that leaves nothing."""

from __future__ import annotations

import os
import signal
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from agreement import agree
from descriptors import descriptors
from ebpfnn_plugins.run import RunTrigger
from ebpfnn_plugins.tracepoint import TracepointTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from foreign_threads import ForeignThread
from forks import in_a_child
from networks import random_network, samples
from numpy.typing import NDArray

from ebpfnn import abi
from ebpfnn.errors import InputError, PluginError, SessionError
from ebpfnn.kernel import has_program_type
from ebpfnn.obj import ProgramType
from ebpfnn.plugin import Trigger
from ebpfnn.session import Session, slots

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]
SMALL = random_network((9, 5, 3), seed=1)


@pytest.fixture
def session(trigger: Trigger) -> Iterator[Session]:
    with Session(SMALL, trigger) as opened:
        yield opened


def test_threads_get_their_own_answers(session: Session) -> None:
    together = threading.Barrier(8)

    def work(seed: int) -> None:
        together.wait()
        for _ in range(10):
            agree(session, samples(9, seed))

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(work, seed) for seed in range(8)]:
            done.result()
    assert np.count_nonzero(sequences(session)) == 8


def sequences(session: Session) -> NDArray[np.uint64]:
    """How often each slot was answered."""
    results = session.loaded.maps[abi.RESULTS]
    found = [results.lookup(struct.pack("<I", slot)) for slot in range(abi.MAX_SLOTS)]
    return np.array([int.from_bytes((value or b"")[:8], "little") for value in found], np.uint64)


def test_more_threads_than_slots(session: Session) -> None:
    together, asked = threading.Barrier(abi.MAX_SLOTS + 1), threading.Barrier(abi.MAX_SLOTS + 1)
    sample = samples(9, seed=1)[0]

    def work() -> str:
        together.wait()
        try:
            session.infer(sample)
            return ""
        except SessionError as error:
            return str(error)
        finally:
            asked.wait()

    with ThreadPoolExecutor(abi.MAX_SLOTS + 1) as pool:
        outcomes = [done.result() for done in [pool.submit(work) for _ in range(abi.MAX_SLOTS + 1)]]
    refusals = [outcome for outcome in outcomes if outcome]
    assert refusals == ["all 64 slots are taken; call from fewer threads, or open another session"]
    agree(session, samples(9, seed=2))  # the threads are gone, and their slots are free again


@pytest.mark.parametrize(
    "sample",
    [np.zeros(8, np.uint8), np.zeros((3, 3), np.uint8), np.zeros(9, np.int8), np.zeros(9), np.zeros((1, 9), np.uint8)],
    ids=lambda sample: f"{sample.dtype}{list(sample.shape)}",
)
def test_a_sample_that_does_not_fit(session: Session, sample: NDArray[np.uint8]) -> None:
    with pytest.raises(InputError, match=r"a sample of .*; network 'test' takes a numpy array, uint8 \[9\]"):
        session.infer(sample)
    assert not sequences(session).any()


def test_samples_that_lie_scattered_in_memory(session: Session) -> None:
    grid = samples(9, seed=4).T.copy().T
    agree(session, grid)
    agree(session, grid[:, ::-1])


def test_a_closed_session(session: Session) -> None:
    agree(session, samples(9, seed=6)[:1])
    session.close()
    session.close()
    assert not [what for what in descriptors().values() if "bpf" in what]
    with pytest.raises(SessionError, match="the session of 'test' is closed; open another"):
        session.infer(samples(9, seed=6)[0])


def test_two_sessions_side_by_side() -> None:
    other = random_network((9, 5, 3), seed=7)
    with Session(SMALL, TracepointTrigger()) as first, Session(other, TracepointTrigger()) as second:
        for _ in range(2):
            agree(first, samples(9, seed=7))
            agree(second, samples(9, seed=7))


def test_the_run_trigger_has_no_target() -> None:
    with pytest.raises(PluginError, match="trigger 'run' has no target, but 'here' was given; leave it out"):
        Session(SMALL, RunTrigger(), "here")


def test_a_fork_does_not_share_slots(session: Session) -> None:
    """The child is refused, and the parent's slot is none the worse for it."""
    sample = samples(9, seed=1)[0]
    session.infer(sample)
    slot, before = session.slot(), sequences(session)
    refused = f"SessionError: this session belongs to process {os.getpid()}; open another after a fork"
    for call in (lambda: session.infer(sample), session.slot, slot.run, lambda: slot.run_batch(1)):
        assert in_a_child(call) == refused
    assert (sequences(session) == before).all()
    agree(session, samples(9, seed=2))


def test_a_child_does_not_wait_for_a_batch_of_its_parents() -> None:
    """The lock was another thread's as the process forked: nobody gives it up there."""
    refused = f"SessionError: this session belongs to process {os.getpid()}; open another after a fork"
    with Session(SMALL, RunTrigger()) as session:

        def infer() -> None:
            signal.alarm(10)
            session.infer_many(samples(9, seed=1))

        assert session.batch is not None
        with session.batch.lock:
            assert in_a_child(infer) == refused
            assert in_a_child(lambda: session.batch) == refused
        agree(session, samples(9, seed=1))


def test_a_prepared_run_is_stopped_in_a_child() -> None:
    if not has_program_type(ProgramType.SYSCALL):
        pytest.skip("this kernel has no programs of type SYSCALL")
    with Session(SMALL, RunTrigger()) as session:
        (program,) = session.loaded.programs.values()
        prepared, before = program.prepare_run(context=bytes(8)), sequences(session)
        assert in_a_child(prepared.run_quickly) == ""
        assert "; the prepared run was stopped, as in the child of a fork; prepare another" in in_a_child(prepared.run)
        assert (sequences(session) == before).all()
        prepared.run()
        assert sequences(session).sum() == before.sum() + 1


def test_samples_that_come_with_events_bring_none_from_a_child() -> None:
    with Session(SMALL, XdpTrigger()) as session:
        assert "SessionError: this session belongs to process" in in_a_child(lambda: session.infer(samples(9, seed=1)[0]))


def test_a_thread_that_python_did_not_start_keeps_its_slot(session: Session) -> None:
    """To Python it is a new one at each call, and to the kernel its number is another's once it has ended."""
    refused, numbers = list[Exception](), list[int]()

    def infer() -> None:
        try:
            numbers.append(session.slot().number)
            agree(session, samples(9, seed=1)[:1])
        except Exception as raised:
            refused.append(raised)

    for _ in range(abi.MAX_SLOTS + 1):
        ForeignThread(infer, infer).join()
    assert not refused
    assert numbers[::2] == numbers[1::2]
    assert max(numbers) <= 1  # the kernel's thread may be there for a moment after it was joined


def test_slots_of_threads_that_python_did_not_start_are_theirs_while_they_live(session: Session) -> None:
    """Python 3.11 takes such a thread for a former one in whose place in memory it is."""
    found, together = list[int](), threading.Barrier(2)

    def take() -> None:
        found.append(session.slot().number)
        together.wait()
        together.wait()

    ForeignThread(session.slot).join()
    thread = ForeignThread(take)
    together.wait()
    found.append(session.slot().number)
    together.wait()
    thread.join()
    assert len({*found}) == 2


def test_closing_tells_threads_that_infer(session: Session) -> None:
    started = threading.Barrier(5)

    def work() -> str:
        started.wait()
        try:
            while True:
                agree(session, samples(9, seed=3))
        except SessionError as refused:
            return str(refused)

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work) for _ in range(4)]
        started.wait()
        session.close()
        assert all("is closed" in worker.result() for worker in workers)


def test_a_thread_that_ended_gives_up_its_slot(session: Session) -> None:
    sample = samples(9, seed=1)[0]
    for _ in range(abi.MAX_SLOTS + 8):
        thread = threading.Thread(target=session.infer, args=(sample,))
        thread.start()
        thread.join()
    agree(session, samples(9, seed=1))


def test_a_slot_comes_back_while_the_kernels_thread_is_there(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is for a moment after join(): here every number that this process ever had stays its own."""
    monkeypatch.setattr(slots, "is_ours", lambda thread: True)
    for _ in range(3):
        thread = threading.Thread(target=session.infer, args=(samples(9, seed=1)[0],))
        thread.start()
        thread.join()
    assert np.count_nonzero(sequences(session)) == 1


def test_an_event_that_came_in_between_is_no_answer() -> None:
    """The thread's own write(2) runs the network, on what was there before; no call of the trigger's provokes one."""
    with (
        Session(SMALL, TracepointTrigger(), "syscalls:sys_enter_write") as session,
        open(os.devnull, "wb", buffering=0) as sink,
    ):
        for _ in range(2):
            with pytest.raises(SessionError, match="the event did not happen in this thread"):
                session.infer(samples(9, seed=1)[0])
            sink.write(b"x")
