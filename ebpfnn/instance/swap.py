"""Replaces the network of an instance under its attachment."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from .. import abi
from ..compiler import Body
from ..errors import NotSupported, SessionError
from ..kernel import Object
from ..network import orders
from ..network.inputformat import InputFormat
from ..network.model import Model
from ..plugin import Plugins, Trigger
from ..session.compiling import compile_here
from ..session.loading import load
from .about import About, describe
from .locks import lock
from .pins import ABOUT, Pins
from .proof import prove_uncounted
from .session import InstanceSession, check_namespace
from .store import LOCKS, SWAP_LOCK
from .stub import CHOOSER, put_network, set_swaps


def swap(path: Path, trigger: Trigger, network: Model, body: Body, file: Path | None, plugins: Plugins | None = None) -> str:
    """Replaces the network of the instance at ``path`` between two events, and returns how the new one was checked.

    The inactive one of its two networks is replaced, with its description. Then one store of 32 bits switches both. Swaps of
    one instance wait for each other. Raises :class:`NotSupported` for a network that does not fit, :class:`SessionError` if its
    check fails, or if the instance is no longer attached or was unloaded meanwhile. The previous network then stays in place.
    """
    resident = trigger.resident()
    with lock(path / LOCKS / SWAP_LOCK), Pins(path) as pins, pins.in_place():
        count, about = pins.current()
        check_namespace(about)
        pins.check_attached(about)
        _check_fits(path.name, about, network, body, pins)
        index = struct.pack("<I", (count + 1) & 1)
        told = describe(network, file, about.trigger, about.target, about.options, about.holder, plugins=plugins)
        data = replace(told, interface=about.interface, declared=about.declared, swaps=count + 1).encode(
            pins.maps[ABOUT].value_size
        )
        with _load(pins, resident, network, body, about, count + 1) as loaded, pins.networks() as networks:
            put_network(networks, (count + 1) & 1, loaded.programs[resident.program()])
        pins.maps[ABOUT].update(index, data)
        set_swaps(pins.maps[CHOOSER], count + 1)
        try:
            with ThreadPoolExecutor(1) as other, InstanceSession(path, trigger, plugins) as session:
                proof = other.submit(
                    prove_uncounted, session, network, body, plugins
                ).result()  # this thread may have a session, and so a slot
            pins.check_attached(about)
            return proof
        except BaseException:
            set_swaps(pins.maps[CHOOSER], count + 2)
            raise


def swap_back(path: Path, swaps: int) -> None:
    """Gives the instance at ``path`` the network that it had before its swap number ``swaps``, which must be its last one.

    Raises :class:`SessionError` if another swap came after it.
    """
    with lock(path / LOCKS / SWAP_LOCK), Pins(path) as pins, pins.in_place():
        if pins.swaps[0] != swaps:
            raise SessionError(f"instance '{path.name}' was swapped again meanwhile; look at `ebpfnn list`, and swap it back")
        set_swaps(pins.maps[CHOOSER], swaps + 1)


def check_swap(path: Path, network: Model, plugins: Plugins) -> None:
    """Raises :class:`NotSupported` if ``network`` cannot take the place of the instance's, as far as that is known before."""
    with Pins(path) as pins:
        about = pins.current()[1]
        check_namespace(about)
        _check_fits(path.name, about, network, compile_here(network, plugins=plugins), pins)


def _load(pins: Pins, trigger: Trigger, network: Model, body: Body, about: About, count: int) -> Object:
    """The trigger's shell with the other network, which uses the maps of the instance."""
    room = pins.maps[abi.RESULTS].value_size - abi.RESULT.itemsize
    return load(network, trigger, body, about.target, room=room, swaps=count, maps=pins.maps)


def _check_fits(name: str, about: About, network: Model, body: Body, pins: Pins) -> None:
    wanted, given = _input(about.input), _input(network.input)
    room = pins.maps[abi.RESULTS].value_size
    needed = abi.padded(abi.RESULT.itemsize + body.workspace)
    reason = None
    if wanted != given:
        reason = f"its input is {given}, and the instance's {wanted}"
    elif network.input.preparation != about.input.preparation:
        kinds = [f"'{form.preparation.kind}'" for form in (network.input, about.input)]
        same = "with other options" if kinds[0] == kinds[1] else f"and the instance's by {kinds[1]}"
        reason = f"its samples are prepared by {kinds[0]}, {same}"
    elif network.input.order != about.input.order:
        reason = "its samples are packed in an order of their own, and the instance's in another one"
    elif others := _other_thresholds(about.input, network.input):
        reason = others
    elif len(network.labels) != len(about.labels):
        reason = f"it has {len(network.labels)} labels, and the instance's callers read {len(about.labels)}"
    elif network.result != about.result:
        reason = f"its results are of kind '{network.result}', and the instance's callers read '{about.result}'"
    elif needed > room:
        reason = f"it needs {needed} bytes per result, and the instance has {room}"
    if reason:
        what = f"network '{network.name}' cannot take the place of '{about.network}' in instance '{name}'"
        raise NotSupported(f"{what}: {reason}; load it as another instance")


def _input(form: InputFormat) -> str:
    """What callers write for a sample, on one line. If samples are packed, the callers compute levels from pixels."""
    shape = "x".join(map(str, form.shape))
    levels = "thresholds of each value" if form.value_thresholds else str(list(form.thresholds))
    order = f" in {orders.packed(form)}" if form.order else ""
    packed = f" packed{order}, {form.bit_order}-endian, at {levels}" if form.packed else ""
    return f"{shape} of {form.bits} bits{packed}"


def _other_thresholds(wanted: InputFormat, given: InputFormat) -> str | None:
    """If packed samples differ only in the thresholds of their values: the first value whose thresholds differ."""
    if not given.packed:
        return None
    for number, (old, new) in enumerate(zip(wanted.value_thresholds, given.value_thresholds, strict=True)):
        if old != new:
            return f"its input has value {number} packed at {list(new)}, and the instance's at {list(old)}"
    return None
