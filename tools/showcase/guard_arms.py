"""What is put in front of the server: nothing, rules, a guard of ebpfnn in the kernel, or the same verdicts in user space.

Each is a context, opened in the server's namespace. When it is over, the :class:`Acted` that it yielded has what it acted on,
by port of the client, and the CPU time that it took beside that of the packets.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from addresses import HTTP
from guard_lab import HERE, Place, rules
from guard_user import Watcher, programs

from ebpfnn import Instance, Plugins, abi
from ebpfnn.bodies import modelfile
from ebpfnn.events.policy import Policy
from ebpfnn.instance.pins import Pins
from ebpfnn.kernel import Object, XdpMode, attach_xdp
from ebpfnn.plugin import configured
from ebpfnn.session.guarding import Guard, calibrated

LASTING_NS, MOST, SECONDS = 10_000_000_000, 0.98, 60
_PORTS_AT = 32  # in the key `flow`: behind two addresses; the client's is the lower one, and comes first


@dataclass
class Acted:
    """``ports`` of the clients whose packets were acted on; ``cpu``, seconds of a process beside the packets."""

    ports: set[int] = field(default_factory=set)
    cpu: float = 0.0


Arm = Callable[[Place], AbstractContextManager[Acted]]


@contextmanager
def nothing(at: Place) -> Iterator[Acted]:
    """A program that passes every packet, since the others have one too."""
    with Object.load(programs()) as loaded, attach_xdp(loaded.programs["flow_nothing"], HERE, XdpMode.DRIVER):
        yield Acted()


def connlimit(most: int) -> Arm:
    """No more connections of one address at a time."""
    return _ruled(f"ct state new tcp dport {HTTP} add @seen {{ ip saddr ct count over {most} }} drop")


def syn_rate(most: int) -> Arm:
    """No more connections begun by one address in a second."""
    limit = f"limit rate over {most}/second burst {most} packets"
    return _ruled(f"tcp flags & (syn|ack) == syn tcp dport {HTTP} update @seen {{ ip saddr {limit} }} drop")


def _ruled(rule: str) -> Arm:
    @contextmanager
    def arm(at: Place) -> Iterator[Acted]:
        with nothing(at) as acted:
            rules(
                at.server,
                "table ip guard {\n set seen { type ipv4_addr; size 1024; flags dynamic; }\n"
                f" chain all_in {{ type filter hook input priority 0; {rule}; }}\n }}\n",
            )
            yield acted

    return arm


def in_kernel(file: Path) -> Arm:
    """As ``ebpfnn load FILE --target here --action drop --after 1 --lasting 10s --most 0.98 --enforce --for 1m``."""
    plugins = Plugins.installed()
    model = modelfile.load(file, plugins)
    spared, margin = calibrated(model)
    guard = Guard(Policy(spared, margin, 1, LASTING_NS, MOST), plugins.action("drop"))

    @contextmanager
    def arm(at: Place) -> Iterator[Acted]:
        acted, trigger = Acted(), configured(plugins.trigger("xdp"), {})
        name, options = f"{at.server}-{model.name}", {"mode": "native"}
        instance = Instance.load(model, trigger, HERE, name=name, options=options, file=file, plugins=plugins, guard=guard)
        try:
            with instance.brakes() as brakes:
                brakes.enforce(time.monotonic_ns() + SECONDS * 10**9)
            yield acted
            with Pins(instance.path) as pins:
                acted.ports |= set(_ports(pins))
        finally:
            instance.unload()

    return arm


def _ports(pins: Pins) -> Iterator[int]:
    """Of the keys that a verdict counted for at some time, also if a later one spared them."""
    for key, _ in pins.maps[abi.GUARDED].items():
        yield from struct.unpack_from("<H", key, _PORTS_AT)


def in_user_space(file: Path, way: str) -> Arm:
    """The network of ``file`` in a process that packets come to in ``way``. It has a program in the kernel drop packets."""
    model = modelfile.load(file)
    spared, margin = calibrated(model)

    @contextmanager
    def arm(at: Place) -> Iterator[Acted]:
        acted = Acted()
        with Watcher(model, spared, margin, LASTING_NS, way) as watcher:
            thread = threading.Thread(target=watcher.run)
            with attach_xdp(watcher.program, HERE, XdpMode.DRIVER):
                watcher.listen(HERE)
                thread.start()
                try:
                    yield acted
                finally:
                    watcher.stop()
                    thread.join()
            acted.ports, acted.cpu = watcher.acted(_PORTS_AT), watcher.cpu_seconds

    return arm
