"""An evaluation as JSON knows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from ..network.cascades import one_unit
from . import cascades, table_facts
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
        "stages": [asdict(each) for each in cascades.stages(of)] or None,
        "wraps": [asdict(each) for each in table_facts.wraps(of.network, of.samples)] or None,
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
    scale = one_unit(of.network.score_scales)
    return {
        "positive": of.network.labels[by.positive],
        "images": by.positives,
        "others": by.negatives,
        "auc": by.auc,
        "rate": by.rate,
        "margin": by.margin,
        "margin_logits": None if by.margin is None or scale is None else by.margin * scale,
        "false_positives": by.false_positives,
        "true_positives": by.true_positives,
        "recall": by.recall,
        "roc": [[false, true] for false, true in by.curve],
    }
