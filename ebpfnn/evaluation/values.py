"""Errors of values and vectors against targets, and how well anomaly scores separate unusual samples from others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..network.model import ANOMALY, VECTOR, Model
from .detection import Detection, detect
from .evaluate import KernelRun, differing

_Floats = NDArray[np.float64]
_LISTED = 100
"""The most samples that are listed as the worst."""


@dataclass(frozen=True)
class Errors:
    """The mean of the absolute errors, the root of the mean of their squares, and the largest; all in units of the target."""

    mean: float
    root_mean_square: float
    worst: float


@dataclass(frozen=True, eq=False)
class ValueEvaluation:
    """The results for ``samples``, uint8 ``[n, *shape]``, of a model whose results are values, vectors or anomaly scores.

    ``truth`` are the targets, float64 [n, labels]. Of anomaly scores, a sample whose target is not 0 is unusual. ``scores``
    int32 [n, labels] are the reference's. ``floats`` float64 [n, labels] are the values of the float network, and ``kernel``
    the results of the kernel, each None if it was not run. ``rate`` is that of false positives to find a threshold of anomaly
    scores for.
    """

    network: Model
    source: str
    samples: NDArray[np.uint8]
    truth: _Floats
    scores: NDArray[np.int32]
    floats: _Floats | None = None
    kernel: KernelRun | None = None
    rate: float = 0.001

    @cached_property
    def columns(self) -> dict[str, _Floats | None]:
        """The values of each form of the model, in the order in which they are shown."""
        kernel = None if self.kernel is None else self._values(self.kernel.scores)
        return {"float": self.floats, "reference": self._values(self.scores), "kernel": kernel}

    def _values(self, scores: NDArray[np.int32]) -> _Floats:
        values: _Floats = scores * np.float64(self.network.score_scale)
        return values

    def errors(self, column: str, component: int | None = None) -> Errors | None:
        """How far ``column`` is from the targets, in ``component``, or for None in all.

        None if it was not run, or gives anomaly scores, which have no targets.
        """
        values = self.columns[column]
        if values is None or self.network.result == ANOMALY:
            return None
        far = np.abs(values - self.truth)
        far = far if component is None else far[:, component]
        return Errors(float(far.mean()), float(np.sqrt(np.square(far).mean())), float(far.max()))

    @cached_property
    def disagreements(self) -> NDArray[np.intp]:
        """The samples for which the kernel and the reference differ in the score."""
        return differing(self.kernel, self.scores)

    @cached_property
    def worst(self) -> list[dict[str, Any]]:
        """The samples with the largest errors of the reference, the largest first: index, target, value; of a vector lists."""
        if self.network.result == ANOMALY:
            return []
        values = self._values(self.scores)
        order = np.argsort(-np.abs(values - self.truth).max(axis=1), kind="stable")[:_LISTED]
        return [{"index": int(i), "target": self._shown(self.truth[i]), "value": self._shown(values[i])} for i in order]

    def _shown(self, numbers: _Floats) -> float | list[float]:
        return numbers.tolist() if self.network.result == VECTOR else float(numbers[0])

    @cached_property
    def detection(self) -> Detection | None:
        """How well anomaly scores tell unusual samples from others. ``margin`` is a threshold of the score. None of values."""
        if self.network.result != ANOMALY:
            return None
        beside = np.hstack([np.zeros_like(self.scores), self.scores])
        return detect(beside, (self.truth[:, 0] != 0).astype(np.intp), 1, self.rate)


def summary(of: ValueEvaluation) -> dict[str, Any]:
    """What ``ebpfnn eval --json`` prints; docs/evaluation.md describes every key."""
    count, detection = len(of.samples), of.detection
    vector = of.network.result == VECTOR
    return {
        "model": of.network.name,
        "architecture": of.network.architecture,
        "data": of.source,
        "images": count,
        "result": of.network.result,
        **({"components": _components(of)} if vector else {"label": of.network.labels[0]}),
        **_errors(of),
        "trigger": None if of.kernel is None else of.kernel.trigger,
        "agreement": None if of.kernel is None else count - len(of.disagreements),
        "disagreements": of.disagreements.tolist(),
        "worst": of.worst,
        "detection": None if detection is None else _described(of, detection),
    }


def _errors(of: ValueEvaluation, component: int | None = None) -> dict[str, Any]:
    found = {column: of.errors(column, component) for column in of.columns}
    return {column: None if each is None else vars(each) for column, each in found.items()}


def _components(of: ValueEvaluation) -> list[dict[str, Any]]:
    return [{"label": name, **_errors(of, number)} for number, name in enumerate(of.network.labels)]


def _described(of: ValueEvaluation, by: Detection) -> dict[str, Any]:
    scale = of.network.score_scale
    return {
        "unusual": by.positives,
        "others": by.negatives,
        "auc": by.auc,
        "rate": by.rate,
        "threshold": by.margin,
        "threshold_value": None if by.margin is None else by.margin * scale,
        "false_positives": by.false_positives,
        "true_positives": by.true_positives,
        "recall": by.recall,
        "roc": [[false, true] for false, true in by.curve],
    }
