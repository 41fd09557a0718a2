"""What is told of each row, and how rows compare."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

IN_KERNEL = ("naive", "twin", "clang", "compiled")
"""What rows begin with that run in the kernel, in one event; they hold what the row "empty" tells."""
EMPTY = "empty"
BEST_PEER = "avx512-vnni"
PEERS = (*("numpy", "torch", "onnxruntime", "ort-iobinding"), *("avx2-autovec", "avx2-intrinsics", "avx2-maddubs", BEST_PEER))
"""Rows of user space that compute sums of products."""
_CODE = ("instructions", "verified", "table_bytes", "load_ms")
FIELDS = (
    *("name", "network", "input", "cache", "takes", "samples", "ns_min", "ns_median"),
    *("exact", "agreement", "accuracy", "goes_on"),
    *_CODE,
)
"""What a record has, in order."""


@dataclass(frozen=True)
class CodeSize:
    """A compiled network: its instructions, those that the verifier walked (with the shell), bytes of tables, time to load.

    ``verified`` is 0 if the kernel does not tell (before Linux 5.16).
    """

    instructions: int
    verified: int
    table_bytes: int
    load_ms: float


@dataclass
class Row:
    """One way to compute ``network`` over one kind of ``input`` ("sparse", "dense"), with a ``cache`` "warm" or "cold".

    ``takes`` is what a sample is when the clock starts: "u8", "packed", "float32", or the numbers of "rows". ``given`` is how
    many different samples there were, and ``samples`` how many of them ran: fewer where the row is slow. ``rounds`` holds the
    mean ns an inference of each round.

    ``exact`` says whether every score and label was the reference's, None for a row in floats; ``agreement`` is the share of
    labels that were. ``accuracy`` is the share of labels that are right. Both are None where there is nothing to compare.
    ``goes_on`` is the share of the samples that each following network of a cascade gets, and ``code`` what is known of a
    compiled network.
    """

    name: str
    network: str
    input: str
    cache: str = "warm"
    takes: str = "u8"
    given: int = 0
    samples: int = 0
    exact: bool | None = None
    agreement: float | None = None
    accuracy: float | None = None
    goes_on: tuple[float, ...] = ()
    code: CodeSize | None = None
    rounds: list[float] = field(default_factory=list)

    @property
    def ns_min(self) -> float:
        return min(self.rounds)

    @property
    def ns_median(self) -> float:
        return median(self.rounds)

    @property
    def kind(self) -> tuple[str, str, int]:
        """What rows must have in common to be compared: input, cache and number of samples."""
        return self.input, self.cache, self.given

    def record(self) -> dict[str, Any]:
        """The row as plain data, for JSON."""
        return {name: getattr(self.code if name in _CODE else self, name, None) for name in FIELDS}


def baseline(rows: Iterable[Row], name: str, beside: Row) -> Row | None:
    """The row ``name`` of the same kind as ``beside``: that of its network, else of the first that has one."""
    found = [row for row in rows if row.name == name and row.kind == beside.kind]
    return next((row for row in found if row.network == beside.network), found[0] if found else None)


def net(rows: Sequence[Row]) -> list[Row]:
    """The rows without "empty", whose least time is taken from those in the kernel of the same kind.

    The least of a row is so less the least of "empty". Differences of single rounds would have a least that is too low.
    """
    own = {(row.network, *row.kind): row.ns_min for row in rows if row.name == EMPTY}
    found = []
    for row in rows:
        less = own.get((row.network, *row.kind), 0.0) if row.name.partition(":")[0] in IN_KERNEL else 0.0
        found += [] if row.name == EMPTY else [replace(row, rounds=[ran - less for ran in row.rounds])]
    return found


def peer(rows: Sequence[Row]) -> str | None:
    """The row of user space that others are compared with: :data:`BEST_PEER` if it was measured, else the fastest."""
    found = [row for row in rows if row.name in PEERS and row.rounds]
    if any(row.name == BEST_PEER for row in found):
        return BEST_PEER
    return min(found, key=lambda row: row.ns_min).name if found else None


def times_faster(row: Row, than: Row | None) -> float | None:
    """How many times less time ``row`` took at least than ``than`` did; None without one."""
    return None if than is None or not row.ns_min else than.ns_min / row.ns_min


def share(row: Row, of: Row | None) -> float | None:
    """Which part of the time of ``of`` the row took, least by least; None without one."""
    return None if of is None or not of.ns_min else row.ns_min / of.ns_min
