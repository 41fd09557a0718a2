#!/usr/bin/env python3
"""Attacks among benign traffic: sessions between namespaces, rows of them from the kernel, and who recognizes which.

    tools/showcase/flows.py OUTPUT [--seed 1] [--spec FILE]

Runs hundreds of sessions of traffic tools, each between two network namespaces of its own, and collects their rows with ebpfnn.
Then it trains networks and trees, tries them on sessions that they never saw, and prints the tables of docs/showcase.md. OUTPUT
is a directory: rows.npz stays in it, and source.safetensors, a network of them. With --evaluate, the rows that are there are
used. As root, with `pip install 'ebpfnn[train,showcase]'`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from lab import HERE
from learning import learn_file
from plan import BENIGN, Session, plan
from reporting import interruptible, report, say
from running import present, run_all

SPEC = Path(__file__).with_name("source.toml")
ROWS = "rows.npz"
ENCODE, HIDDEN = "thermometer", "16"


def sessions_of(seed: int, benign: int, attacks: int) -> list[Session]:
    tools, absent = present()
    for tool in absent:
        say(f"{tool.name}: skipped, since {' or '.join(tool.programs)} is not installed")
    if len({tool.label for tool in tools}) < 2 or BENIGN not in {tool.label for tool in tools}:
        raise SystemExit("flows.py: nothing to tell apart: tools of benign traffic or of attacks are not installed")
    return plan(seed, benign, attacks, tools)


def collect(sessions: Sequence[Session], side_by_side: int, spec: Path, output: Path) -> None:
    from collecting import keeping

    done = Counter[str]()
    with keeping(spec, output / ROWS, {"mode": "native"}, "lo") as keeper:

        def watching(session: Session) -> AbstractContextManager[object]:
            return keeper.watching(session.label, session.group, HERE)

        def tell(session: Session) -> None:
            done[session.label] += 1
            if sum(done.values()) % 20 == 0:
                say(f"{sum(done.values())} of {len(sessions)} sessions, {sum(keeper.rows.values())} rows")

        began = time.monotonic()
        run_all(sessions, side_by_side, watching, tell)
        empty = [session.group for session in sessions if not keeper.rows[session.group]]
        rows, took = sum(keeper.rows.values()), time.monotonic() - began
        say(f"{len(sessions)} sessions in {took:.0f} s, {rows} rows, {keeper.lost} lost")
        if empty:
            say(f"without a row: {', '.join(empty)}")


def rates(output: Path, encode: str, hidden: str) -> str:
    """Packets a second through a network of these rows, which stays in ``output`` and can be loaded by ``ebpfnn load``."""
    from rate import measured

    return measured(learn_file(output / ROWS, output / "source.safetensors", encode, hidden))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spec", type=Path, default=SPEC)
    parser.add_argument("--benign", type=int, default=20, help="sessions of each tool of benign traffic")
    parser.add_argument("--attacks", type=int, default=14, help="sessions of each tool of attacks")
    parser.add_argument("--side-by-side", type=int, default=3, help="sessions at the same time")
    parser.add_argument("--encode", default=ENCODE)
    parser.add_argument("--hidden", default=HIDDEN)
    parser.add_argument("--evaluate", action="store_true", help="use the rows that OUTPUT has")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with interruptible():
        if not given.evaluate:
            collect(sessions_of(given.seed, given.benign, given.attacks), given.side_by_side, given.spec, given.output)
        report(given.output / ROWS, given.encode, given.hidden)
        print(f"\n{rates(given.output, given.encode, given.hidden)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
