#!/usr/bin/env python3
"""Programs that encrypt files among others that work on files: rows of their system calls, and who recognizes which.

    tools/showcase/files.py OUTPUT [--seed 1]

Runs simulators and everyday programs, each on files that were made for it, by a user of its own without a network, and collects
rows of each process with ebpfnn. Then it trains networks and trees, tries them on sessions that they never saw, and prints the
tables of docs/showcase.md. OUTPUT is a directory: rows.npz stays in it. With --evaluate, the rows that are there are used. As
root, with `pip install 'ebpfnn[train,showcase]'`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from file_plan import BENIGN, FileSession, plan
from file_running import present, run_all
from reporting import interruptible, report, say

SPEC = Path(__file__).with_name("process.toml")
ROWS = "rows.npz"
ENCODE, HIDDEN = "thermometer", "16"


def sessions_of(seed: int, benign: int, encrypting: int) -> list[FileSession]:
    tools, absent = present()
    for tool in absent:
        say(f"{tool.name}: skipped, since {' or '.join(tool.programs)} is not installed")
    if BENIGN not in {tool.label for tool in tools}:
        raise SystemExit("files.py: nothing to tell apart: no everyday program is installed")
    return plan(seed, benign, encrypting, tools)


def collect(sessions: Sequence[FileSession], spec: Path, output: Path) -> None:
    from collecting import keeping

    with keeping(spec, output / ROWS, {}, None) as keeper:

        def watching(session: FileSession) -> AbstractContextManager[object]:
            return keeper.watching(session.label, session.group, None)

        def tell(session: FileSession, said: str) -> None:
            if said:
                say(f"{session.group}: {said}")

        run_all(sessions, watching, tell)
        empty = [session.group for session in sessions if not keeper.rows[session.group]]
        say(f"{len(sessions)} sessions, {sum(keeper.rows.values())} rows, {keeper.lost} lost")
        if empty:
            say(f"without a row: {', '.join(empty)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--benign", type=int, default=12, help="sessions of each everyday program")
    parser.add_argument("--encrypting", type=int, default=20, help="sessions of each way to encrypt")
    parser.add_argument("--encode", default=ENCODE)
    parser.add_argument("--hidden", default=HIDDEN)
    parser.add_argument("--evaluate", action="store_true", help="use the rows that OUTPUT has")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with interruptible():
        if not given.evaluate:
            collect(sessions_of(given.seed, given.benign, given.encrypting), given.spec, given.output)
        report(given.output / ROWS, given.encode, given.hidden)
    return 0


if __name__ == "__main__":
    sys.exit(main())
