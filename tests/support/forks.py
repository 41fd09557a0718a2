"""What happens in the child of a fork."""

from __future__ import annotations

import gc
import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping
from tempfile import TemporaryFile

_PIPE = 1 << 16
"""Bytes that a pipe takes before anybody reads them."""


def in_a_child(call: Callable[[], object]) -> str:
    """The type and words of what ``call`` raises in a child of this process, '' where it returns."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            call()
        except BaseException as raised:
            os.write(writing, f"{type(raised).__name__}: {raised}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


def as_a_program(
    main: Callable[[], object],
    words: list[str],
    environment: Mapping[str, str],
    stdin: bytes = b"",
    terminal: int | None = None,
    seconds: int = 120,
) -> tuple[int, bytes, bytes]:
    """The exit status of ``main`` as the program of a process of its own, and what it writes to both streams.

    The process has its own streams, arguments and environment, and the modules that are imported here: starting Python and
    importing them takes most of a second, and many of them under an emulated kernel. ``stdin`` fits into a pipe;
    ``terminal``, if given, gets what it prints.
    """
    assert len(stdin) <= _PIPE
    reading, writing = os.pipe()
    os.write(writing, stdin)
    os.close(writing)
    with TemporaryFile() as told, TemporaryFile() as complained:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # numpy has threads; none holds a lock of ours
            child = os.fork()
        if not child:
            os._exit(_run(main, words, environment, (reading, terminal or told.fileno(), complained.fileno()), seconds))
        os.close(reading)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return status, _written(told.fileno()), _written(complained.fileno())


def _written(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def _run(
    main: Callable[[], object], words: list[str], environment: Mapping[str, str], streams: tuple[int, int, int], seconds: int
) -> int:
    try:
        gc.freeze()  # what the parent has is not this process's to close
        signal.alarm(seconds)
        for fd, stream in zip(streams, range(3), strict=True):
            os.dup2(fd, stream)
        sys.stdin, sys.stdout = os.fdopen(0), os.fdopen(1, "w")
        sys.stderr = io.TextIOWrapper(os.fdopen(2, "wb"), errors="backslashreplace", line_buffering=True)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = words
        logging.getLogger().handlers.clear()
        main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else 1 if ended.code else 0
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        sys.stdout.flush()
    except OSError:
        status = 120  # as Python's own
    return status & 0xFF
