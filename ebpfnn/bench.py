"""Times inside the kernel, as ratios of one run: every row takes its turn in every round, so that all see the same machine."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from numpy.typing import NDArray

from . import reference
from .compiler import build_twin
from .errors import VerifierError
from .network import QuantizedNetwork
from .obj import ObjectSpec
from .plugin import Trigger
from .session import Session

BASELINE = "naive"


@dataclass
class Row:
    """One way to compute ``network`` over one kind of input.

    ``rounds`` holds the mean ns an inference of each round, ``exact`` whether every score so far equaled the reference's.
    """

    name: str
    network: str
    input: str
    cache: str = "warm"
    exact: bool = True
    accuracy: float | None = None
    rounds: list[float] = field(default_factory=list)

    @property
    def ns_min(self) -> float:
        return min(self.rounds)

    @property
    def ns_median(self) -> float:
        return median(self.rounds)


@dataclass(frozen=True, eq=False)
class Inputs:
    """Samples to rotate over, uint8 [n, *shape], and their labels where they have some."""

    kind: str
    samples: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None = None


def bodies(network: QuantizedNetwork) -> Mapping[str, ObjectSpec]:
    """Every body of ``ebpfnn_infer`` that is timed, by the name of its row."""
    return {BASELINE: build_twin(network, naive=True), "twin": build_twin(network)}


def dense_inputs(network: QuantizedNetwork, count: int, seed: int = 0) -> Inputs:
    """Samples of uniform values 1..255: nothing to skip."""
    samples = np.random.default_rng(seed).integers(1, 256, (count, *network.input_shape), dtype=np.uint8)
    return Inputs("dense", samples)


def measure(network: QuantizedNetwork, trigger: Trigger, inputs: list[Inputs], rounds: Iterable[object]) -> list[Row]:
    """One row for each body and each of ``inputs``. A round is one inference of every sample, row by row.

    The clock is the kernel's own, read by the shell around the network: some 20 ns of it are in every figure.
    """
    with ExitStack() as held:
        sessions = {name: held.enter_context(session) for name, session in _sessions(network, trigger)}
        table = [(Row(name, network.name, given.kind), sessions[name], given) for given in inputs for name in sessions]
        expected = {given.kind: reference.scores(network, given.samples) for given in inputs}
        for _ in rounds:
            for row, session, given in table:
                _round(row, session, given, expected[given.kind])
    return [row for row, _, _ in table]


def _sessions(network: QuantizedNetwork, trigger: Trigger) -> Iterator[tuple[str, Session]]:
    """One for each body, but for a baseline that is more than the verifier walks: what is measured may take more than it."""
    for name, body in bodies(network).items():
        try:
            yield name, Session(network, trigger, body=body)
        except VerifierError as refusal:
            if name != BASELINE or refusal.errno != errno.E2BIG:
                raise


def _round(row: Row, session: Session, given: Inputs, expected: NDArray[np.int32]) -> None:
    results = [session.infer(sample) for sample in given.samples]
    row.rounds.append(sum(result.elapsed_ns for result in results) / len(results))
    row.exact = row.exact and bool(np.array_equal(np.stack([result.scores for result in results]), expected))
    if given.labels is not None:
        row.accuracy = float(np.mean(np.array([result.label for result in results]) == given.labels))
