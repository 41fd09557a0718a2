"""A network behind each of the packet triggers, and requests for it."""

from __future__ import annotations

import struct

import numpy as np
from ebpfnn_plugins.cgroup_skb import CgroupSkbTrigger
from ebpfnn_plugins.socket_filter import SocketFilterTrigger
from ebpfnn_plugins.tc import TcTrigger
from ebpfnn_plugins.xdp import XdpTrigger
from networks import random_network, samples

from ebpfnn.plugin import Trigger
from ebpfnn.session import Session

NETWORK = random_network((60, 7, 5), seed=3)
SAMPLE = samples(60, seed=3)[7]
XDP_PASS, XDP_TX, TC_PASS, TC_REDIRECT = 2, 3, 0xFFFFFFFF, 7
ANSWERING: dict[str, tuple[Trigger, int, int]] = {
    "xdp": (XdpTrigger(), XDP_PASS, XDP_TX),
    "xdp generic": (XdpTrigger().with_options({"mode": "generic"}), XDP_PASS, XDP_TX),
    "tc": (TcTrigger(), TC_PASS, TC_REDIRECT),
    "tc egress": (TcTrigger().with_options({"direction": "egress"}), TC_PASS, TC_REDIRECT),
}
WATCHING: dict[str, Trigger] = {
    "cgroup_skb": CgroupSkbTrigger(),
    "cgroup_skb egress": CgroupSkbTrigger().with_options({"direction": "egress"}),
    "socket_filter": SocketFilterTrigger(),
}


class Loaded:
    """A network behind a trigger that is attached to nothing.

    It ``has_buffers`` where packets are the kernel's socket buffers, whose checksums are completed when they are sent.
    """

    def __init__(self, session: Session, passes: int, answers: int, *, has_buffers: bool = False) -> None:
        self.session, self.passes, self.answers, self.has_buffers = session, passes, answers, has_buffers
        self.program = session.loaded.programs[session.trigger.program()]

    def run(self, frame: bytes) -> tuple[int, bytes]:
        ran = self.program.run(data=frame)
        return ran.return_value, ran.data

    def count(self, name: str) -> int:
        """One of the first fields of ``struct ebpfnn_packets``, on all CPUs."""
        at = ("answered", "damaged", "denied", "nested", "busy").index(name)
        return int(self.session.loaded.maps["ebpfnn_packets"].lookup_percpu(bytes(4), np.uint64)[:, at].sum())

    def passes_on(self, frame: bytes) -> bool:
        return self.run(frame) == (self.passes, frame)


def ask(sample: bytes = SAMPLE.tobytes(), sequence: int = 77, network: int = 0, **fields: int) -> bytes:
    """A request's payload, by the words of docs/triggers.md."""
    kind, version, scores = fields.get("kind", 0), fields.get("version", 1), fields.get("scores", 0)
    return b"eBNN" + struct.pack("!BBHII", version, kind, scores, network, sequence) + sample
