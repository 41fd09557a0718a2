"""One network, private or of an instance, opened when the first sample arrives."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ..bodies import kind_of, modelfile
from ..errors import ModelError, NotSupported, PermissionDenied
from ..kernel.privilege import lack
from ..network.cascades import deciding, one_unit
from ..plugin import Plugins, Sample, Trigger, why_not
from ..session import Session
from ..session.runner import Runner, Served
from .messages import complain
from .report import Report

if TYPE_CHECKING:
    from ..instance import Instance


class Inference(ExitStack):
    """Infers samples. The kernel is not used before :meth:`open`, and everything is removed at exit.

    ``network`` describes the samples that it takes, and ``session`` is called to open a session. With ``check`` every result is
    compared with the reference. ``plugins`` have the kinds of models.
    """

    def __init__(self, network: Served, session: Callable[[], Runner], plugins: Plugins, *, check: bool) -> None:
        super().__init__()
        self.network = network
        self._open, self._plugins, self._check = session, plugins, check
        self._session: Runner | None = None

    def open(self) -> Runner:
        """Opens the session once; later calls return the same. Raises the errors of ``session``."""
        if self._session is None:
            self._session = self.enter_context(self._open())
        return self._session

    def infer(self, sample: Sample) -> Report:
        """Runs the network on ``sample``. Raises as :meth:`open` and :meth:`Runner.infer` do."""
        session = self.open()
        result = session.infer(sample.data)
        scores = tuple(int(score) for score in result.scores)
        name, elapsed = session.trigger.name, result.elapsed_ns
        report = Report(sample, session.network, name, int(result.label), scores, elapsed, session.target)
        if one_unit(session.network.score_scales) is None:
            report.stage = _stage(session, sample)
        if self._check:
            model = session.source()
            expected = kind_of(model, self._plugins).scores(model, sample.data)
            report.check = scores == tuple(expected.tolist()) and report.label == int(np.argmax(expected))
        return report


def _stage(session: Runner, sample: Sample) -> int | None:
    """The network of a cascade that decided, computed by the reference, since a result does not tell.

    None if the networks are not at hand.
    """
    try:
        return int(deciding(session.source(), sample.data[None])[0])
    except ModelError:  # the file of an instance's network is another one now
        return None


def private(
    model: str, target: str | None, trigger: Callable[[], Trigger], plugins: Plugins, *, check: bool, twin: bool
) -> Inference:
    """A network that belongs to this process. Its trigger is chosen when it is needed."""
    network = modelfile.load(modelfile.resolve(model), plugins)

    def session() -> Session:
        found = trigger()
        body = kind_of(network, plugins).twin(network) if twin else None
        return Session(network, found, target, body, plugins=plugins)

    return Inference(network, session, plugins, check=check)


def shared(instance: Instance, plugins: Plugins, *, check: bool) -> Inference:
    """The network of an instance, which other processes may swap meanwhile."""
    return Inference(instance.about(), lambda: instance.session(plugins), plugins, check=check)


def pick(candidates: Iterable[Trigger], *, quiet: bool) -> Trigger:
    """The first trigger that this kernel can run. Skipped triggers are reported on standard error, unless ``quiet``.

    Raises :class:`PermissionDenied` if this process may load none, :class:`NotSupported` if there is none to run.
    """
    reasons: list[str] = []
    for trigger in candidates:
        reason = why_not(trigger)
        if reason is None:
            if reasons and not quiet:
                complain(f"using trigger '{trigger.name}': {'; '.join(reasons)}")
            return trigger
        reasons.append(f"trigger '{trigger.name}' cannot run here: {reason}")
    remedy = lack()
    if reasons and remedy:
        raise PermissionDenied(f"loading a network is not permitted; {remedy}", errno.EPERM)
    raise NotSupported("; ".join(reasons) or "no trigger is installed; see `ebpfnn plugins`")
