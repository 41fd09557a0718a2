"""The ``drop`` action: packets go no further."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

from ebpfnn.plugin import Action, hookimpl, object_path

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


@hookimpl
def ebpfnn_actions() -> Iterable[Action]:
    return [Drop()]
