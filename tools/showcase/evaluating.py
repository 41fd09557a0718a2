"""How well sessions that were never seen are recognized, by networks and by trees on the same bytes, in tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from figures import Estimate, Names, estimates, markdown
from learning import Table, learn
from numpy.typing import NDArray

from ebpfnn.evaluation.metrics import ClassFigures

BENIGN, ATTACK = "benign", "any attack"
MODELS = ("network", "tree", "forest")
FOLDS, FOREST, LEAF = 4, 100, 3

Predicted = dict[str, Names]
"""The class of each row, by the name of the model."""


def precision(of: ClassFigures) -> float | None:
    return of.precision


def recall(of: ClassFigures) -> float | None:
    return of.recall


def f1(of: ClassFigures) -> float | None:
    return of.f1


def tools_of(table: Table) -> Names:
    """The tool of each row: its group without the number behind the last dash."""
    return np.array([group.rpartition("-")[0] for group in table.groups.tolist()])


def folds(groups: Names, count: int = FOLDS, seed: int = 0) -> NDArray[np.intp]:
    """The fold of each row, 0 to ``count`` - 1. Rows of one session are in one, and each tool's sessions are in all, evenly."""
    distinct = np.unique(groups)
    random = np.random.default_rng(seed)
    tools = np.array([group.rpartition("-")[0] for group in distinct.tolist()])
    of = np.empty(len(distinct), np.intp)
    for n, tool in enumerate(np.unique(tools).tolist()):
        own = random.permutation(np.flatnonzero(tools == tool))
        of[own] = (np.arange(len(own)) + n) % count  # a tool with few sessions does not fill the first folds alone
    return of[np.searchsorted(distinct, groups)]


def fit(learnt: Table, tested: Table, encode: str, hidden: str, seed: int = 1) -> Predicted:
    """What each model, trained on ``learnt``, takes the rows of ``tested`` for."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.tree import DecisionTreeClassifier

    learned = learn(learnt, encode, hidden, seed)
    known, asked = learned.samples(learnt), learned.samples(tested)
    tree = DecisionTreeClassifier(min_samples_leaf=LEAF, random_state=seed).fit(known, learnt.labels)
    forest = RandomForestClassifier(FOREST, min_samples_leaf=LEAF, random_state=seed).fit(known, learnt.labels)
    return {"network": learned.predict(asked), "tree": tree.predict(asked), "forest": forest.predict(asked)}


def never_seen(table: Table, encode: str, hidden: str, tell: Callable[[str], object] = str) -> Predicted:
    """The class of every row, by models that saw no row of its session: each fold is tried on what the others taught."""
    own, found = folds(table.groups), {model: np.array(table.labels, "U32") for model in MODELS}
    for fold in range(FOLDS):
        tell(f"{encode}: fold {fold + 1} of {FOLDS}")
        tested = own == fold
        for model, predicted in fit(table.rows(~tested), table.rows(tested), encode, hidden).items():
            found[model][tested] = predicted
    return found


def as_attacks(names: Names) -> Names:
    """All kinds of attacks as one."""
    merged: Names = np.where(names == BENIGN, BENIGN, ATTACK)
    return merged


def classes_table(table: Table, predicted: Predicted) -> str:
    """A row a class, and one for all attacks together; intervals of 95 % over sessions."""
    classes = [BENIGN, *sorted(set(table.labels.tolist()) - {BENIGN})]
    head = ["class", "sessions", "rows", "precision", "recall", *(f"F1, {model}" for model in MODELS)]
    lines = list(_class_lines(table, table.labels, predicted, classes))
    if len(classes) > 2:
        merged = {model: as_attacks(names) for model, names in predicted.items()}
        lines += list(_class_lines(table, as_attacks(table.labels), merged, [BENIGN, ATTACK]))[1:]
    return markdown(head, lines)


def _class_lines(table: Table, truth: Names, predicted: Predicted, classes: Sequence[str]) -> Iterator[list[object]]:
    network = estimates(truth, predicted["network"], table.groups, classes, [precision, recall, f1])
    others = [estimates(truth, predicted[model], table.groups, classes, [f1]) for model in MODELS[1:]]
    for number, name in enumerate(classes):
        own = truth == name
        sessions = len(np.unique(table.groups[own]))
        yield [name, sessions, int(own.sum()), *network[number], *(other[number][0] for other in others)]


def sessions_table(table: Table, predicted: Predicted) -> str:
    """How many sessions of each tool have a row, and how many at least half of their rows, that is taken for an attack."""
    tools, lines = tools_of(table), []
    for label, tool in sorted({*zip((table.labels != BENIGN).tolist(), tools.tolist(), strict=True)}):
        cells: list[object] = []
        for model in MODELS:
            shares = [
                (predicted[model][table.groups == group] != BENIGN).mean() for group in np.unique(table.groups[tools == tool])
            ]
            cells.append(f"{sum(share > 0 for share in shares)}, {sum(share >= 0.5 for share in shares)}")
        kind = "attack" if label else BENIGN
        lines.append([tool, kind, len(np.unique(table.groups[tools == tool])), *cells])
    return markdown(["tool", "is", "sessions", *(f"called an attack by {model}: once, mostly" for model in MODELS)], lines)


def left_out_table(table: Table, encode: str, hidden: str, tell: Callable[[str], object] = str) -> str:
    """For each tool of attacks: which share of its rows is taken for any attack by models that never saw the tool."""
    tools, lines = tools_of(table), []
    for tool in np.unique(tools[table.labels != BENIGN]).tolist():
        tell(f"{encode}: without {tool}")
        own = tools == tool
        tested = table.rows(own)
        predicted = fit(table.rows(~own), tested, encode, hidden)
        cells: list[object] = [_recall(tested, predicted[model]) for model in MODELS]
        lines.append([tool, tested.labels[0], len(np.unique(tested.groups)), len(tested), *cells])
    return markdown(["left out", "kind", "sessions", "rows", *(f"recall, {model}" for model in MODELS)], lines)


def _recall(tested: Table, predicted: Names) -> Estimate:
    truth = as_attacks(tested.labels)
    return estimates(truth, as_attacks(predicted), tested.groups, [BENIGN, ATTACK], [recall])[1][0]


def joined(tables: Sequence[Table]) -> Table:
    """The rows of all tables, which have the same columns, one after another."""
    columns: Mapping[str, NDArray[Any]] = {
        name: np.concatenate([table.columns[name] for table in tables]) for name in tables[0].columns
    }
    labels = np.concatenate([table.labels for table in tables])
    return Table(columns, labels, np.concatenate([table.groups for table in tables]))
