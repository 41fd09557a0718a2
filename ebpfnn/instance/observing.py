"""Loads an instance that observes events itself: its programs share states and verdicts, and each event has a stub."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from ..compiler import Body
from ..errors import PluginError
from ..kernel import Map, Object
from ..obj import MapSpec
from ..obj.uapi import MapType
from ..plugin import Attachment, Trigger
from ..session.observed import Observed
from ..session.observing import all_maps, load_observed, of_action
from .about import About
from .guarded import GUARDING
from .links import LINK
from .loading import Loaded, held_by, pin_link, share
from .locks import lock, telling
from .pins import ABOUT, OBSERVING, STATE, STUB, numbered
from .store import ALERTS_LOCK, HELD, LOCKS, SWAP_LOCK, WATCH_LOCK, Store
from .stub import CHOOSER, NETWORKS, load_stub

_LOG = logging.getLogger(__name__)


def load_observing(
    held: ExitStack, store: Store, name: str, observed: Observed, body: Body, about: About, group: int, proof: str
) -> Loaded:
    """Makes the instance ``name``. Objects that this process must keep open for it are added to ``held``.

    Raises what :func:`load_observed` and the triggers' ``attach`` raise. Nothing stays behind then.
    """
    with ExitStack() as made:
        staged = made.enter_context(store.staging())
        with telling(staged):
            for each in (SWAP_LOCK, WATCH_LOCK, ALERTS_LOCK):
                (staged / LOCKS / each).mkdir()
            (staged / STATE).mkdir(mode=0o700)
        shells = [made.enter_context(each) for each in load_observed(observed, body)]
        stubs = _stubs(made, observed, shells)
        attachments = [
            made.enter_context(trigger.attach(stub, target))
            for stub, (trigger, target) in zip(stubs, _places(observed), strict=True)
        ]
        _LOG.info("attached to %s", ", ".join(f"{each.name} {target or ''}".strip() for each, target in _places(observed)))
        reasons = [pin_link(each, staged / numbered(LINK, number)) for number, each in enumerate(attachments)]
        holding = next(filter(None, reasons), "")
        told = held_by(about, _with_interface(attachments)) if holding else about
        _pin(made, staged, observed, shells, stubs, told)
        if holding:
            (staged / LOCKS / HELD).mkdir()
            made.enter_context(lock(staged / LOCKS / HELD))
        share(staged, group)
        path = store.publish(staged, name)
        _LOG.info("instance '%s' pinned in %s", name, path)
        if holding:
            held.push(made.pop_all())
        return Loaded(path, proof, holding)


def _places(observed: Observed) -> Iterator[tuple[Trigger, str | None]]:
    return zip(observed.triggers, observed.targets, strict=True)


def _stubs(made: ExitStack, observed: Observed, shells: list[Object]) -> list[Object]:
    """A stub for each event. One chooser selects the network of all of them."""
    stubs: list[Object] = []
    for trigger, target, shell in zip(observed.triggers, observed.targets, shells, strict=True):
        chooser = stubs[0].maps[CHOOSER] if stubs else None
        stubs.append(made.enter_context(load_stub(trigger, target, shell.programs[trigger.program()], chooser)))
    return stubs


def _with_interface(attachments: list[Attachment]) -> Attachment:
    """The attachment whose interface can be removed, if there is one."""
    return next((each for each in attachments if each.link is not None and each.link.interface), attachments[0])


def _pin(made: ExitStack, staged: Path, observed: Observed, shells: list[Object], stubs: list[Object], about: About) -> None:
    maps = {**all_maps(shells), **stubs[0].maps}
    described = about.encode()
    maps[ABOUT] = made.enter_context(Map.create(MapSpec(ABOUT, MapType.ARRAY, 4, len(described), 2)))
    for index in range(2):
        maps[ABOUT].update(struct.pack("<I", index), described)
    lacking = sorted(OBSERVING.keys() - maps.keys())
    if lacking:
        raise PluginError(f"the observer of spec '{observed.bound.spec.name}' has no map '{lacking[0]}'; report this")
    own = {name: f"{STATE}/{name}" for name in of_action(observed)}
    guarding = {name: pin for name, pin in GUARDING.items() if name in maps}
    for name, pin in {**OBSERVING, **guarding, **own}.items():
        maps[name].pin(staged / pin)
    for number, (trigger, stub) in enumerate(zip(observed.triggers, stubs, strict=True)):
        stub.maps[NETWORKS].pin(staged / numbered(NETWORKS, number))
        stub.programs[trigger.program()].pin(staged / numbered(STUB, number))
