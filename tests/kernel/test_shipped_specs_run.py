"""The specs that come with ebpfnn, in the kernel: those of packets by BPF_PROG_RUN, that of processes at its system calls."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from rigs import rig

from ebpfnn.events import bind, describe, find, shipped
from ebpfnn.kernel import Object
from ebpfnn.obj import ObjectSpec, link
from ebpfnn.observer import Mode, compile_observer
from ebpfnn.plugin import Plugins

pytestmark = pytest.mark.root
OF_PACKETS = [name for name in shipped() if name != "process"]
FLAGS = (2, 18, 16, 16, 24, 24, 17, 4)


def some_packet(choose: random.Random, time: int) -> dict[str, int]:
    """A packet of one of a few connections, in either direction."""
    version = choose.choice((4, 4, 4, 6, 0))
    ends = [(choose.randint(1, 2), choose.randint(1, 3)) for _ in range(2)]
    (source, source_port), (destination, destination_port) = ends
    sizes = {"network_length": choose.choice((40, 52, 60, 576, 1500, 65535)), "payload": choose.choice((0, 1, 1460))}
    headers = {"network_header": choose.choice((20, 20, 24)), "transport_header": choose.choice((20, 32))}
    flags = {"tcp_flags": choose.choice(FLAGS), "tcp_window": choose.getrandbits(16), "hops": choose.randint(60, 64)}
    odd = {"fragment": choose.choice((0, 0, 0, 1, 2)), "malformed": choose.choice((0, 0, 1))}
    ports = {"source_port": source_port, "destination_port": destination_port, "protocol": choose.choice((6, 6, 6, 17, 1))}
    wide = {"source_low": source, "source_high": 1, "destination_low": destination, "destination_high": 1}
    narrow = {"source": source, "destination": destination}
    addresses = wide if version == 6 else narrow if version == 4 else {}
    return {"time": time, "version": version, **sizes, **headers, **flags, **odd, **ports, **addresses}


@pytest.mark.parametrize("name", OF_PACKETS)
def test_rows_of_packets_are_those_of_the_twin(name: str, build_spec: Callable[..., ObjectSpec]) -> None:
    choose, time, rows = random.Random(name), 1 << 50, 0
    with rig(build_spec, describe(find(name))) as made:
        for _ in range(3000):
            time += choose.choice((0, 1000, 10**6, 2 * 10**8, -5000))
            rows += made.check(some_packet(choose, time)) is not None
    assert rows > 50


def test_the_kernel_takes_every_event_of_processes() -> None:
    plugins = Plugins.installed()
    spec = find("process")
    triggers = {event.name: plugins.trigger(event.trigger).observer() for event in spec.events}
    fields = {event.name: triggers[event.name].fields(event.target) for event in spec.events}
    bound = bind(spec, fields, plugins.reducers, plugins.encoders)
    maps: dict[str, Any] = {}
    loaded: list[Object] = []
    try:
        for index, event in enumerate(spec.events):
            trigger = triggers[event.name]
            shell = ObjectSpec.from_file(trigger.object_path())
            trigger.prepare(shell, event.target)
            shell.programs = {trigger.program(): shell.programs[trigger.program()]}
            loaded.append(Object.load(link(shell, compile_observer(bound, index, Mode.ROWS)), maps=maps))
            shared = ("ebpfnn_states", "ebpfnn_rows", "ebpfnn_counts")
            maps = {each: loaded[0].maps[each] for each in shared}
        assert len(loaded) == 13
    finally:
        for each in loaded:
            each.close()
