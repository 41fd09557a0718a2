"""The one thing that every way of running a network is held to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ebpfnn.network import reference
from ebpfnn.session import Session


def agree(session: Session, given: NDArray[np.uint8]) -> None:
    """Scores and labels of every sample are the reference's."""
    expected = reference.scores(session.network, given)
    for sample, scores in zip(given, expected, strict=True):
        result = session.infer(sample)
        assert result.scores.tolist() == scores.tolist()
        assert result.label == int(scores.argmax())
