"""Replaces the network of an instance that observes events. States and verdicts stay."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..compiler import Body
from ..errors import NotSupported
from ..events import specfile
from ..network import events as carried
from ..network.model import Model
from ..plugin import Plugins
from ..session.compiling import compile_here
from ..session.observed import Observed, observe
from ..session.observing import SHARED, load_observed, of_action
from . import guarded
from .about import About, describe
from .locks import lock
from .pins import ABOUT, Pins
from .rehearsal import rehearse
from .store import LOCKS, SWAP_LOCK
from .stub import CHOOSER, put_network, set_swaps

_OF_STATE = ("entries", "map", "locked")
_NOT_OF_STATE = ("name", "encode")
_PLACE = ("trigger", "target")


def swap_observing(path: Path, network: Model, body: Body, file: Path | None, plugins: Plugins) -> str:
    """As :func:`ebpfnn.instance.swap.swap`. The new network is checked before it takes the place of the other one.

    Raises :class:`NotSupported` for a network whose states or keys differ from the instance's.
    """
    with lock(path / LOCKS / SWAP_LOCK), Pins(path) as pins, pins.in_place():
        count, about = pins.current()
        pins.check_attached(about)
        check_fits(path.name, about, network)
        observed = _observed(about, network, plugins)
        told = describe(network, file, about.trigger, about.target, about.options, about.holder, observed, plugins)
        told = replace(told, interface=about.interface, declared=about.declared, swaps=count + 1)
        told = replace(told, guard=guarded.kept_cgroup(about.guard, told.guard))
        data = told.encode(pins.maps[ABOUT].value_size)
        proof = rehearse(observed, body, plugins)
        names = SHARED | of_action(observed)
        shared = {name: each for name, each in pins.maps.items() if name in names}
        with ExitStack() as held:
            loaded = [held.enter_context(each) for each in load_observed(observed, body, swaps=count + 1, maps=shared)]
            for event, (each, trigger) in enumerate(zip(loaded, observed.triggers, strict=True)):
                with pins.networks(event) as networks:
                    put_network(networks, (count + 1) & 1, each.programs[trigger.program()])
        pins.maps[ABOUT].update(struct.pack("<I", (count + 1) & 1), data)
        set_swaps(pins.maps[CHOOSER], count + 1)
        pins.check_attached(about)
        return proof


def rehearse_swap(path: Path, network: Model, plugins: Plugins) -> str:
    """Checks that ``network`` can take the place of the instance's, as a swap does. Raises as :func:`swap_observing`."""
    with Pins(path) as pins:
        about = pins.current()[1]
    check_fits(path.name, about, network)
    return rehearse(_observed(about, network, plugins), compile_here(network, plugins=plugins), plugins)


def _observed(about: About, network: Model, plugins: Plugins) -> Observed:
    """The network at the events of the instance, with its filters."""
    here = {event["name"]: event for event in _normal(about.events)["event"]}
    spec = _normal(network.events)
    places = [{name: each for name, each in here[event["name"]].items() if name in _PLACE} for event in spec["event"]]
    spec["event"] = [{**event, **place} for event, place in zip(spec["event"], places, strict=True)]
    moved = carried.carried(spec, about.trigger, str(about.events[carried.MODE]))
    trigger, guard = plugins.trigger(about.trigger), guarded.build(about.guard, network, plugins)
    return observe(
        network, trigger, None, about.options, about.filters, plugins=plugins, any_mode=True, events=moved, guard=guard
    )


def check_fits(name: str, about: About, network: Model) -> None:
    """Raises :class:`NotSupported` if ``network`` cannot take the place of the one that ``about`` describes."""
    reason = _other_labels(about, network)
    if not network.events:
        reason = "it carries no spec, and the instance observes events"
    elif other := difference(_normal(about.events), _normal(network.events)):
        reason = f"its spec has {other}"
    if reason:
        what = f"network '{network.name}' cannot take the place of '{about.network}' in instance '{name}'"
        raise NotSupported(f"{what}: {reason}; load it as another instance")


def _normal(events: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with every member written as :func:`specfile.describe` does."""
    return specfile.describe(specfile.build(events[carried.SPEC]))


def _other_labels(about: About, network: Model) -> str:
    if network.result != about.result:
        return f"its results are of kind '{network.result}', and those of the verdicts that are kept '{about.result}'"
    if network.labels == about.labels:
        return ""
    return f"its labels are {', '.join(network.labels)}, and those of the verdicts that are kept {', '.join(about.labels)}"


def difference(wanted: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The first member in which two specs differ whose states then mean something else, "" if there is none.

    Conditions, encoders and the events that give rows may differ: they are part of the code.
    """
    if wanted["key"] != given["key"]:
        return f"the key {given['key']!r}, and the instance's {wanted['key']!r}"
    for name in _OF_STATE:
        old, new = (spec.get("state", {}).get(name) for spec in (wanted, given))
        if old != new:
            return f"state.{name} = {new!r}, and the instance's {old!r}"
    old_events, new_events = ([each["name"] for each in spec["event"]] for spec in (wanted, given))
    if old_events != new_events:
        return f"the events {_named(given)}, and the instance's {_named(wanted)}"
    old_columns, new_columns = wanted["column"], given["column"]
    for number, (old, new) in enumerate(zip(old_columns, new_columns, strict=False), 1):
        for name in sorted((old.keys() | new.keys()) - set(_NOT_OF_STATE)):
            if old.get(name) != new.get(name):
                return f"{name} = {new.get(name)!r} in column {number} '{new['name']}', and the instance's {old.get(name)!r}"
    if len(old_columns) != len(new_columns):
        return f"{len(new_columns)} columns, and the instance's {len(old_columns)}"
    return ""


def _named(spec: Mapping[str, Any]) -> str:
    return ", ".join(f"'{each['name']}'" for each in spec["event"])
