"""What forests take in the kernel, by every plan and beside C: the table of docs/trees.md, and of ebpfnn/trees/cost.py.

    tools/tree_cost.py                 forests on scikit-learn's breast cancer data and digits
    tools/tree_cost.py --rows FILE     and on FILE, an npz of `x`, [rows, values], and `y`, integers from 0 on
    tools/tree_cost.py --cold          single runs, before each of which a walk through a buffer empties the caches

As root; needs clang and scikit-learn. All bodies of a forest are loaded at once, and take turns: a round is one call of each
over all rows, in an order that is drawn anew, so that no branch is learned by heart. Where there are fewer than 6,144 rows,
more are drawn between two of one class. The harness is taken off: that is what an empty body takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from ebpfnn_plugins.run import RunTrigger
from numpy.typing import NDArray

from ebpfnn.bench import tree_c
from ebpfnn.bench.kernel_rows import empty_body
from ebpfnn.bench.measure import lines
from ebpfnn.compiler import Body
from ebpfnn.errors import Error, ModelError, NotSupported
from ebpfnn.network.inputformat import InputFormat
from ebpfnn.session import Session
from ebpfnn.session.compiling import compile_here
from ebpfnn.session.slots import Batch
from ebpfnn.trees import Forest, Tree, reference
from ebpfnn.trees.plan import PLANS
from ebpfnn.trees.twin import build_twin

ROWS, ROUNDS, COLD_RUNS = 6144, 60, 200
_SCALE = 10_000
Samples = NDArray[np.uint8]


def main() -> None:
    asked = _arguments()
    random = np.random.default_rng(asked.seed)
    print(f"{'rows':8} {'forest':12} {'body':10} {'min':>9} {'median':>9} {'of C':>6}  exact")
    for name, x, y in _data(asked.rows):
        samples, classes = _bytes_of(*_enough(x, y, random), random)
        for kind, forest in _forests(samples, classes):
            for body, found in _measured(forest, samples[:ROWS], random, cold=asked.cold).items():
                print(f"{name:8} {kind:12} {body:10} {found}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rows", type=Path, action="append", default=[], help="an npz of x and y")
    parser.add_argument("--cold", action="store_true", help="with cold caches")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _data(given: list[Path]) -> Iterator[tuple[str, NDArray[np.float64], NDArray[np.int64]]]:
    from sklearn import datasets

    for path in given:
        found = np.load(path, allow_pickle=False)
        yield path.stem, found["x"].astype(np.float64), found["y"].astype(np.int64)
    for name, load in (("cancer", datasets.load_breast_cancer), ("digits", datasets.load_digits)):
        x, y = load(return_X_y=True)
        yield name, x, y


def _enough(
    x: NDArray[np.float64], y: NDArray[np.int64], random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """At least :data:`ROWS`, in any order."""
    if len(x) < ROWS:
        one = random.integers(len(x), size=ROWS)
        other = np.array([random.choice(np.flatnonzero(y == y[each])) for each in one])
        share = random.random((ROWS, 1))
        x, y = np.concatenate([x, x[one] * share + x[other] * (1 - share)]), np.concatenate([y, y[one]])
    order = random.permutation(len(x))
    return x[order], y[order]


def _bytes_of(x: NDArray[np.float64], y: NDArray[np.int64], random: np.random.Generator) -> tuple[Samples, NDArray[np.int64]]:
    """A byte counts which of 255 quantiles are reached. A twentieth of the classes are wrong, so that trees become deep."""
    found = np.empty(x.shape, np.uint8)
    for column in range(x.shape[1]):
        bounds = np.unique(np.quantile(x[:, column], np.linspace(0, 1, 257)[1:-1]))
        found[:, column] = np.searchsorted(bounds, x[:, column], side="right")
    wrong = random.random(len(y)) < 0.05
    return found, np.where(wrong, random.integers(0, y.max() + 1, len(y)), y)


def _forests(samples: Samples, classes: NDArray[np.int64]) -> Iterator[tuple[str, Forest]]:
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    x, labels = samples.astype(np.float64), int(classes.max()) + 1
    yield "tree:8", _forest([DecisionTreeClassifier(max_depth=8, random_state=0).fit(x, classes)], labels, x.shape[1])
    for count, depth in ((16, 8), (100, 6)):
        grown = RandomForestClassifier(count, max_depth=depth, random_state=0).fit(x, classes)
        yield f"forest:{count}x{depth}", _forest(grown.estimators_, labels, x.shape[1])
    if labels == 2:
        boosted = GradientBoostingClassifier(n_estimators=100, max_depth=3, random_state=0).fit(x, classes)
        yield "boost:100x3", _forest(list(boosted.estimators_[:, 0]), 1, x.shape[1])


def _forest(trained: list[object], labels: int, values: int) -> Forest:
    trees = tuple(_tree(each.tree_, labels) for each in trained)  # type: ignore[attr-defined]
    return Forest("forest", InputFormat((values,)), tuple(map(str, range(labels))), trees, (0,) * labels)


def _tree(trained: object, labels: int) -> Tree:
    """Leaves in integers; a comparison x <= t of whole numbers is not x >= floor(t) + 1."""
    left, right, value = (np.asarray(getattr(trained, name)) for name in ("children_left", "children_right", "value"))
    inner, leaves = np.flatnonzero(left >= 0), np.flatnonzero(left < 0)
    number = np.zeros(len(left), np.int32)
    number[inner], number[leaves] = np.arange(len(inner)), -1 - np.arange(len(leaves))
    added = value[leaves].reshape(len(leaves), labels)
    if labels > 1:
        added = added / added.sum(axis=1, keepdims=True)
    children = number[np.stack([left[inner], right[inner]], axis=1)].astype(np.int32)
    thresholds = np.floor(np.asarray(trained.threshold)[inner]) + 1  # type: ignore[attr-defined]
    looked = np.asarray(trained.feature)[inner].astype(np.int32)  # type: ignore[attr-defined]
    return Tree(looked, thresholds.astype(np.uint8), children, np.round(added * _SCALE).astype(np.int32))


def _bodies(forest: Forest) -> Iterator[tuple[str, Body]]:
    yield "empty", empty_body()
    yield "C", tree_c.body(forest)
    yield "chosen", compile_here(forest)
    for plan in PLANS:
        yield plan, compile_here(forest, plan)
    try:
        yield "twin", build_twin(forest)
    except ModelError as refusal:
        print(refusal)


def _measured(forest: Forest, samples: Samples, random: np.random.Generator, *, cold: bool) -> dict[str, str]:
    """By body: the minimum and the median of its rounds, less those of the empty one, and the ratio of C to it."""
    times: dict[str, list[float]] = {}
    exact: dict[str, bool] = {}
    with ExitStack() as held:
        sessions: dict[str, Session] = {}
        for name, body in _bodies(forest):
            try:
                sessions[name] = held.enter_context(Session(forest, RunTrigger(), body=body, batch=len(samples)))
            except Error as refusal:
                print(f"{name}: {refusal}")
        times, exact = {name: [] for name in sessions}, dict.fromkeys(sessions, True)
        for _ in range(COLD_RUNS if cold else ROUNDS):
            order = random.permutation(len(samples))
            for name, session in sessions.items():
                run = _one_cold if cold else _all_warm
                times[name].append(run(session, samples[order]))
                exact[name] = exact[name] and (cold or name == "empty" or _is_right(session, forest, samples[order]))
    least, middle = ({name: float(f(each)) for name, each in times.items()} for f in (np.min, np.median))
    c = middle.get("C", np.nan) - middle["empty"]
    return {
        name: f"{least[name] - least['empty']:9.1f} {middle[name] - middle['empty']:9.1f} "
        f"{c / (middle[name] - middle['empty']):6.2f}  {'' if cold else 'yes' if exact[name] else 'NO'}"
        for name in times
        if name != "empty"
    }


def _batch(session: Session) -> Batch:
    if session.batch is None:
        raise NotSupported("this kernel runs no batch")
    return session.batch


def _all_warm(session: Session, samples: Samples) -> float:
    slot, batch = session.slot(), _batch(session)
    batch.samples[...] = samples.reshape(batch.samples.shape)
    slot.run_batch(len(samples))
    return float(slot.elapsed_ns) / len(samples)


_WALKED = lines()


def _one_cold(session: Session, samples: Samples) -> float:
    slot = session.slot()
    slot.sample[...] = samples[0].reshape(slot.sample.shape)
    _WALKED["first"] += 1
    slot.run()
    return float(slot.elapsed_ns)


def _is_right(session: Session, forest: Forest, samples: Samples) -> bool:
    wanted, batch = reference.scores(forest, samples), _batch(session)
    scores, labels = batch.scores[: len(samples)], batch.labels[: len(samples)]
    return bool(np.array_equal(scores, wanted) and np.array_equal(labels, wanted.argmax(axis=1)))


if __name__ == "__main__":
    main()
