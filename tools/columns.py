#!/usr/bin/env python3
"""How encodings of columns compare: one network trained on each, on rows at random and on rows of later sessions.

    tools/columns.py DIRECTORY [--seeds 3]

DIRECTORY holds `flows-6.npy`, [n, columns] of integers, and `labels.npy`, [n] of 0 and 1, in the order they were recorded in.
`random` tests on a fifth of each class, drawn at random; `blocked` on the last fifth of each class. Prints the accuracy of the
integer networks, the median of the seeds, in the table of docs/preparation.md, beside a decision tree of depth 4.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ebpfnn.bodies import modelfile
from ebpfnn.network import reference
from ebpfnn.preparation import Values
from ebpfnn.preparation.columns import inputs, preparer, read
from ebpfnn.training import Options, Precision, train
from ebpfnn.training import columns as learning
from ebpfnn.training.cuts import by_quantiles

Rows, Labels = NDArray[Any], NDArray[np.intp]
Described = list[dict[str, Any]]
NETWORKS = {"random": ("32-32-2", "8-2"), "blocked": ("32-32-2",)}
DEPTH = 4


def quantiles(rows: Rows, labels: Labels) -> Described:
    """As many bounds as a byte counts, each column's at quantiles of its own."""
    return [
        {"name": f"c{n}", "type": "integer", "encode": "bins", "bounds": by_quantiles(values, 255)}
        for n, values in enumerate(rows.T)
    ]


def learned(encode: str, bits: int = 8) -> Callable[[Rows, Labels], Described]:
    def describe(rows: Rows, labels: Labels) -> Described:
        every = {f"c{n}": values for n, values in enumerate(rows.T)}
        return learning.learn(every, labels, {}, learning.encoder(encode), bits)

    return describe


ENCODINGS = {
    "8 bits, linear": (8, learned("linear")),
    "8 bits, log2": (8, learned("log2")),
    "8 bits, quantiles": (8, quantiles),
    "8 bits, bins": (8, learned("bins")),
    "1 bit a bound, thermometer": (1, learned("thermometer", 1)),
}


def parts(rows: Rows, labels: Labels, split: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The indices to learn from, and those to test on: a fifth of each class."""
    random, tested = np.random.default_rng(0), np.zeros(len(labels), bool)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        places = random.permutation(places) if split == "random" else places
        tested[places[len(places) * 4 // 5 :]] = True
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def accuracy(samples: tuple[Rows, Rows], labels: tuple[Labels, Labels], bits: int, network: str, seed: int) -> float:
    """The share of the test samples that the integer network labels rightly, trained as `ebpfnn train` trains."""
    with tempfile.TemporaryDirectory() as place:
        for part, values, classes in zip(("train", "test"), samples, labels, strict=True):
            np.savez(Path(place) / f"{part}.npz", samples=values, labels=classes)
        precision = Precision(bits, (1,) if bits == 1 else ())
        made = Path(place) / "made.safetensors"
        train(
            Options(
                made, Path(place), architecture=f"{samples[0].shape[1]}-{network}", precision=precision, seed=seed, threads=1
            )
        )
        found = reference.labels(modelfile.load(made), samples[1])
    return float((found == labels[1]).mean())


def tree(rows: Rows, labels: Labels, tests: Rows, depth: int = DEPTH) -> Labels:
    """What a decision tree of ``depth``, grown by information gain, takes ``tests`` for."""
    counts = np.bincount(labels)
    best = max(((_gain(rows[:, n], labels), n) for n in range(rows.shape[1])), default=((0.0, 0), 0))
    (gain, bound), column = best
    if not depth or gain <= 0:
        return np.full(len(tests), counts.argmax())
    right, found = tests[:, column] >= bound, np.empty(len(tests), np.intp)
    for side in (False, True):
        own = (rows[:, column] >= bound) == side
        found[right == side] = tree(rows[own], labels[own], tests[right == side], depth - 1)
    return found


def _gain(values: Rows, labels: Labels) -> tuple[float, Any]:
    """The bound that takes most from the entropy of ``labels``, and how much."""
    order = np.argsort(values, kind="stable")
    ones = np.concatenate([[0], np.cumsum(labels[order])])
    left = np.flatnonzero(np.diff(values[order])) + 1
    if not len(left):
        return 0.0, 0
    count, total = len(labels), int(ones[-1])
    gains = _entropy(total, count) - _entropy(ones[left], left) - _entropy(total - ones[left], count - left)
    best = int(gains.argmax())
    return float(gains[best]), values[order][left[best]]


def _entropy(ones: Any, count: Any) -> Any:
    """Of ``count`` labels, ``ones`` of them 1 and the others 0, in bits times their number."""
    shares = np.stack([np.asarray(ones), np.asarray(count) - ones]) / count
    return -count * (shares * np.log2(np.where(shares > 0, shares, 1))).sum(axis=0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    rows = np.load(given.directory / "flows-6.npy")
    labels = np.load(given.directory / "labels.npy").astype(np.intp)
    heads = [f"{split}, {network}" for split, networks in NETWORKS.items() for network in networks]
    print(f"| encoding | inputs | {' | '.join(heads)} |\n|{'---|' * (len(heads) + 2)}", flush=True)
    divided = {split: parts(rows, labels, split) for split in NETWORKS}
    for name, (bits, describe) in ENCODINGS.items():
        shares, sizes = [], set()
        for split, (learnt, tested) in divided.items():
            columns = read({"columns": describe(rows[learnt], labels[learnt])})
            sizes.add(inputs(columns))
            sample = preparer(columns)
            every = np.stack([sample(Values(row)) for row in rows])
            samples, classes = (every[learnt], every[tested]), (labels[learnt], labels[tested])
            for network in NETWORKS[split]:
                seeds = range(1, given.seeds + 1)
                shares.append(median(accuracy(samples, classes, bits, network, seed) for seed in seeds))
        print(
            f"| {name} | {'-'.join(map(str, sorted(sizes)))} | {' | '.join(f'{share:.4f}' for share in shares)} |", flush=True
        )
    found = [(tree(rows[a], labels[a], rows[b]) == labels[b]).mean() for a, b in divided.values()]
    print(f"| decision tree, depth {DEPTH} | | {found[0]:.4f} | | {found[1]:.4f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
