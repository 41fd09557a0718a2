"""An evaluation as JSON knows it."""

from __future__ import annotations

from typing import Any

import numpy as np

from .detection import Detection
from .evaluate import Evaluation


def summary(of: Evaluation) -> dict[str, Any]:
    """What ``ebpfnn eval --json`` prints; docs/evaluation.md describes every key."""
    count = len(of.samples)
    correct = {column: of.correct(column) for column in of.columns}
    return {
        "model": of.network.name,
        "architecture": of.network.architecture,
        "data": of.source,
        "images": count,
        **{column: None if right is None else right / count for column, right in correct.items()},
        "trigger": None if of.kernel is None else of.kernel.trigger,
        "agreement": None if of.kernel is None else count - len(of.disagreements),
        "disagreements": of.disagreements.tolist(),
        "float_agreement": None if of.floats_predicted is None else int(np.count_nonzero(of.floats_predicted == of.predicted)),
        "per_class": [
            {"label": each.label, "images": each.samples, "precision": each.precision, "recall": each.recall, "f1": each.f1}
            for each in of.per_class
        ],
        "detection": None if of.detection is None else _detection(of, of.detection),
        "confusion": of.confusion.tolist(),
        "mistakes": [
            {
                "index": int(index),
                "label": of.network.labels[of.truth[index]],
                "predicted": of.network.labels[of.predicted[index]],
                "margin": round(float(of.margins[index]), 4),
            }
            for index in of.mistakes
        ],
    }


def _detection(of: Evaluation, by: Detection) -> dict[str, Any]:
    return {
        "positive": of.network.labels[by.positive],
        "images": by.positives,
        "others": by.negatives,
        "auc": by.auc,
        "rate": by.rate,
        "margin": by.margin,
        "margin_logits": None if by.margin is None else by.margin * of.network.score_scale,
        "false_positives": by.false_positives,
        "true_positives": by.true_positives,
        "recall": by.recall,
        "roc": [[false, true] for false, true in by.curve],
    }
