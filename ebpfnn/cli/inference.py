"""One network behind one trigger, opened once there is something to infer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack

import numpy as np

from .. import reference
from ..compiler import build_twin
from ..errors import NotSupported
from ..network import QuantizedNetwork
from ..plugin import Sample, Trigger, why_not
from ..session import Session
from .group import complain
from .report import Report


class Inference(ExitStack):
    """Infers samples; the kernel is not touched before :meth:`open`, and left as it was at exit.

    ``trigger`` is called to find the trigger, which may ask the kernel what it can do. With ``check`` every result is
    compared with the reference; with ``twin`` the network runs in readable C, not compiled.
    """

    def __init__(
        self, network: QuantizedNetwork, trigger: Callable[[], Trigger], target: str | None, *, check: bool, twin: bool
    ) -> None:
        super().__init__()
        self.network = network
        self._find_trigger = trigger
        self._target = target
        self._check, self._twin = check, twin
        self._opened: tuple[Trigger, Session] | None = None

    def open(self) -> tuple[Trigger, Session]:
        """Finds the trigger, loads and attaches; once, and the same after that.

        Raises what the search for a trigger and :class:`~ebpfnn.session.Session` raise.
        """
        if self._opened is None:
            trigger = self._find_trigger()
            body = build_twin(self.network) if self._twin else None
            self._opened = trigger, self.enter_context(Session(self.network, trigger, self._target, body))
        return self._opened

    def infer(self, sample: Sample) -> Report:
        """Runs the network on ``sample``. Raises what :meth:`open` and :meth:`Session.infer` raise."""
        trigger, session = self.open()
        result = session.infer(sample.data)
        scores = tuple(int(score) for score in result.scores)
        report = Report(sample, self.network, trigger.name, int(result.label), scores, int(result.elapsed_ns), session.target)
        if self._check:
            expected = reference.scores(self.network, sample.data)
            report.check = scores == tuple(expected.tolist()) and report.label == int(np.argmax(expected))
        return report


def pick(candidates: Iterable[Trigger], *, quiet: bool) -> Trigger:
    """The first trigger that this kernel can run; those passed over are told on standard error, unless ``quiet``.

    Raises :class:`NotSupported` where there is none.
    """
    reasons: list[str] = []
    for trigger in candidates:
        reason = why_not(trigger)
        if reason is None:
            if reasons and not quiet:
                complain(f"{'; '.join(reasons)}; using {trigger.name}")
            return trigger
        reasons.append(f"trigger '{trigger.name}' cannot run here: {reason}")
    raise NotSupported("; ".join(reasons) or "no trigger is installed; see `ebpfnn plugins`")
