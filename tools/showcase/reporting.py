"""What a showcase prints of the rows that it has collected."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from evaluating import classes_table, left_out_table, never_seen, sessions_table

INTERRUPTED = 130


def report(rows: Path, encode: str, hidden: str) -> None:
    """Trains on rows of some sessions, tries on those of others, and prints the tables."""
    from collecting import read

    table = read(rows)
    predicted = never_seen(table, encode, hidden, say)
    print(f"{len(table)} rows, {len(set(table.groups.tolist()))} sessions; columns: {encode}; hidden: {hidden}\n")
    for shown in (classes_table(table, predicted), sessions_table(table, predicted)):
        print(f"{shown}\n", flush=True)
    print(left_out_table(table, encode, hidden, say))


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the program with one line, after all that is open was closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(INTERRUPTED)


def _stop(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
