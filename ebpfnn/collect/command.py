"""A command that makes the events: it runs while they are collected."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..errors import UsageError

_PATIENCE = 5.0  # seconds that the command has to end after SIGTERM
_STEP = 0.01


@contextmanager
def running(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command, started. It is ended at the end of the block if it still runs, with the processes that it started.

    For that it is a process group of its own. In the foreground of a terminal it is not, since it could not read from that;
    Ctrl-C reaches all of them there anyway (as with ``timeout --foreground``).

    Raises :class:`UsageError` if it cannot be started.
    """
    apart = not in_foreground()
    try:
        process = subprocess.Popen(words, preexec_fn=os.setpgrp if apart else None)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise UsageError(f"command '{words[0]}' cannot be started: {reason}; give a program that is in $PATH") from None
    try:
        yield process
    finally:
        if process.poll() is None:
            _end(process, apart=apart)


def in_foreground() -> bool:
    """Whether standard input is a terminal that this process may read from."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes], *, apart: bool) -> None:
    def send(number: int) -> bool:
        """Whether there is somebody left to send it to."""
        try:
            os.killpg(process.pid, number) if apart else process.send_signal(number)
        except ProcessLookupError:
            return False
        return apart or process.returncode is None

    send(signal.SIGTERM)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        process.poll()
        if not send(0):
            break
        time.sleep(_STEP)
    with suppress(ProcessLookupError):
        send(signal.SIGKILL)
    process.wait()
