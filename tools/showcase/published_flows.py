#!/usr/bin/env python3
"""A public set of flows: networks of ebpfnn beside trees, floats and the published figures, in the table of docs/showcase.md.

    tools/showcase/published_flows.py --data DIRECTORY [--trees]

DIRECTORY holds `flows-6.npy`, integers [18840, 6], and `labels.npy`, 0 benign and 1 attack, of NN-eBPF (DSN 2024), in the order
they were recorded in. `random` tests on a fifth of each class drawn at random, `blocked` on the last fifth of each class.
--trees prints trees by `ebpfnn train` alone. Needs `pip install 'ebpfnn[train,showcase]'`, and root for the times in the
kernel.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from figures import class_figures, markdown, short
from learning import THERMOMETER, Table, learn, learn_trees
from numpy.typing import NDArray

from ebpfnn.bench.inputs import Inputs
from ebpfnn.bench.measure import Bench
from ebpfnn.bench.rows import net
from ebpfnn.network.model import Model
from ebpfnn.plugin import Plugins

COLUMNS = ("longest", "longest_gap", "shortest", "dst_port", "headers", "packets")
CLASSES = ("benign", "attack")
SPLITS = ("random", "blocked")
ENCODINGS = {"1 bit a bound": THERMOMETER, "a byte a column, log2": "log2", "a byte a column, bins": "bins"}
HIDDEN, DEPTH = "32-32", 4
TREES = ("tree:4", "tree:8", "forest:8x6", "boost:16x4")
TIMED, ROUNDS, DIGITS = 4096, 12, 4


def table_of(directory: Path) -> Table:
    rows = np.load(directory / "flows-6.npy")
    labels = np.array(CLASSES)[np.load(directory / "labels.npy").astype(np.intp)]
    columns = {name: rows[:, n] for n, name in enumerate(COLUMNS)}
    return Table(columns, labels, np.arange(len(rows)).astype(str))


def parts(table: Table, split: str) -> tuple[Table, Table]:
    """The rows to learn from, and those to test on: a fifth of each class."""
    random, tested = np.random.default_rng(0), np.zeros(len(table), bool)
    for label in CLASSES:
        places = np.flatnonzero(table.labels == label)
        places = random.permutation(places) if split == "random" else places
        tested[places[len(places) * 4 // 5 :]] = True
    return table.rows(~tested), table.rows(tested)


def shares(truth: NDArray[np.str_], predicted: NDArray[np.str_]) -> tuple[float, float]:
    """The accuracy, and F1 of the attacks."""
    attack = class_figures(truth, predicted, CLASSES)[1]
    return float((truth == predicted).mean()), attack.f1 or 0.0


def times(model: Model, samples: NDArray[np.uint8]) -> tuple[float, float]:
    """Nanoseconds an inference in the kernel, least of the rounds, with warm and with cold caches, without the harness."""
    chosen = samples[np.random.default_rng(0).permutation(len(samples))[:TIMED]]
    with Bench(Plugins.installed().trigger("run"), ("empty", "compiled")) as bench:
        bench.add(model, [Inputs("sparse", chosen)])
        bench.warm(range(ROUNDS))
        bench.cold(range(ROUNDS))
        if any(row.exact is False for row in bench.rows):
            raise SystemExit(f"{model.name}: the kernel's scores are not the reference's")
        found = {row.cache: row.ns_min for row in net(bench.rows)}
    return found["warm"], found["cold"]


def tree(learnt: NDArray[Any], labels: NDArray[np.str_], tested: NDArray[Any]) -> NDArray[np.str_]:
    from sklearn.tree import DecisionTreeClassifier

    found: NDArray[np.str_] = DecisionTreeClassifier(max_depth=DEPTH, random_state=0).fit(learnt, labels).predict(tested)
    return found


def standardized(learnt: NDArray[Any], labels: NDArray[np.str_], tested: NDArray[Any], seed: int) -> NDArray[np.str_]:
    """A float network of the same layers on columns with mean 0 and deviation 1, as the authors of the set trained theirs."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(learnt)
    sizes = tuple(map(int, HIDDEN.split("-")))
    network = MLPClassifier(sizes, random_state=seed, max_iter=100).fit(scaler.transform(learnt), labels)
    found: NDArray[np.str_] = network.predict(scaler.transform(tested))
    return found


def raw(table: Table) -> NDArray[Any]:
    return np.stack(list(table.columns.values()), axis=1)


