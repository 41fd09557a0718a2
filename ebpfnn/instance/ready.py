"""What comes before an instance is made: checks that change nothing in the kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..compiler import Body
from ..errors import NotSupported, UsageError
from ..network.events import TRIGGER
from ..network.model import Model
from ..plugin import Plugins, Trigger, configured, why_not
from ..session.compiling import compile_here
from ..session.guarding import Guard
from ..session.observed import Observed, observe, observes
from .about import About, describe
from .proof import prove_apart
from .rehearsal import rehearse

NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Ready:
    """A network and where it is to run, both of which fit. ``observed`` is None if callers give it samples."""

    name: str
    network: Model
    trigger: Trigger
    about: About
    observed: Observed | None
    plugins: Plugins | None

    def compiled(self, body: Body | None = None) -> Compiled:
        """With ``body``, or compiled for this kernel. If it observes events, made-up ones are rehearsed.

        Raises what :func:`~ebpfnn.instance.rehearsal.rehearse` raises.
        """
        code = body or compile_here(self.network, plugins=self.plugins)
        return Compiled(self, code, rehearse(self.observed, code, self.plugins) if self.observed else "")


@dataclass(frozen=True)
class Compiled:
    """What can be loaded. ``proof`` says how it was checked, '' if that is done once it is loaded."""

    ready: Ready
    body: Body
    proof: str

    def checked(self) -> Compiled:
        """The same, checked now in any case. Raises :class:`~ebpfnn.errors.SessionError` if it computes something else."""
        if self.proof:
            return self
        return replace(self, proof=prove_apart(self.ready.network, self.body, self.ready.plugins))


def prepare(
    network: Model,
    trigger: Trigger,
    target: str | None = None,
    *,
    name: str | None = None,
    options: Mapping[str, str] = NONE,
    file: Path | None = None,
    plugins: Plugins | None = None,
    filters: Sequence[str] = (),
    any_mode: bool = False,
    guard: Guard | None = None,
    declared: Mapping[str, Any] = NONE,
) -> Ready:
    """Takes what :meth:`ebpfnn.instance.Instance.load` takes, and raises what it raises before it compiles.

    ``declared`` goes into the description as it is.
    """
    name = network.name.replace(".", "-") if name is None else name
    if observes(network, trigger):
        plugins = plugins or Plugins.installed()
        given = observe(network, trigger, target, options, filters, plugins=plugins, any_mode=any_mode, guard=guard)
        kind = str(given.events[TRIGGER])
        number = next(place for place, each in enumerate(given.triggers) if each.name == kind)
        about = describe(network, file, kind, given.targets[number], options, observed=given, plugins=plugins)
        return _described(Ready(name, network, given.triggers[number], about, given, plugins), declared)
    if guard:
        raise UsageError(f"network '{network.name}' observes no events, so there is nothing to act on; leave out the action")
    if filters:
        fact = f"network '{network.name}' observes no events, so nothing can be filtered"
        raise UsageError(f"{fact}; leave out the conditions")
    ready = configured(trigger, options)
    reason = why_not(ready) or ready.refuses(network.input, len(network.labels))
    if reason:
        raise NotSupported(f"network '{network.name}' behind trigger '{trigger.name}': {reason}")
    about = describe(network, file, trigger.name, target or ready.default_target, options, plugins=plugins)
    return _described(Ready(name, network, ready, about, None, plugins), declared)


def _described(ready: Ready, declared: Mapping[str, Any]) -> Ready:
    about = replace(ready.about, declared=dict(declared))
    about.encode()
    return replace(ready, about=about)
