"""Loads an instance: everything is created in a staging directory, checked there, and published by one rename."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from .. import abi
from ..compiler import Body
from ..errors import DetachedError, NotSupported, PluginError, SessionError
from ..kernel import Map, Object
from ..kernel.link.interface import network_namespace
from ..network.model import Model
from ..obj import MapSpec, ObjectSpec
from ..obj.uapi import MapType
from ..plugin import Attachment, Plugins, Trigger
from ..session.loading import load
from .about import About
from .links import LINK
from .locks import lock, telling
from .pins import ABOUT, NAMES, STATE, STUB
from .proof import prove_uncounted
from .session import InstanceSession
from .store import CALLERS_LOCK, HELD, LOCKS, SWAP_LOCK, WATCH_LOCK, Store
from .stub import NETWORKS, load_stub

_LOG = logging.getLogger(__name__)
ROOM = 16 << 10
"""The minimum workspace of a result in bytes, so that a wider network can be swapped in."""


@dataclass(frozen=True)
class Loaded:
    """The path of the instance, how it was checked, and why this process must keep it ('' if the kernel does)."""

    path: Path
    proof: str
    holding: str


def load_instance(
    held: ExitStack,
    store: Store,
    name: str,
    network: Model,
    trigger: Trigger,
    body: Body,
    about: About,
    group: int,
    plugins: Plugins | None = None,
) -> Loaded:
    """Makes the instance ``name``. Objects that this process must keep open for it are added to ``held``.

    ``plugins`` are those of :func:`ebpfnn.bodies.kind_of`.

    Raises what :func:`ebpfnn.session.loading.load`, the trigger's ``attach`` and :func:`prove` raise. Nothing stays behind
    then.
    """
    resident = trigger.resident()
    with ExitStack() as made:
        staged = made.enter_context(store.staging())
        with telling(staged):
            for each in (CALLERS_LOCK, SWAP_LOCK, WATCH_LOCK):
                (staged / LOCKS / each).mkdir()
        shell = made.enter_context(load(network, resident, body, about.target, room=ROOM))
        stub = made.enter_context(load_stub(resident, about.target, shell.programs[resident.program()]))
        attachment = made.enter_context(resident.attach(stub, about.target))
        _LOG.info("trigger '%s' attached to %s", trigger.name, about.target or "no event")
        holding = pin_link(attachment, staged / LINK)
        told = held_by(about, attachment) if holding else about
        _pin_rest(made, staged, shell, stub, resident.program(), told)
        _pin_state(staged, shell, ObjectSpec.from_file(resident.object_path()))
        if holding:
            (staged / LOCKS / HELD).mkdir()
            made.enter_context(lock(staged / LOCKS / HELD))
        share(staged, group)
        proof = _proved(staged, name, resident, network, body, plugins)
        _LOG.info("instance '%s' checked %s", name, proof)
        path = store.publish(staged, name)
        _LOG.info("instance '%s' pinned in %s", name, path)
        if holding:
            held.push(made.pop_all())
        return Loaded(path, proof, holding)


def _proved(staged: Path, name: str, trigger: Trigger, network: Model, body: Body, plugins: Plugins | None) -> str:
    try:
        with InstanceSession(staged, trigger, plugins) as session:
            return prove_uncounted(session, network, body, plugins)
    except DetachedError as gone:
        fact = f"instance '{name}': its target disappeared while it was being loaded"
        raise SessionError(f"{fact}; check that the target exists, and load it again") from gone


def share(directory: Path, group: int) -> None:
    """Sets owner and mode of ``directory`` and its content: only for this user, and for ``group`` if that is not -1."""
    with telling(directory):
        for path in (directory, *directory.rglob("*")):
            if group >= 0:
                os.chown(path, -1, group)
            extra = 0 if group < 0 else 0o050 if path.is_dir() else 0o060
            path.chmod((0o700 if path.is_dir() else 0o600) | extra)


def pin_link(attachment: Attachment, pin: Path) -> str:
    """'' if the kernel keeps the attachment from now on, or there is none. Else the reason why it does not."""
    if attachment.link is None:
        return ""
    try:
        attachment.link.pin(pin)
    except NotSupported as reason:
        return str(reason)
    return ""


def held_by(about: About, attachment: Attachment) -> About:
    """``about`` for an attachment that this process holds."""
    index = attachment.link.interface if attachment.link else 0
    return replace(about, holder=os.getpid(), interface=(*network_namespace(), index) if index else None)


def _pin_rest(held: ExitStack, staged: Path, shell: Object, stub: Object, program: str, about: About) -> None:
    maps, described = {**shell.maps, **stub.maps}, about.encode()
    for spec in _missing(maps, len(described)):
        maps[spec.name] = held.enter_context(Map.create(spec))
    for index in range(2):
        maps[ABOUT].update(struct.pack("<I", index), described)
    lacking = sorted(NAMES.keys() - maps.keys())
    if lacking:
        raise PluginError(
            f"program '{program}': its object has no map '{lacking[0]}'; build it with ebpfnn/shell.h of this version"
        )
    for name, pin in {**NAMES, NETWORKS: NETWORKS}.items():
        maps[name].pin(staged / pin)
    stub.programs[program].pin(staged / STUB)


def _pin_state(staged: Path, shell: Object, spec: ObjectSpec) -> None:
    """Pins the shell's other maps, which a swap keeps. Its data sections are left out: they describe the network."""
    (staged / STATE).mkdir(mode=0o700)
    for name in spec.maps.keys() - NAMES.keys():
        if "." not in name:
            shell.maps[name].pin(staged / STATE / name)


def _missing(maps: dict[str, Map], size: int) -> Iterator[MapSpec]:
    yield MapSpec(ABOUT, MapType.ARRAY, 4, size, 2)
    if abi.CALLERS not in maps:  # a shell whose events give the slot
        yield MapSpec(abi.CALLERS, MapType.HASH, 4, 4, abi.MAX_SLOTS)
