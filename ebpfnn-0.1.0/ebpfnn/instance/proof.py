"""Proof that a network in place computes what the reference does."""

from __future__ import annotations

import numpy as np

from .. import reference
from ..compiler import Body
from ..errors import NotSupported, SessionError
from ..network import QuantizedNetwork
from ..plugin import Plugins
from ..runner import Runner
from ..session import Session


def prove(session: Runner, network: QuantizedNetwork, body: Body) -> str:
    """Has one sample inferred, by the real event where one can be provoked from here, and tells how.

    Else ``body``, the same code, runs by BPF_PROG_RUN; at a trigger's default target the event is known to come, and must.
    Raises :class:`SessionError` where it does not, or what comes is not the reference's.
    """
    sample = np.random.default_rng(0).integers(0, 256, network.input_shape, np.uint8)
    surely = False
    try:
        if session.has_slots:
            session.slot()
            surely = session.target == session.trigger.default_target
        way = "the event itself" if session.has_slots else "BPF_PROG_RUN of the program that is attached"
        result, how = session.infer(sample), f"by {way} ({session.trigger.name})"
    except (NotSupported, SessionError) as reason:
        if surely and isinstance(reason, SessionError):
            raise
        with Session(network, Plugins.installed().trigger("run"), body=body, batch=1) as apart:
            result, how = apart.infer(sample), f"by BPF_PROG_RUN of the same code, since {reason}"
    expected = reference.scores(network, sample)
    if not np.array_equal(result.scores, expected) or result.label != int(np.argmax(expected)):
        raise SessionError(f"network '{network.name}': the kernel's scores are not the reference's ({how}); report this")
    return how
