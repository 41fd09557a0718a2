"""``make oracle``: random networks for so many seconds, or so many of them."""

from __future__ import annotations

import argparse
import itertools
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress

from .judge import judge_many
from .report import Tally


def main() -> int:
    asked = _arguments()
    seed = secrets.randbelow(1 << 31) if asked.seed is None else asked.seed
    print(f"oracle: seeds from {seed}", flush=True)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="oracle-") as logs:
        tempfile.tempdir = logs  # where ebpfnn keeps the verifier's log of what is refused
        with suppress(KeyboardInterrupt):
            judge_many(_seeds(seed, asked), tally, lambda found: print(found, flush=True))
    _print(tally, seed)
    return 1 if tally.differences else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="oracle", description="holds random networks in the kernel to docs/quantization.md")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="that of the first network; the next ones have the next seeds")
    parser.add_argument("--networks", type=int, help="how many, whatever time they take")
    return parser.parse_args()


def _seeds(first: int, asked: argparse.Namespace) -> Iterator[int]:
    if asked.networks is not None:
        yield from range(first, first + asked.networks)
        return
    end = time.monotonic() + asked.seconds
    for seed in itertools.count(first):
        if time.monotonic() >= end:
            return
        yield seed


def _print(tally: Tally, seed: int) -> None:
    last = seed + tally.networks - 1
    print(f"{tally.networks} networks (seeds {seed} to {last}), {tally.loads} loads, {tally.samples} samples")
    print(f"{sum(tally.refused.values())} refused before they ran")
    for reason, count in tally.refused.most_common():
        print(f"  {count} {reason}")
    wrong = sorted({found.seed for found in tally.differences})
    print(f"{len(tally.differences)} differences, in {len(wrong)} networks")
    if wrong:
        print(f"again: make oracle SEED={wrong[0]} NETWORKS=1")


if __name__ == "__main__":
    raise SystemExit(main())
