"""An evaluation of values, vectors or anomaly scores as a single page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..network.model import ANOMALY, VECTOR
from . import report
from .values import ValueEvaluation, summary


def write(of: ValueEvaluation, directory: Path) -> None:
    """Makes ``directory`` the report: index.html and eval.json. Replaces and raises as :func:`.report.write`."""
    page = report.fill("values.html", _shown(of)).encode()
    report.put(directory, {report.PAGE: page, report.FIGURES: (json.dumps(summary(of), indent=2) + "\n").encode()})


def _shown(of: ValueEvaluation) -> dict[str, Any]:
    """The values for the template."""
    return {
        "of": of,
        "network": of.network,
        "images": len(of.samples),
        "figures": summary(of),
        "names": ", ".join(of.network.labels),
        "what": {ANOMALY: "an anomaly score", VECTOR: "a vector"}.get(of.network.result, "a value"),
        "worst": [_row(each) for each in of.worst[: report.WORST]],
    }


def _row(sample: dict[str, Any]) -> dict[str, str]:
    """A sample with its numbers as text."""
    target, value = np.atleast_1d(sample["target"]), np.atleast_1d(sample["value"])
    numbers = {"target": target, "value": value, "error": value - target}
    return {"index": sample["index"], **{key: ", ".join(f"{each:.6g}" for each in found) for key, found in numbers.items()}}
