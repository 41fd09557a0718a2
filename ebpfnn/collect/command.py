"""A command that makes the events: it runs while they are collected."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ..errors import UsageError

_PATIENCE = 5.0  # seconds that the command has to end after SIGTERM


@contextmanager
def running(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command, started. It is ended at the end of the block if it still runs.

    Raises :class:`UsageError` if it cannot be started.
    """
    try:
        process = subprocess.Popen(words)
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise UsageError(f"command '{words[0]}' cannot be started: {reason}; give a program that is in $PATH") from None
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
        if process.poll() is None:
            process.kill()
            process.wait()
