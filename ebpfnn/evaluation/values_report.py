"""An evaluation of values or anomaly scores as a single page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
        "worst": of.worst[: report.WORST],
    }
