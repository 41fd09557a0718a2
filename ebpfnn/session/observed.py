"""A network whose samples are rows of events: its spec bound to the triggers and the fields of this kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ..errors import InputError, ModelError, NotSupported, PluginError, UsageError, nearest
from ..events import specfile
from ..events.bind import bind
from ..events.bound import Bound
from ..events.keyparts import Part, parts
from ..events.spec import EventSpec, Spec
from ..network import events as carried
from ..network.model import Model
from ..plugin import Plugins, Trigger, configured, why_not
from ..preparation.columns import Column, read
from .guarding import Guard

COLUMNS = "columns"
"""The kind of preparation that makes samples of rows."""
_NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Observed:
    """A network with its spec, which is ``bound`` to events. Each has one of ``triggers``, an observer, and of ``targets``.

    ``columns`` are those of the network's preparation, ``key`` the parts of a key. ``events`` is what the network carries, with
    the targets of the events here. ``filters`` are conditions beside those of the spec, and part of ``bound``. With a
    ``guard``, the triggers' shells act.
    """

    network: Model
    bound: Bound
    triggers: tuple[Trigger, ...]
    targets: tuple[str | None, ...]
    columns: tuple[Column, ...]
    key: tuple[Part, ...]
    events: Mapping[str, object]
    filters: tuple[str, ...] = ()
    guard: Guard | None = None


def observes(network: Model, trigger: Trigger) -> bool:
    """Whether ``network`` behind ``trigger`` makes samples of events. If not, callers give them, as with trigger ``run``."""
    return bool(network.events) and trigger.events_path() != trigger.object_path()


def observe(
    network: Model,
    trigger: Trigger,
    target: str | None,
    options: Mapping[str, str] = _NO_OPTIONS,
    filters: Sequence[str] = (),
    *,
    plugins: Plugins,
    any_mode: bool = False,
    events: Mapping[str, Any] | None = None,
    guard: Guard | None = None,
) -> Observed:
    """``network`` at ``target`` of ``trigger``, whose ``options`` those of its observer are.

    ``events`` takes the place of what ``network`` carries.

    Raises :class:`UsageError` for a trigger or a mode that the network's data were not collected in, unless ``any_mode``, for a
    missing target, wrong ``filters`` and a ``guard`` that cannot act there, :class:`~ebpfnn.errors.NotSupported` for a trigger
    that cannot run here, :class:`~ebpfnn.errors.ModelError` for a spec that does not fit the events, and what the triggers
    raise for a target.
    """
    events = network.events if events is None else events
    ready = configured(_seen(trigger, guard), options)
    if not any_mode and trigger.name != events[carried.TRIGGER]:
        raise _other(network, f"trigger '{events[carried.TRIGGER]}'", f"'{trigger.name}'")
    spec = _retargeted(_spec(events, filters), str(events[carried.TRIGGER]), trigger.name, target)
    found = [ready if each.trigger == trigger.name else _seen(plugins.trigger(each.trigger), guard) for each in spec.events]
    for event, one in zip(spec.events, found, strict=True):
        _check(network, event, one)
        if guard:
            guard.action.check(one, event.target)
            guard.check_cgroup(one)
    first = next((event for event in spec.events if event.trigger == trigger.name), None)
    if first is None:
        raise ModelError(f"network '{network.name}': its spec has no event of trigger '{trigger.name}'; train it again")
    mode = ready.mode(first.target)
    if not any_mode and events[carried.MODE] not in ("", mode):
        raise _other(network, f"{events[carried.MODE]} mode", f"{mode} mode")
    fields = {event.name: one.fields(event.target) for event, one in zip(spec.events, found, strict=True)}
    bound = bind(spec, fields, plugins.reducers, plugins.encoders)
    key = parts(spec.key if isinstance(spec.key, str) else bound.events[0].key)
    own = carried.carried(
        specfile.describe(_retargeted(_spec(events), str(events[carried.TRIGGER]), trigger.name, target)), trigger.name, mode
    )
    targets = tuple(event.target for event in spec.events)
    columns = columns_of(network, bound, plugins)
    return Observed(network, bound, tuple(found), targets, columns, key, own, tuple(filters), guard)


def _seen(trigger: Trigger, guard: Guard | None) -> Trigger:
    """The trigger with the shell that observes, or that acts on what it observes."""
    if guard is None:
        return trigger.observer()
    guard.check(trigger)
    return trigger.guard()


def columns_of(network: Model, bound: Bound, plugins: Plugins) -> tuple[Column, ...]:
    """The columns of the network's preparation. Raises :class:`InputError` for one that is no result of the spec."""
    preparation = network.input.preparation
    if preparation.kind != COLUMNS:
        fact = f"network '{network.name}': its samples are prepared by '{preparation.kind}', and rows need '{COLUMNS}'"
        raise InputError(f"{fact}; train it on rows that `ebpfnn collect` wrote")
    columns = read(preparation.options, plugins.encoders)
    for column in columns:
        if column.name not in bound.names:
            known = nearest(column.name, bound.names) or f"; its results are {', '.join(bound.names[:8])}"
            fact = f"network '{network.name}': column '{column.name}' is no result of its spec '{bound.spec.name}'"
            raise InputError(f"{fact}{known}")
    return columns


def _spec(events: Mapping[str, Any], filters: Sequence[str] = ()) -> Spec:
    """The spec in what a network carries, with ``filters`` as further conditions of it."""
    return specfile.filtered(specfile.build(dict(events[carried.SPEC])), filters)


def _retargeted(spec: Spec, collected: str, trigger: str, target: str | None) -> Spec:
    """``spec`` with the events of trigger ``collected`` at ``trigger``, and ``target`` for those that it can mean."""
    own = [event for event in spec.events if event.trigger == collected]
    if target is not None and len(own) > 1 and any(event.target for event in own):
        fact = f"spec '{spec.name}' has {len(own)} events of trigger '{collected}' with targets of their own"
        raise UsageError(f"{fact}; leave out --target")
    changed = tuple(
        replace(event, trigger=trigger, target=target or event.target) if event.trigger == collected else event
        for event in spec.events
    )
    return replace(spec, events=changed)


def _check(network: Model, event: EventSpec, trigger: Trigger) -> None:
    what = f"network '{network.name}' behind trigger '{trigger.name}'"
    if reason := why_not(trigger):
        raise NotSupported(f"{what}: {reason}")
    if trigger.needs_target and event.target is None:
        raise UsageError(f"trigger '{trigger.name}' requires a target; give --target: {trigger.takes}")


def _other(network: Model, collected: str, given: str) -> PluginError:
    fact = f"network '{network.name}': its data were collected in {collected}, and this is {given}, whose events may differ"
    return UsageError(f"{fact}; collect and train there, or give --any-mode")
