"""Fitted trees of scikit-learn as trees with leaves in floats. What they compute is said in docs/trees.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier

from ..errors import NotSupported
from ..trees import Forest, reference
from ..trees.fixedpoint import FloatTree, numbered

_CHECKED, _CLOSE = 2_000, 1e-5
Floats = NDArray[np.float64]


def float_trees(estimator: Any, classes: int) -> tuple[list[FloatTree], Floats]:
    """The trees of ``estimator``, which was fitted to samples in bytes, and the base of each of ``classes`` scores.

    The scores of a tree and of a forest are the shares of the classes, those of boosted trees the raw scores. A class that was
    not learned from never has the highest.
    """
    if isinstance(estimator, HistGradientBoostingClassifier):
        return _boosted(estimator, classes)
    members = estimator.estimators_ if isinstance(estimator, RandomForestClassifier) else [estimator]
    known = estimator.classes_.astype(np.intp)
    return [_shares(member.tree_, known, classes, len(members)) for member in members], np.zeros(classes)


def check(estimator: Any, forest: Forest, samples: NDArray[np.uint8]) -> None:
    """Raises :class:`NotSupported` if ``forest`` does not compute what ``estimator`` does, of the first of ``samples``.

    Boosted trees are read from attributes that scikit-learn does not document.
    """
    rows = samples[:_CHECKED].reshape(len(samples[:_CHECKED]), -1)
    found = reference.scores(forest, samples[:_CHECKED]) * forest.score_scale
    if isinstance(estimator, HistGradientBoostingClassifier):
        expected = estimator.decision_function(rows)
        expected = np.stack([np.zeros(len(rows)), expected], axis=1) if expected.ndim == 1 else expected
    else:
        expected = estimator.predict_proba(rows)
    if not np.allclose(found[:, estimator.classes_.astype(np.intp)], expected, rtol=_CLOSE, atol=_CLOSE + forest.tolerance):
        raise NotSupported(f"scikit-learn {sklearn.__version__}: its trees are laid out in an unknown way; install 1.9")


def _shares(tree: Any, known: NDArray[np.intp], classes: int, members: int) -> FloatTree:
    """A tree whose leaves are the shares of classes among their samples, divided by the number of ``members``."""
    counts = tree.value[:, 0, :]
    leaves = np.zeros((tree.node_count, classes))
    leaves[:, known] = counts / counts.sum(axis=1, keepdims=True) / members
    children = np.stack([tree.children_left, tree.children_right], axis=1)
    return numbered(tree.feature, _bytes(tree.threshold), children, leaves)


def _boosted(estimator: Any, classes: int) -> tuple[list[FloatTree], Floats]:
    """Boosted trees. Each adds to one class; those of two classes to the second, and the score of the first is 0."""
    known = estimator.classes_.astype(np.intp)
    outputs = known if estimator.n_trees_per_iteration_ > 1 else known[1:]
    trees = [
        _of_class(predictor.nodes, int(output), classes)
        for round_ in estimator._predictors
        for predictor, output in zip(round_, outputs, strict=True)
    ]
    base = np.zeros(classes)
    base[outputs] = np.ravel(estimator._baseline_prediction)
    unknown = np.setdiff1d(np.arange(classes), known)
    base[unknown] = -1 - sum((np.abs(tree.leaves).max() for tree in trees), np.abs(base).max())
    return trees, base


def _of_class(nodes: NDArray[Any], output: int, classes: int) -> FloatTree:
    inner = nodes["is_leaf"] == 0
    children = np.where(inner[:, None], np.stack([nodes["left"], nodes["right"]], axis=1).astype(np.int64), -1)
    leaves = np.zeros((len(nodes), classes))
    leaves[:, output] = nodes["value"]
    return numbered(nodes["feature_idx"], np.where(inner, _bytes(nodes["num_threshold"]), 0), children, leaves)


def _bytes(thresholds: Floats) -> NDArray[np.int64]:
    """The least byte above each threshold: scikit-learn goes right there."""
    return np.floor(thresholds).astype(np.int64) + 1
