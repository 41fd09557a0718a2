"""``make oracle``: random networks, forests and specs for so many seconds, a third of them each, or so many of one kind."""

from __future__ import annotations

import argparse
import itertools
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .events import judge as specs
from .events import tell
from .forests import judge as forests
from .judge import judge_many
from .report import Tally


def main() -> int:
    asked = _arguments()
    seed = secrets.randbelow(1 << 31) if asked.seed is None else asked.seed
    print(f"oracle: seeds from {seed}", flush=True)
    tally, of_forests, of_specs = Tally(), Tally(), tell.Tally()
    every = asked.networks is None and asked.forests is None and asked.specs is None
    share = asked.seconds / 3 if every else asked.seconds
    with tempfile.TemporaryDirectory(prefix="oracle-") as logs:
        tempfile.tempdir = logs  # where ebpfnn keeps the verifier's log of what is refused
        if every or asked.networks is not None:
            with suppress(KeyboardInterrupt):
                judge_many(_seeds(seed, asked.networks, share), tally, _say)
            _print(tally, seed, "networks")
        if every or asked.forests is not None:
            with suppress(KeyboardInterrupt):
                forests.judge_many(_seeds(seed, asked.forests, share), of_forests, _say)
            _print(of_forests, seed, "forests")
        if every or asked.specs is not None:
            with suppress(KeyboardInterrupt):
                specs.judge_refusals(of_specs, _say)
                specs.judge_many(_seeds(seed, asked.specs, share), of_specs, Path(logs), _say)
            print(of_specs)
    return 1 if tally.differences or of_forests.differences or of_specs.differences else 0


def _say(found: object) -> None:
    print(found, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="oracle", description="holds random networks, forests and specs in the kernel to the docs"
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="that of the first of them; the next ones have the next seeds")
    parser.add_argument("--networks", type=int, help="only networks, and how many, whatever time they take")
    parser.add_argument("--forests", type=int, help="only forests, and how many, whatever time they take")
    parser.add_argument("--specs", type=int, help="only specs, and how many, whatever time they take")
    return parser.parse_args()


def _seeds(first: int, count: int | None, seconds: float) -> Iterator[int]:
    if count is not None:
        yield from range(first, first + count)
        return
    end = time.monotonic() + seconds
    for seed in itertools.count(first):
        if time.monotonic() >= end:
            return
        yield seed


def _print(tally: Tally, seed: int, kind: str) -> None:
    last = seed + tally.networks - 1
    print(f"{tally.networks} {kind} (seeds {seed} to {last}), {tally.loads} loads, {tally.samples} samples")
    print(f"{sum(tally.refused.values())} refused before they ran")
    for reason, count in tally.refused.most_common():
        print(f"  {count} {reason}")
    wrong = sorted({found.seed for found in tally.differences})
    print(f"{len(tally.differences)} differences, in {len(wrong)} {kind}")
    if wrong:
        print(f"again: make oracle SEED={wrong[0]} {kind.upper()}=1")


if __name__ == "__main__":
    raise SystemExit(main())
