"""The tables of the showcase of a guard, and their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from figures import markdown, short
from guard_lab import PORTS, Outcome

_Z = 1.96
TOO_LATE = 2.0
"""Seconds: slow connections begun so shortly before the end are not counted, since they were not slow yet."""


@dataclass(frozen=True)
class Run:
    """``acted`` has the ports of clients whose packets a guard acted on; ``cpu``, the seconds of its own process."""

    arm: str
    attack: str
    outcome: Outcome
    acted: set[int]
    cpu: float
    seconds: float

    def flows(self, kind: str) -> tuple[int, int]:
        """Connections of a kind of attack, and how many of them were acted on."""
        if kind == "slow":
            ports = {port for port, when, _ in self.outcome.slow if when < self.seconds - TOO_LATE}
            return len(ports), len(ports & self.acted)
        if kind == "ack":
            return min(self.outcome.sent[kind], 1), min(len(self.acted & {*PORTS[kind]}), 1)
        return self.outcome.sent[kind], len(self.acted & {*PORTS[kind]})

    @property
    def hurt(self) -> int:
        """Honest connections that were acted on."""
        return len({port for port, _, _ in self.outcome.counted} & self.acted)


def wilson(count: int, of: int) -> tuple[float, float]:
    """The interval that holds a share with 95 % confidence (Wilson, JASA 22, 1927)."""
    if not of:
        return 0.0, 1.0
    share, square = count / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z * sqrt(share * (1 - share) / of + square / (4 * of * of)) / (1 + square / of)
    return max(0.0, middle - half), min(1.0, middle + half)


def _share(count: int, of: int) -> str:
    low, high = wilson(count, of)
    return f"{count:,} ({low:.2%}-{high:.2%})"


def named(runs: Iterable[Run]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.arm, []).append(run)
    return found


def table(runs: Sequence[Run], without: Sequence[Run]) -> str:
    """A row an arm. ``without`` are the runs without an attack, which goodput is a share of."""
    usual = sum(run.outcome.done for run in without) / max(1, sum(len(run.outcome.counted) for run in without))
    head = ["guard", "goodput", "benign flows", "failed", "acted on", "attack let through", "F1", "CPU", "its own process"]
    return markdown(head, [_row(name, mine, usual) for name, mine in named(runs).items()])


def _row(name: str, runs: Sequence[Run], usual: float) -> list[object]:
    benign = sum(len(run.outcome.counted) for run in runs)
    done = sum(run.outcome.done for run in runs)
    sent = sum(run.outcome.sent[kind] for run in runs for kind in PORTS)
    passed = sum(run.outcome.passed[kind] for run in runs for kind in PORTS)
    seconds = sum(run.outcome.seconds for run in runs)
    judged = any(run.acted for run in runs)
    cpu = sum(sum(run.outcome.cpu.values()) + run.cpu for run in runs) / seconds
    return [
        name,
        f"{done / benign / usual:.1%}",
        f"{benign:,}",
        _share(benign - done, benign),
        _share(sum(run.hurt for run in runs), benign) if judged else "-",
        f"{passed / sent:.1%}" if sent else "-",
        short(f1(runs, PORTS), 4) if judged else "-",
        f"{cpu:.2f}",
        f"{sum(run.cpu for run in runs) / seconds:.3f}" if any(run.cpu for run in runs) else "-",
    ]


def f1(runs: Sequence[Run], kinds: Iterable[str]) -> float | None:
    """Of connections: those of attacks that were acted on are found, honest ones that were are not."""
    pairs = [run.flows(kind) for run in runs for kind in kinds]
    flows, found = sum(each for each, _ in pairs), sum(found for _, found in pairs)
    wrong = sum(run.hurt for run in runs)
    return 2 * found / (flows + found + wrong) if flows else None


def recall_table(runs: Sequence[Run]) -> str:
    """Of each kind of attack, how many connections there were and were acted on; F1 of that kind beside benign ones."""
    judged = {name: mine for name, mine in named(runs).items() if any(run.acted for run in mine)}
    lines: list[list[object]] = []
    for kind in PORTS:
        cells: list[object] = []
        for mine in judged.values():
            pairs = [run.flows(kind) for run in mine]
            flows, found = sum(each for each, _ in pairs), sum(found for _, found in pairs)
            cells.append(f"{found:,} of {flows:,}, F1 {short(f1(mine, [kind]), 4)}")
        if not all(str(cell).startswith("0 of 0") for cell in cells):
            lines.append([kind, *cells])
    return markdown(["connections acted on", *judged], lines)
