"""Runs the sessions of a plan in labs side by side."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import TimeoutExpired

from lab import Lab, end, end_all, entered, lab, program
from plan import SECONDS, TOOLS, Session, Tool

Watching = Callable[[Session], AbstractContextManager[object]]
"""Observes a session at :data:`lab.HERE` in the namespace of the calling thread, for as long as it is open."""

_SETTLES = 0.2  # seconds after which the last packets of a session have come
_POLL = 0.05


def present(tools: Sequence[Tool] = TOOLS) -> tuple[list[Tool], list[Tool]]:
    """The tools that this machine has, and those that are absent."""
    found = [tool for tool in tools if all(map(program, tool.programs))]
    return found, [tool for tool in tools if tool not in found]


def run_all(sessions: Sequence[Session], side_by_side: int, watching: Watching, tell: Callable[[Session], object]) -> None:
    """Runs each session once, in so many labs at the same time. ``tell`` is called after each, by one thread at a time.

    The first failure of any thread ends all of them and is raised; so does an interruption of this thread. What a session's
    tool does, and its status, is no failure: a scan of a host that refuses is one too.
    """
    waiting: queue.SimpleQueue[Session] = queue.SimpleQueue()
    for session in sessions:
        waiting.put(session)
    stop, failures, one = threading.Event(), list[BaseException](), threading.Lock()

    def work(number: int) -> None:
        try:
            with lab(number) as place, entered(place.server):
                for session in _each(waiting, stop):
                    with watching(session):
                        _run(session, place, stop)
                    with one:
                        tell(session)
        except BaseException as failure:
            failures.append(failure)
            stop.set()

    with _threads([threading.Thread(target=work, args=(number,)) for number in range(side_by_side)], stop):
        pass
    if failures:
        raise failures[0]


@contextmanager
def _threads(threads: Sequence[threading.Thread], stop: threading.Event) -> Iterator[None]:
    """Starts the threads and waits for them. If waiting is interrupted, they are told to stop, and waited for again."""
    for thread in threads:
        thread.start()
    try:
        yield
        while any(thread.is_alive() for thread in threads):
            time.sleep(_POLL)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _each(waiting: queue.SimpleQueue[Session], stop: threading.Event) -> Iterator[Session]:
    while not stop.is_set():
        try:
            yield waiting.get_nowait()
        except queue.Empty:
            return


def _run(session: Session, place: Lab, stop: threading.Event) -> None:
    until = time.monotonic() + SECONDS
    output = place.directory / "output"
    for step in session.steps:
        if stop.wait(min(step.pause, max(0.0, until - time.monotonic()))) or time.monotonic() >= until:
            break
        command = [part.format(**place.files) if part.startswith("{") else part for part in step.command]
        process = place.inside(place.client, command, output)
        try:
            _wait(process.wait, until, stop)
        finally:
            end(process)
    end_all(place.client)
    _cut(output)
    time.sleep(_SETTLES)


def _wait(wait: Callable[[float], object], until: float, stop: threading.Event) -> None:
    while time.monotonic() < until and not stop.is_set():
        try:
            wait(_POLL)
        except TimeoutExpired:
            continue
        return


def _cut(output: Path) -> None:
    """Keeps of what tools said the last lines alone: it is for who looks for a fault."""
    if output.exists() and output.stat().st_size > 1 << 20:
        output.write_bytes(output.read_bytes()[-(1 << 16) :])
