"""The members that every kind of model has, as JSON knows them, and back."""

from __future__ import annotations

from typing import Any

from . import calibration, fields
from .fields import Described
from .model import LABEL, Model


def describe_model(model: Model) -> dict[str, Any]:
    """The members of :class:`Model` by name, but ``kind``. ``events`` and ``calibration`` are left out if it carries none."""
    return {
        "name": model.name,
        "input": fields.describe_input(model.input),
        "labels": list(model.labels),
        "score_scale": model.score_scale,
        "result": model.result,
        "card": dict(model.card),
        **fields.describe_events(model.events),
        **calibration.describe(model.calibration),
    }


def model_fields(described: Described) -> dict[str, Any]:
    """The members that :func:`describe_model` described, by name, for the constructor of a model.

    ``calibration`` is among them only if there is one. Raises :class:`~ebpfnn.errors.ModelError` for one that is absent, of
    another type, or out of range.
    """
    calibrated = calibration.build(described)
    return {
        **({"calibration": calibrated} if calibrated else {}),
        "name": fields.text(described, "name"),
        "input": fields.within("input", fields.build_input, fields.get(described, "input", dict)),
        "labels": fields.texts(described, "labels"),
        "score_scale": fields.number(described, "score_scale"),
        "result": fields.text(described, "result") if "result" in described else LABEL,
        "card": fields.card(described),
        "events": fields.events(described),
    }
