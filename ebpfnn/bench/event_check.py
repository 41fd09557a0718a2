"""Holds the spec `flow-24` in C against the spec as it is compiled: the verdicts on the same packets at the same times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .. import abi
from .event_frames import Tcp
from .event_programs import Loading

Verdicts = dict[bytes, tuple[int, int, int, int]]
"""By key: the time, the label plus 1, the margin and the number of the event."""
_CLIENTS, _SERVER = 5, 0x0A000100
_FLAGS = (0x10, 0x10, 0x10, 0x18, 0x18, 0x02, 0x11)


@dataclass(frozen=True)
class Timed:
    """A frame, and the clock at it in ns."""

    frame: bytes
    time_ns: int


def sequence(count: int = 400, seed: int = 0) -> list[Timed]:
    """Packets of a few connections, some of which end and begin again, in both directions and after gaps of any length."""
    random, found, clock = np.random.default_rng(seed), list[Timed](), 5_000_000_000
    for _ in range(count):
        clock += int(10 ** random.uniform(1, 9.3))
        client, back = int(random.integers(_CLIENTS)), bool(random.integers(2))
        ends, ports = (0x0A000001 + client, _SERVER), (40000 + client, 443)
        window, hops, payload = (int(random.integers(high)) for high in (65536, 256, 1400))
        flags = _FLAGS[random.integers(len(_FLAGS))]
        packet = Tcp(*(ends[::-1] if back else ends), ports[::-1] if back else ports, flags, payload, window, hops)
        found.append(Timed(packet.frame, clock))
    return found


def run_all(loading: Loading, packets: Sequence[Timed]) -> Verdicts:
    """The verdicts that a program, loaded with ``replaying``, leaves. Raises as :meth:`Object.load` does."""
    with loading.load() as loaded:
        clock = loaded.maps[loading.clock].array(np.uint64)
        for packet in packets:
            clock[0] = packet.time_ns
            loaded.programs[loading.program].run(data=packet.frame)
        del clock
        return dict(_verdicts(loaded.maps[loading.verdicts].items()))


def _verdicts(items: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, tuple[int, int, int, int]]]:
    for key, value in items:
        found = np.frombuffer(value, abi.VERDICT)[0]
        yield key, (int(found["time_ns"]), int(found["label"]), int(found["margin"]), int(found["number"]))
