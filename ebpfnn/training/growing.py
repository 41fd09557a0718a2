"""Trees as scikit-learn grows them, from samples in bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from .data import Part
from .ensembles import Ensemble
from .options import BOOST, FOREST, Options

RATE = 0.3
"""What a round of boosting adds of what it finds."""
_LEAF_ROWS = {BOOST: 20}


@dataclass(frozen=True, eq=False)
class Grown:
    """A fitted estimator of scikit-learn, and how it was made, in words."""

    estimator: Any
    recipe: str


def grow(options: Options, ensemble: Ensemble, part: Part, weights: NDArray[np.float32] | None) -> Grown:
    """Trees that learned from ``part``, whose classes have ``weights`` if they are given."""
    leaf, rate = options.leaf_rows or _LEAF_ROWS.get(ensemble.kind, 1), options.learning_rate or RATE
    common = {"max_depth": ensemble.depth, "min_samples_leaf": leaf, "random_state": options.seed}
    words = [f"scikit-learn {sklearn.__version__}"]
    if ensemble.kind == BOOST:
        own = {"max_iter": ensemble.trees, "learning_rate": rate, "max_leaf_nodes": None, "early_stopping": False}
        estimator, words = HistGradientBoostingClassifier(**common, **own), [*words, f"gradient boosting, rate {rate:g}"]
    elif ensemble.kind == FOREST:
        threads = options.threads or None
        estimator, words = RandomForestClassifier(ensemble.trees, n_jobs=threads, **common), [*words, "random forest"]
    else:
        estimator, words = DecisionTreeClassifier(**common), [*words, "decision tree"]
    with threadpool_limits(options.threads or None):
        estimator.fit(flat(part.samples), part.labels, None if weights is None else weights[part.labels])
    return Grown(estimator, ", ".join([*words, f"{leaf} or more samples a leaf"]))


def share(estimator: Any, part: Part) -> float:
    """The share of ``part`` that scikit-learn labels correctly, 0..1."""
    return float((estimator.predict(flat(part.samples)) == part.labels).mean())


def flat(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One row a sample: [n, values]."""
    return samples.reshape(len(samples), -1)
