"""A guard that acts on large datagrams, made by hand, and those who send them."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import numpy as np
from guards import FLOW
from guards import guard as made_by_hand
from netspace import inside

from ebpfnn.events.policy import Policy
from ebpfnn.network import QuantizedNetwork
from ebpfnn.network.layers import Dense

FOREVER, PORT = (1 << 63) - 1, 5790
SPEC = {
    **FLOW,
    "where": ["version == 4", "protocol == 17"],
    "column": [{"name": "length", "reduce": "last", "of": "network_length"}],
}
LENGTH = {"length": {"encode": "bins", "bounds": [200, 400], "step": 100}}
POLICY = Policy(0, 500, after=2, most=1)


def network(trigger: str, mode: str = "") -> QuantizedNetwork:
    """Label 1 for datagrams of 200 bytes and more, with a margin of 500, and of 1,500 for 400 bytes and more."""
    found = made_by_hand(
        {**SPEC, "event": [{"trigger": trigger}], "at": {}},
        LENGTH,
        trigger=trigger,
        mode=mode,
        labels=("benign", "flood"),
        weights=np.array([[0], [10]], np.int8),
    )
    layer = found.layers[0]
    assert isinstance(layer, Dense)
    return replace(found, layers=(replace(layer, bias=np.array([500, 0], np.int32)),))


class Senders:
    """Sockets at ``there``, one a flow, and what arrives of them at ``here``."""

    def __init__(self, here: str, there: str) -> None:
        with inside(here):
            self.receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind(("10.77.0.1", PORT))
        self.receiver.setblocking(False)
        with inside(there):
            self.flows = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]

    def send(self, flow: int, *sizes: int) -> int:
        """Sends datagrams with so much data. Returns how many arrive, until none came three times in a row."""
        for size in sizes:
            self.flows[flow].sendto(bytes(size), ("10.77.0.1", PORT))
        arrived = quiet = 0
        while quiet < 3:
            try:
                self.receiver.recv(2048)
                arrived, quiet = arrived + 1, 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.02)
        return arrived

    def close(self) -> None:
        for each in (self.receiver, *self.flows):
            each.close()
