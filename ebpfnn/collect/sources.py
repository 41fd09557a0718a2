"""Where the events of a spec come from: for each an observer, and what it is attached to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import NotSupported, UsageError
from ..events import Spec, specfile
from ..events.bind import bind
from ..events.bound import Bound
from ..network.events import carried
from ..plugin import Plugins, Trigger, configured, why_not


@dataclass(frozen=True)
class Source:
    """One event of a spec: the observer of its trigger, and the target, None for the trigger's own."""

    name: str
    trigger: Trigger
    target: str | None


@dataclass(frozen=True)
class Sources:
    """A spec bound to the events of this kernel. ``about`` is what a network carries that learns from its rows."""

    spec: Spec
    bound: Bound
    events: tuple[Source, ...]
    about: Mapping[str, Any]


def find(
    spec: Spec,
    plugins: Plugins,
    *,
    trigger: str | None = None,
    target: str | None = None,
    options: Mapping[str, str] | None = None,
    filters: Sequence[str] = (),
    attached: bool = True,
) -> Sources:
    """The sources of ``spec``. ``trigger`` replaces that of its only event, ``target`` the targets of its events.

    ``options`` are those of the triggers; each must be one of at least one of them. ``filters`` are conditions beside those of
    the spec: part of ``bound``, but not of ``about``. ``attached`` says that events without a
    target are of no use where the trigger needs one. Raises :class:`UsageError`, and what triggers and
    :func:`ebpfnn.events.bind.bind` raise.
    """
    if trigger is not None:
        spec = _retriggered(spec, trigger, plugins)
    found = [plugins.trigger(event.trigger).observer() for event in spec.events]
    targets = _targets(spec, found, target)
    ready = [_ready(each, options or {}) for each in found]
    _check_options(ready, options or {})
    for event, each, place in zip(spec.events, ready, targets, strict=True):
        if reason := why_not(each):
            raise NotSupported(f"event '{event.name}': trigger '{each.name}': {reason}")
        if attached and each.needs_target and place is None:
            raise UsageError(f"event '{event.name}': trigger '{each.name}' requires a target; give --target: {each.takes}")
    fields = {event.name: each.fields(place) for event, each, place in zip(spec.events, ready, targets, strict=True)}
    bound = bind(specfile.filtered(spec, filters), fields, plugins.reducers, plugins.encoders)
    about = carried(specfile.describe(_portable(spec, ready, targets)), ready[0].name, ready[0].mode(targets[0]))
    events = zip(spec.events, ready, targets, strict=True)
    return Sources(spec, bound, tuple(Source(event.name, each, place) for event, each, place in events), about)


def _retriggered(spec: Spec, trigger: str, plugins: Plugins) -> Spec:
    """``spec`` with its only event at ``trigger``."""
    if len(spec.events) > 1:
        raise UsageError(f"spec '{spec.name}' has {len(spec.events)} events, each with its trigger; leave out --trigger")
    (event,) = spec.events
    plugins.trigger(trigger)
    if trigger == event.trigger:
        return spec
    return replace(spec, events=(replace(event, trigger=trigger, target=None),))


def _targets(spec: Spec, found: Sequence[Trigger], target: str | None) -> list[str | None]:
    """The target of each event: its own, or ``target`` for the only event, and for those whose trigger needs one."""
    if target is None:
        return [event.target for event in spec.events]
    pairs = zip(spec.events, found, strict=True)
    takes = [len(found) == 1 or (each.needs_target and event.target is None) for event, each in pairs]
    if not any(takes):
        raise UsageError(f"spec '{spec.name}': its events have targets of their own; leave out --target")
    return [target if taken else event.target for event, taken in zip(spec.events, takes, strict=True)]


def _ready(trigger: Trigger, options: Mapping[str, str]) -> Trigger:
    return configured(trigger, {key: value for key, value in options.items() if key in trigger.options})


def _check_options(triggers: Sequence[Trigger], options: Mapping[str, str]) -> None:
    known = {key for trigger in triggers for key in trigger.options}
    unknown = sorted(set(options) - known)
    if unknown:
        names = ", ".join(dict.fromkeys(f"'{trigger.name}'" for trigger in triggers))
        told = ", ".join(sorted(known)) or "none"
        raise UsageError(f"trigger {names} has no option '{unknown[0]}' for events; options: {told}")


def _portable(spec: Spec, triggers: Sequence[Trigger], targets: Sequence[str | None]) -> Spec:
    """``spec`` without the names of this machine's interfaces and cgroups, but with other targets."""
    events = tuple(
        event if trigger.needs_target else replace(event, target=target)
        for event, trigger, target in zip(spec.events, triggers, targets, strict=True)
    )
    return replace(spec, events=events)