Row = tuple[str, dict[str, list[tuple[float, float]]], str]
"""What it is, accuracy and F1 by split (one of each seed), and its time."""


def encoded(table: Table, name: str, encode: str, seeds: range, *, timed: bool) -> Iterator[Row]:
    """The network of one encoding, in integers and in floats, and a tree on the same bytes."""
    found: dict[str, dict[str, list[tuple[float, float]]]] = {kind: {} for kind in ("integers", "floats", "tree")}
    took, sizes = "", set()
    for split in SPLITS:
        learnt, tested = parts(table, split)
        for seed in seeds:
            learned = learn(learnt, encode, HIDDEN, seed, by_session=False)
            samples = learned.samples(tested)
            sizes.add(samples.shape[1])
            of = found["integers"].setdefault(split, []), found["floats"].setdefault(split, [])
            of[0].append(shares(tested.labels, learned.predict(samples)))
            of[1].append(shares(tested.labels, learned.predict_in_floats(samples)))
        found["tree"][split] = [shares(tested.labels, tree(learned.samples(learnt), learnt.labels, samples))]
        if timed and split == SPLITS[0]:
            took = "{:,.0f}; {:,.0f} cold".format(*times(learned.network, samples))
    inputs = "-".join(map(str, sorted(sizes)))
    yield f"network {inputs}-{HIDDEN}-2, {name}", found["integers"], took
    yield "the same in floats", found["floats"], ""
    yield f"tree of depth {DEPTH} on the same bytes", found["tree"], ""


def trees(table: Table, seeds: range, *, timed: bool) -> Iterator[Row]:
    """Trees that ``ebpfnn train`` makes, with the columns that it chooses for them."""
    for architecture in TREES:
        found: dict[str, list[tuple[float, float]]] = {}
        took = ""
        for split in SPLITS:
            learnt, tested = parts(table, split)
            for seed in seeds:
                grown = learn_trees(learnt, architecture, seed, by_session=False)
                samples = grown.samples(tested)
                found.setdefault(split, []).append(shares(tested.labels, grown.predict(samples)))
            if timed and split == SPLITS[0]:
                took = "{:,.0f}; {:,.0f} cold".format(*times(grown.forest, samples))
        yield f"`{architecture}`", found, took


def beside(table: Table, seeds: range) -> Iterator[Row]:
    """What takes the integers as they are."""
    divided = {split: parts(table, split) for split in SPLITS}
    values = {split: (raw(a), a.labels, raw(b), b.labels) for split, (a, b) in divided.items()}
    floats = {s: [shares(d, standardized(a, b, c, seed)) for seed in seeds] for s, (a, b, c, d) in values.items()}
    yield f"float network 6-{HIDDEN}-2 on standardized columns", floats, ""
    yield f"tree of depth {DEPTH} on the integers", {s: [shares(d, tree(a, b, c))] for s, (a, b, c, d) in values.items()}, ""
    alone = COLUMNS.index("dst_port")
    ports = {s: [shares(d, tree(a[:, [alone]], b, c[:, [alone]]))] for s, (a, b, c, d) in values.items()}
    yield f"tree of depth {DEPTH} on the port alone", ports, ""


def line(row: Row) -> list[str]:
    name, found, took = row
    cells = [short(median(each[n] for each in found[split]), DIGITS) for split in SPLITS for n in (0, 1)]
    return [name, *cells, took]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIRECTORY")
    parser.add_argument("--seeds", type=int, default=3, help="networks of so many seeds, of which the median counts")
    parser.add_argument("--trees", action="store_true", help="trees by ebpfnn alone")
    given = parser.parse_args()
    table, seeds = table_of(given.data), range(1, given.seeds + 1)
    timed = os.geteuid() == 0
    head = ["", *(f"{split}: {figure}" for split in SPLITS for figure in ("accuracy", "F1")), "ns an inference"]
    if given.trees:
        print(markdown(head, [line(row) for row in trees(table, seeds, timed=timed)]))
        return 0
    rows: list[list[str]] = []
    for name, encode in ENCODINGS.items():
        rows += [line(row) for row in encoded(table, name, encode, seeds, timed=timed)]
    rows += [line(row) for row in beside(table, seeds)]
    print(markdown(head, [*rows, ["NN-eBPF, published", "", ".933, .992", "", "", "3,000-5,000"]]))
    if not timed:
        print("not root: no times in the kernel", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
