"""The actions ``drop`` and ``reject``: packets go no further."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnn.errors import UsageError
from ebpfnn.plugin import Action, Trigger, hookimpl, object_path

_DROPS = {"xdp": 1, "tc": 2, "cgroup_skb": 0}
"""What drops a packet: XDP_DROP, TC_ACT_SHOT (include/uapi/linux/bpf.h and pkt_cls.h), and 0 at a cgroup."""


class Drop(Action):
    name = "drop"
    summary = "drop packets, but FIN and RST of at most 100 a second on each CPU"
    triggers = tuple(_DROPS)

    def object_path(self, trigger: str) -> Path:
        del trigger
        return object_path("drop")

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del target
        return {"ebpfnn_dropped": struct.pack("<i", _DROPS[trigger])}


class Reject(Action):
    """The sender of a datagram gets EPERM from the kernel (``ip_finish_output``), which it only can where packets are sent."""

    name = "reject"
    summary = "refuse packets that sockets of a cgroup send: send() fails with EPERM"
    triggers = ("cgroup_skb",)

    def check(self, trigger: Trigger, target: str | None) -> None:
        if getattr(trigger, "chosen", {}).get("direction") != "egress":
            fact = "action 'reject' acts on packets that are sent: no sender learns of one that is lost when it is received"
            raise UsageError(f"{fact}; give --option direction=egress, or use action 'drop'")

    def object_path(self, trigger: str) -> Path:
        del trigger
        return object_path("drop")

    def variables(self, trigger: str, target: str | None) -> Mapping[str, bytes]:
        del target
        return {"ebpfnn_dropped": struct.pack("<i", _DROPS[trigger]), "ebpfnn_ends": bytes(4)}


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Drop(), Reject()]
