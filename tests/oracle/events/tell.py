"""What is told of a judgment of specs: numbers, and of each difference what brings it back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Difference:
    """What was not as it must be. ``spec`` and ``events`` are the fewest that were found to show it."""

    seed: int
    way: str
    fact: str
    spec: Mapping[str, Any]
    events: int = 0

    def __str__(self) -> str:
        return f"DIFFERENCE seed {self.seed}: {self.way}: {self.fact}\n  in {self.events} events of {dict(self.spec)}"


@dataclass
class Tally:
    """What was done, in numbers, and what came of it."""

    specs: int = 0
    refused: int = 0
    loads: int = 0
    events: int = 0
    rows: int = 0
    samples: int = 0
    verdicts: int = 0
    not_loaded: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def __str__(self) -> str:
        wrong = sorted({found.seed for found in self.differences})
        lines = [
            f"{self.specs} specs, {self.loads} loads, {self.events} events, {self.rows} rows, {self.samples} samples, "
            f"{self.verdicts} verdicts",
            f"{self.refused} specs beyond a limit, refused",
            *(f"  {count} not loaded: {reason}" for reason, count in self.not_loaded.most_common()),
            f"{len(self.differences)} differences, in {len(wrong)} specs",
            *(f"again: make oracle SEED={seed} SPECS=1" for seed in wrong[:1]),
        ]
        return "\n".join(lines)
